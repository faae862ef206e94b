"""Which targets a command line asks for, at which scale."""

import argparse

import pytest

from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.errors import UserError
from vaelab.reproduction.command_line import build_parser, parse_arguments
from vaelab.reproduction.targets import read_targets

FOLDER = hydra_app.CONF / program.TARGETS

FULL = ("s2d", "s3c", "s5d", "s6d", "s7d")  # those named S; of F all are


def parse(*typed):
    return parse_arguments(typed, FOLDER)


def test_targets_and_overrides_in_any_order():
    arguments = parse("C1", "num_threads=1", "--scale", "cpu", "c2", "model.hidden=[4]")
    assert arguments.names == ["c1", "c2"]
    assert arguments.hydra_arguments("c2") == [
        *("experiment=reproduce/c2", "num_threads=1", "model.hidden=[4]"),
    ]


def test_smoke_runs_have_another_folder():
    arguments = parse("f1", "--scale=smoke")
    assert arguments.names == ["f1"]
    assert arguments.smoke
    assert "name=f1_smoke" in arguments.hydra_arguments("f1")


@pytest.mark.parametrize(
    ("name", "scale", "runs"),
    [
        *(("f1", "cpu", ["c9"]), ("f2", "cpu", ["c7"]), ("f3", "cpu", ["c10"])),
        *(("f4", "cpu", ["c10"]), ("f6", "cpu", ["c5"]), ("f7", "cpu", ["c6"])),
        *(("c9", "full", ["f1"]), ("c10", "full", ["f3", "f4"]), ("c6", "full", ["f7"])),
        *(("c9", "cpu", ["c9"]), ("f1", "full", ["f1"])),
    ],
)
def test_counterpart_of_the_other_scale(name, scale, runs):
    assert parse(name, "--scale", scale).names == runs


def test_counterparts_are_targets_of_the_other_scale():
    known = read_targets(FOLDER)
    for target in known.values():
        if target.counterpart:
            assert known[target.counterpart].scale != target.scale


@pytest.mark.parametrize(("name", "scale"), [("e1", "full"), ("c1", "full"), ("f5", "cpu")])
def test_target_without_counterpart_is_rejected(name, scale):
    with pytest.raises(UserError, match=f"a counterpart of that scale, got {name}"):
        parse(name, "--scale", scale)


def test_scale_without_targets_means_all_of_that_scale():
    known = read_targets(FOLDER)
    full = [name for name in known if name[0] == "f" or name in FULL]
    assert parse("--scale", "full").names == full
    assert not set(parse("--scale", "cpu").names) & set(parse("--scale", "full").names)
    assert parse("--scale", "smoke").names == list(known)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ([], "got no target; use one of b1, c1, c2"),
        (["c11"], "TARGET expects one of b1, c1, c2, .*got 'c11'; did you mean c1"),
        (["c1", "-m"], "got -m; leave it out"),
        (["c1", "--record", "--scale", "smoke"], "--record expects full-size runs"),
    ],
)
def test_contradictory_arguments_are_rejected(typed, sentence):
    with pytest.raises(UserError, match=sentence):
        parse(*typed)


def test_options_of_hydra_are_passed_on():
    assert parse("c1", "--cfg", "job").hydra_arguments("c1")[-2:] == ["--cfg", "job"]
    assert parse("c1", "hydra/launcher=local").overrides == ["hydra/launcher=local"]


def test_headers_are_read(tmp_path):
    known = read_targets(FOLDER)
    assert known["c1"].title.startswith("the losses of the VAE example of PyTorch")
    for target in known.values():
        assert target.title.endswith("."), target.name
        assert set(target.header) == {"Source", "Command", "Expected", "Time", "Hardware"}
        assert f"reproduce.py {target.name}" in target.header["Command"]
        assert len(target.header["Time"]) > 5
    (tmp_path / "x1.yaml").write_text("# X1: nothing.\ntarget: {}\n")
    with pytest.raises(
        UserError, match=r"target.scale in .*x1.yaml expects one of cpu, full, got None"
    ):
        read_targets(tmp_path)


def test_help_describes_every_argument():
    for action in build_parser()._actions:
        assert action.help == argparse.SUPPRESS or len(action.help) > 20
    text = build_parser().format_help()
    for word in ("TARGET | KEY=VALUE", "--scale", "--list", "--record", "--cfg", "examples:"):
        assert word in text

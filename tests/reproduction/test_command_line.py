"""Which targets a command line asks for, at which scale."""

import pytest

from vaelab.cli import hydra_app as commands
from vaelab.errors import UserError
from vaelab.reproduction.catalogue import targets
from vaelab.reproduction.command_line import read_command

FOLDER = commands.CONF / commands.TARGETS


def read(*words):
    return read_command(words, FOLDER)


def test_names_and_words_in_any_order():
    asked = read("C1", "num_threads=1", "--scale", "cpu", "c2", "model.hidden=[4]")
    assert asked.names == ["c1", "c2"]
    assert asked.hydra_words("c2") == [
        *("experiment=reproduce/c2", "num_threads=1", "model.hidden=[4]"),
    ]


def test_smoke_runs_lie_under_another_name():
    asked = read("f1", "--scale=smoke")
    assert asked.names == ["f1"]
    assert asked.smoke
    assert "name=f1_smoke" in asked.hydra_words("f1")


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
    assert read(name, "--scale", scale).names == runs


def test_counterparts_are_targets_of_the_other_scale():
    known = targets(FOLDER)
    for target in known.values():
        if target.counterpart:
            assert known[target.counterpart].scale != target.scale


@pytest.mark.parametrize(("name", "scale"), [("e1", "full"), ("c1", "full"), ("f5", "cpu")])
def test_target_without_counterpart_is_refused(name, scale):
    with pytest.raises(UserError, match=f"a counterpart of that scale, got {name}"):
        read(name, "--scale", scale)


def test_scale_without_names_is_all_of_it():
    known = targets(FOLDER)
    assert read("--scale", "full").names == [name for name in known if name.startswith("f")]
    assert not set(read("--scale", "cpu").names) & set(read("--scale", "full").names)
    assert read("--scale", "smoke").names == list(known)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "got no target; choose of c1, c2"),
        (["c11"], "got c11; did you mean c1"),
        (["c1", "-m"], "got -m; leave it out"),
        (["c1", "--record", "--scale", "smoke"], "--record expects a run that is judged"),
    ],
)
def test_what_makes_no_sense_is_refused(words, sentence):
    with pytest.raises(UserError, match=sentence):
        read(*words)


def test_options_of_hydra_reach_it():
    assert read("c1", "--cfg", "job").hydra_words("c1")[-2:] == ["--cfg", "job"]
    assert read("c1", "hydra/launcher=local").words == ["hydra/launcher=local"]


def test_headers_are_read(tmp_path):
    known = targets(FOLDER)
    assert known["c1"].what.startswith("the VAE of pytorch/examples on grey MNIST")
    for target in known.values():
        assert target.what.endswith("."), target.name
        assert {"Source", "Command", "Expected", "Time"} <= set(target.facts), target.name
        assert f"reproduce.py {target.name}" in target.facts["Command"]
        assert len(target.facts["Time"]) > 5
    (tmp_path / "x1.yaml").write_text("# X1: nothing.\ntarget: {}\n")
    with pytest.raises(UserError, match=r"expects target.scale: cpu or full, got None"):
        targets(tmp_path)

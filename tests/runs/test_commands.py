"""The command line answers at once, in one sentence, with exit code 2."""

import json
import sys

import pytest

from vaelab.run_folder import RunFolder

LIST_MODULES = "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules))"


@pytest.fixture
def answer(command, finish, tmp_path):
    """Words -> (exit code, output, errors, whether torch was imported)."""
    (tmp_path / "sitecustomize").mkdir()
    (tmp_path / "sitecustomize" / "sitecustomize.py").write_text(LIST_MODULES)

    def ask(*words):
        process = command(*words, PYTHONPATH=str(tmp_path / "sitecustomize"))
        code, out, err = finish(process)
        out, _, modules = out.rpartition("MODULES")
        assert "vaelab.commands" in modules.split()
        return code, out, err, "torch" in modules.split()

    return ask


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"], ["--cfg", "job", "--resolve"]])
def test_help_and_settings_without_torch(answer, words):
    code, out, _, torch = answer(*words)
    assert code == 0
    assert "objective:" in out
    assert "beta: 4.0" in out
    assert not torch


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (["objective.betta=8"], ["objective.betta is not a setting", "nearest: objective.beta"]),
        (["model=mlp", "model.hiden=[8]"], ["nearest: model.hidden"]),
        (["bacth_size=8"], ["nearest: batch_size"]),
        (["modle=mlp"], ["nearest: model"]),
        (["model=mpl"], ["one of burgess, conv, higgins, locatello, mlp; did you mean mlp?"]),
        (["callbacks=[figurs]"], ["one of checkpoints, ema, figures", "did you mean figures"]),
        (["-m", "data=mnist,dsprits"], ["data=dsprits is not an option", "did you mean dsprites"]),
        (["resume=nothing"], ["resume expects the folder of a run, got nothing"]),
    ],
    ids=lambda value: value[-1] if value[-1].count("=") == 1 else "",
)
def test_typos_are_answered_without_torch(answer, tmp_path, words, sentences):
    code, out, err, torch = answer(*words)
    assert code == 2
    assert (out.strip(), err.count("\n")) == ("", 1)
    assert err.startswith("error: ")
    for sentence in sentences:
        assert sentence in err
    assert not torch
    assert not list(tmp_path.rglob("status.json"))


@pytest.fixture
def mistake(tiny, tmp_path, monkeypatch, capfd):
    """Words -> what a run in this process prints and logs before it exits with code 2."""
    from vaelab import commands

    def make(*words):
        folder = RunFolder(tmp_path / "run")
        argv = ["train.py", *tiny, *words, f"hydra.run.dir={folder.path}"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            commands.train()
        assert stop.value.code == 2
        return capfd.readouterr().err, folder

    return make


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["objective.beta=-1"], "objective.beta expects a weight of at least 0, got -1; try 4."),
        (["latent_dim=0"], "latent_dim expects an integer from 1 up, got 0; try 10."),
        (["model=conv"], "expects images of at least 16 x 16 pixels, got 8 x 8;"),
        (["data.root=floats.npy"], "Expected a .npy or .npz file at floats.npy"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistake_is_one_sentence(mistake, monkeypatch, tmp_path, words, sentence):
    monkeypatch.chdir(tmp_path)
    err, folder = mistake(*words)
    (line,) = err.splitlines()
    assert sentence in line
    assert "Traceback" not in err
    assert "Error executing job" not in err
    assert sentence in (folder.path / "train.log").read_text()
    assert sentence in folder.status_file.read_text()


def test_failing_job_does_not_stop_the_sweep(tiny, command, finish, tmp_path):
    code, _, err = finish(command("-m", *tiny, "name=sweep", "objective.beta=-1,1,2"))
    assert code == 2
    assert err.count("objective.beta expects a weight of at least 0, got -1") == 1
    (sweep,) = (tmp_path / "outputs" / "sweep" / "multirun").iterdir()
    folders = [RunFolder(sweep / job) for job in "012"]
    states = [json.loads(folder.status_file.read_text())["state"] for folder in folders]
    assert states == ["failed", "finished", "finished"]
    curves = [folder.read_curve("train/loss") for folder in folders[1:]]
    assert curves[0] != curves[1]


def test_run_prints_where_it_lies_and_what_to_do_next(tiny, command, finish, tmp_path):
    code, out, err = finish(command(*tiny, "name=mine"))
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "mine").iterdir()
    assert str(folder.relative_to(tmp_path)) in out
    assert f"{RunFolder(folder).read_metrics()['test/elbo']:.2f}" in out
    assert "scripts/train.py" in out

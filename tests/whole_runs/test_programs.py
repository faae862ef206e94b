"""The command line answers at once, in one sentence, with exit code 2."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from vaelab.cli import evaluate, hydra_app, train
from vaelab.runs.folder import RunFolder

LIST_MODULES = "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules))"


@pytest.fixture
def answer(cold_command, finish, tmp_path):
    """Words -> (exit code, output, errors, whether torch was imported)."""
    (tmp_path / "sitecustomize").mkdir()
    (tmp_path / "sitecustomize" / "sitecustomize.py").write_text(LIST_MODULES)

    def ask(*words):
        process = cold_command(*words, PYTHONPATH=str(tmp_path / "sitecustomize"))
        code, out, err = finish(process)
        out, _, modules = out.rpartition("MODULES")
        assert "vaelab.cli.hydra_app" in modules.split()
        return code, out, err, "torch" in modules.split()

    return ask


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--help"], ["latent_dim=10", "beta_vae*", "-m objective.beta=1,4,16"]),
        (["--help", "objective=beta_vae"], ["objective.beta=4.0"]),
        (["--cfg", "job"], ["objective:", "beta: 4.0"]),
        (["--cfg", "job", "--resolve"], ["objective:", "beta: 4.0"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_help_and_settings_without_torch(answer, words, shown):
    code, out, _, torch = answer(*words)
    assert code == 0
    assert [text for text in shown if text not in out] == []
    assert not torch


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (["objective.betta=8"], ["objective.betta is not a setting", "nearest: objective.beta"]),
        (["model=mlp", "model.hiden=[8]"], ["nearest: model.hidden"]),
        (["bacth_size=8"], ["nearest: batch_size"]),
        (["modle=mlp"], ["nearest: model"]),
        (["model=mpl"], ["locatello, mlp; did you mean mlp?"]),
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
def own_logging():
    """Gives logging back as it was, without the handlers that hydra put in."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def mistake(tiny, tmp_path, monkeypatch, capsys, own_logging):
    """Words -> what a run in this process prints on its way to exit code 2, and its folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_FULL_ERROR", "POSSIBLE_USER_WARNINGS"):
        monkeypatch.setenv(name, "1")  # which the command sets, and this gives back
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no network: nobody listens there

    def make(*words):
        folder, keys = RunFolder(tmp_path / "run"), {word.partition("=")[0] for word in words}
        others = [word for word in tiny if word.partition("=")[0] not in keys]
        argv = ["train.py", *others, *words, f"hydra.run.dir={folder.path}"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            train.main()
        assert stop.value.code == 2
        return capsys.readouterr().err, folder

    return make


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["objective.beta=-1"], "objective.beta expects a number of at least 0, got -1; try 4."),
        (["latent_dim=0"], "latent_dim expects an integer of at least 1, got 0; try 10."),
        (["model=conv"], "expects images of at least 16 x 16 pixels, got 8 x 8;"),
        (["data.root=none.npy"], "root expects a .npy or .npz file of images, got none.npy"),
        (["data.root=floats.npy", "likelihood=categorical"], "quantise the data to 256 levels"),
        (["data=mnist", "data.root=empty"], "MNIST"),
        (["data=dsprites", "data.root=empty", "data.source=archive"], "source=rendered"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistake_is_one_sentence(mistake, words, sentence):
    np.save("floats.npy", np.random.default_rng(0).random((90, 8, 8), dtype=np.float32))
    err, folder = mistake(*words)
    (line,) = [line for line in err.splitlines() if "ERROR" in line]
    assert sentence in line
    assert "Traceback" not in err
    assert "Error executing job" not in err
    assert sentence in (folder.path / "train.log").read_text()
    assert sentence in folder.status_file.read_text()


def test_interrupted_evaluation_says_that_it_continues(
    run, tmp_path, monkeypatch, capsys, own_logging
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_FULL_ERROR", "POSSIBLE_USER_WARNINGS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr("vaelab.evaluate.evaluate_config", interrupt)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", f"run={run().path}"])
    with pytest.raises(SystemExit) as stop:
        evaluate.main()
    assert stop.value.code == 130
    assert "the same command continues from there" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.log"))


def test_folder_of_a_new_run_is_new(tmp_path):
    first = Path(hydra_app.run_folder(None, str(tmp_path), "mine"))
    assert hydra_app.run_folder(None, str(tmp_path), "mine") == str(first)  # hydra asks again
    hydra_app.run_folder.cache_clear()  # as in another process
    second = Path(hydra_app.run_folder(None, str(tmp_path), "mine"))
    assert first.parent == second.parent == tmp_path / "mine"
    assert first != second
    assert list(first.iterdir()) == list(second.iterdir()) == []

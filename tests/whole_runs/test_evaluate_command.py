"""scripts/evaluate.py as it is typed."""

from pathlib import Path

import pytest

from vaelab.runs.folder import RunFolder

SCRIPT = Path(__file__).parents[2] / "scripts" / "evaluate.py"


@pytest.fixture
def ask(command, finish):
    """Overrides -> exit code, output and errors of scripts/evaluate.py with them."""
    return lambda *overrides: finish(command(*overrides, script=SCRIPT))


def test_run_without_factors_gets_what_makes_sense(run, ask):
    folder = run()
    small = ("metrics.importance_weighted.num_samples=5", "metrics.decomposition.num_samples=50")
    code, out, err = ask(f"run={folder.path}", "num_threads=1", "figures=false", *small)
    assert code == 0, out
    assert "no factors for beta_vae_score, factor_vae_score, mig, dci" in out
    assert "importance_weighted_bound" in out
    known = folder.read_metrics()
    assert known["metrics/elbo"] < known["metrics/importance_weighted_bound"] + 1
    assert f"metrics   {folder.metrics}" in out

    code, out, err = ask(f"run={folder.path}", "num_threads=1", "figures=false", *small)
    assert code == 0, err
    assert "kept      unsupervised, elbo, importance_weighted, decomposition" in out


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([], "evaluate expects run=<a run folder"),
        (["run=nothing"], "a folder of runs, or a checkpoint>, got nothing;"),
        (["run={run}/checkpoints"], "expected a run folder or a folder of runs"),
        (["run={run}", "metrics=[mig]"], "mig expects ground-truth factors"),
        (["run={run}", "metrics=[migg]"], "did you mean mig"),
        (["run={run}", "metrics.elbo.num_image=3"], "nearest: metrics.elbo.num_images"),
        (["run={run}", "checkpoint=newest"], "expected a checkpoint called last or best"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence(whole_run, ask, overrides, sentence):
    path = whole_run().path
    code, _, err = ask(*(override.format(run=path) for override in overrides))
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_several_paths_with_one_command(run, ask, tmp_path):
    paths = [run(f"seed={seed}", name=f"run{seed}").path for seed in (0, 1)]
    overrides = ("metrics=[unsupervised]", "metrics.unsupervised.num_samples=100", "figures=false")
    code, out, err = ask("-m", f"run={paths[0]},{paths[1]}", "num_threads=1", *overrides)
    assert code == 0, err
    for path in paths:
        assert "metrics/gaussian_total_correlation" in RunFolder(path).read_metrics()
        assert f"run       {path}" in out
    assert not list(tmp_path.glob("*.yaml"))

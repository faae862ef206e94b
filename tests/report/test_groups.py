"""Runs as numbers: cells, groups, what differs, what is better, cells.csv."""

import csv

import numpy as np
import pytest

from vaelab.report import blocks, write_report
from vaelab.report.groups import groups
from vaelab.report.labels import title, value_name, with_unit
from vaelab.report.run_record import read_all
from vaelab.report.selection import higher_is_better, ranked
from vaelab.report.series import trails
from vaelab.report.settings import differing
from vaelab.report.sweep_plots import against_setting, rate_distortion
from vaelab.runs.folder import find_runs
from vaelab.runs.statistics import bootstrap


@pytest.fixture
def study(write_sweep):
    """Options of `synthetic.write_sweep` -> (its folder, its groups)."""

    def read(**options):
        folder, _ = write_sweep(**options)
        return folder, groups(read_all(find_runs(folder), folder)[0])

    return read


def test_cells_csv_has_every_number_of_every_cell(study):
    folder, (group,) = study(betas=(1, 16), seeds=range(3))
    written = write_report(folder, with_explorer=False)
    with written.cells.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = {key for record in group.records for key in record.metrics}
    assert len(rows) == 2 * len(keys)
    row = next(r for r in rows if r["metric"] == "metrics/mig" and r["objective.beta"] == "16")
    values = group.columns["metrics/mig"][3:]
    assert [record.metrics["metrics/mig"] for record in group.records][3:] == values.tolist()
    assert row["n"] == "3"
    for name, function in (("mean", np.mean), ("median", np.median)):
        found = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
        assert found == pytest.approx([function(values), *bootstrap(values, function)])
    assert (float(row["min"]), float(row["max"])) == (values.min(), values.max())


def test_cells_csv_has_no_interval_for_one_run(study):
    folder, _ = study(betas=(1,), seeds=[0])
    with write_report(folder, with_explorer=False).cells.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["n"], row["mean_low"], row["median_high"]) == ("1", "", "")
    assert row["mean"] == row["median"] == row["min"] == row["max"]


def test_groups_are_of_one_data_set_with_cells_in_order(study):
    _, found = study(data=("mnist", "fashion_mnist"), betas=(16, 2), latents=(4, 10), seeds=(0, 1))
    assert [group.label for group in found] == ["Fashion-MNIST", "MNIST"]
    for group in found:
        assert list(group.varied) == ["objective.beta", "latent_dim"]
        cells = [tuple(cell.settings.values()) for cell in group.cells]
        assert cells == [(2, 4), (2, 10), (16, 4), (16, 10)]
        assert sorted(np.concatenate([cell.rows for cell in group.cells])) == list(range(8))


@pytest.fixture
def changed(write_sweep):
    """(old, new) text of the configs of the runs of beta 1 -> the groups of the sweep."""

    def read(old, new):
        folder, runs = write_sweep(betas=(1, 4), seeds=(0, 1))
        for run in runs[:2]:
            text = (run / "config.yaml").read_text()
            assert old in text
            (run / "config.yaml").write_text(text.replace(old, new))
        return groups(read_all(find_runs(folder), folder)[0])

    return read


@pytest.mark.parametrize(
    ("old", "new", "labels"),
    [
        ("num_val: 10000", "num_val: 500", {"num val 500", "num val 10000"}),
        ("num_val: 10000", "num_val: 10000\n  image_size: 32", {"image size 32", "no image size"}),
        (
            "num_val: 10000",
            "num_val: 10000\n  factor_sizes: [3, 2]",
            {"factor sizes [3, 2]", "no factor sizes"},
        ),
        ("vaelab.data.MNIST", "mine.MNIST", {"mine.MNIST", "vaelab.data.MNIST"}),
        ("\npixels: ", "\npixels: un", None),
    ],
)
def test_runs_of_other_images_are_not_compared(changed, old, new, labels):
    found = changed(old, new)
    assert [len(group.records) for group in found] == [2, 2]
    assert labels is None or {group.label for group in found} == labels


def test_where_images_are_fetched_from_makes_no_group(changed):
    (group,) = changed("num_val: 10000", "num_val: 10000\n  url: elsewhere")
    assert group.label == ""


EMA = "callbacks:\n  ema:\n    _target_: pytorch_lightning.callbacks.EMAWeightAveraging\n"


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("callbacks:\n", EMA, {"EMAWeightAveraging", None}),
        ("    every_n_steps: 500", "    every_n_steps: 7", None),
        ("vaelab.objectives.BetaVAE", "mine.Other", {"Other", "BetaVAE"}),
        (
            "vaelab.objectives.BetaVAE",
            "mine.BetaVAE",
            {"mine.BetaVAE", "vaelab.objectives.BetaVAE"},
        ),
    ],
)
def test_what_changes_a_number_makes_a_cell(changed, old, new, values):
    """All runs have one beta, so that only the change tells them apart."""
    (group,) = changed(old, new)
    rows = [row | {"objective.beta": 1} for row in group.rows]
    (group,) = (type(group)(group.label, group.records, rows, group.statistic),)
    assert [len(cell.rows) for cell in group.cells] == ([2, 2] if values else [4])
    if values:
        (told,) = group.varied.values()
        assert set(told) == values


def test_numbers_of_one_split_are_compared(study):
    _, (group,) = study(betas=(1,), seeds=(0, 1))
    tested = group.column("test/elbo").tolist()
    assert group.columns["elbo"].tolist() == tested
    del group.records[0].metrics["test/reconstruction"]  # as a run without a test set
    (again,) = groups(group.records)
    assert again.columns["elbo"].tolist() == group.column("val/elbo").tolist() != tested


def test_trails_follow_a_setting_and_many_become_one(study):
    _, (group,) = study(betas=(1, 4), latents=(2, 4, 8), seeds=(0, 1))
    found = trails(group, "objective.beta")
    assert [trail.name for trail in found] == ["latent dim 2", "latent dim 4", "latent dim 8"]
    assert [trail.x.tolist() for trail in found] == [[1, 4]] * 3
    assert [len(cell.rows) for trail in found for cell in trail.cells] == [2] * 6


def test_more_trails_than_colours_are_pooled(study):
    _, (group,) = study(betas=(1, 4), latents=range(1, 9), seeds=(0, 1))
    (trail,) = trails(group, "objective.beta")
    assert [len(cell.rows) for cell in trail.cells] == [16, 16]
    caption = against_setting(group, "objective.beta", ["elbo"], "x").sentence
    assert "median of all runs of one objective.beta, whatever their other settings" in caption
    assert "over seeds" not in caption
    assert "of all runs of one objective.beta" in rate_distortion(group, "x").sentence


def test_caption_of_lines_of_cells(study):
    _, (group,) = study(betas=(1, 4), latents=(2, 4), seeds=(0, 1))
    caption = against_setting(group, "objective.beta", ["elbo"], "x").sentence
    assert "median of the runs of a cell. Bands: its 95 % bootstrap interval over seeds" in caption


def test_metrics_say_what_is_better(study):
    _, (group,) = study(betas=(1, 4), seeds=(0, 1))
    known = ("val/elbo", "val/kl", "val/kl_latent/3", "test/reconstruction", "metrics/mig", "other")
    assert [higher_is_better(group.records, key) for key in known] == [
        True, False, False, False, True, True
    ]  # fmt: skip
    costs = group.column("val/reconstruction")
    assert ranked(group, "val/reconstruction") == np.argsort(costs).tolist()
    entry = group.records[0].others["evaluations"]["mig"]
    entry["config"]["_target_"] = "vaelab.metrics.ReconstructionError"
    assert not higher_is_better(group.records, "metrics/mig")


def test_what_differs():
    rows = [
        {"seed": 0, "model.hidden": "[8]", "model.encoder.hidden": "[8]", "data": "A", "data.n": 1},
        {"seed": 1, "model.hidden": "[9]", "model.encoder.hidden": "[9]", "data": "B", "data.n": 2},
        {"seed": 1, "model.hidden": "[9]", "model.encoder.hidden": "[9]", "data": "B", "data.n": 2},
    ]
    assert list(differing(rows)) == ["data", "seed", "model.hidden"]
    assert list(differing(rows, but=("seed",))) == ["data", "model.hidden"]
    rows[2]["data.n"] = 3  # which data does not tell any more
    assert differing(rows)["data.n"] == [1, 2, 3]


def test_curves_are_not_read_for_a_sweep(study):
    folder, _ = study(betas=(1,), seeds=(0, 1))
    for run in find_runs(folder):
        run.curves.write_text("no,curves\nat,all\n")
    assert len(read_all(find_runs(folder), folder)[0]) == 2


def test_names():
    assert [title(n) for n in ("kl", "metrics/udr_lasso", "val/elbo", "test/active_units")] == [
        "KL", "UDR lasso", "validation ELBO", "test active units"
    ]  # fmt: skip
    assert with_unit("elbo") == "ELBO (nats per image)"
    assert with_unit("active_units") == "active units"
    assert value_name("objective.beta", 4) == value_name("objective.beta", 4.0) == "beta 4"
    assert value_name("objective", "BetaVAE") == "beta-VAE"
    assert value_name("objective.gamma", None) == "no gamma"


def test_what_comes_from_outside_is_no_markup():
    evil = "a|b `c` <i>\n**d**"
    table = blocks.Table(("run",), [(blocks.quoted(evil),)])
    section = blocks.Section("A <b> title", "a", [table, blocks.Words("2 <b>3</b> of [x](y)")])
    html = blocks.html([section])
    assert "<code>a|b &#x27;c&#x27; &lt;i&gt; **d**</code>" in html
    assert "<i>" not in html
    assert "<b>" not in html
    text = blocks.markdown("t", [section], "figures")
    assert "| `a\\|b 'c' <i> **d**` |" in text
    assert "2 \\<b\\>3\\</b\\> of \\[x\\](y)" in text

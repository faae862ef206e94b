"""Runs as numbers: settings, groups, options that differ, what is better, settings.csv."""

import csv

import numpy as np
import pytest

from vaelab.report import write_report
from vaelab.report.formatting import format_axis, format_metric, format_value
from vaelab.report.groups import group_runs
from vaelab.report.options import find_varied
from vaelab.report.ranking import higher_is_better, rank_runs
from vaelab.report.run_record import read_runs
from vaelab.report.sweep_figures import draw_against, draw_rate_distortion, split_into_series
from vaelab.runs.folder import find_runs
from vaelab.runs.statistics import bootstrap


@pytest.fixture
def study(write_sweep):
    """Options of `synthetic.write_sweep` -> (its folder, its groups)."""

    def read(**options):
        folder, _ = write_sweep(**options)
        return folder, group_runs(read_runs(find_runs(folder), folder)[0])

    return read


def test_settings_csv_has_every_number_of_every_setting(study):
    folder, (group,) = study(betas=(1, 16), seeds=range(4))
    written = write_report(folder, with_explorer=False)
    with written.settings.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = {key for record in group.records for key in record.metrics}
    assert len(rows) == 2 * len(keys)
    row = next(r for r in rows if r["metric"] == "metrics/mig" and r["objective.beta"] == "16")
    values = group.columns["metrics/mig"][4:]
    assert [record.metrics["metrics/mig"] for record in group.records][4:] == values.tolist()
    assert row["n"] == "4"
    for name, function in (("mean", np.mean), ("median", np.median)):
        found = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
        assert found == pytest.approx([function(values), *bootstrap(values, function)])
    assert (float(row["min"]), float(row["max"])) == (values.min(), values.max())


def test_fewer_than_four_runs_have_a_range_and_no_interval(study):
    """A bootstrap interval of three covers the median with 75 %, and the mean with less."""
    folder, (group,) = study(betas=(1,), seeds=range(3))
    values = group.columns["metrics/mig"]
    spread = group.spread(values)
    assert spread == (3, np.median(values), (values.min(), values.max()), True)
    assert not group.spread(np.append(values, 0.5)).is_range
    assert group.spread(values[:1]).bounds is None
    with write_report(folder, with_explorer=False).settings.open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["metric"] == "metrics/mig")
    assert {row[f"{name}_{end}"] for name in ("mean", "median") for end in ("low", "high")} == {""}
    assert (float(row["min"]), float(row["max"])) == (values.min(), values.max())


def test_settings_csv_has_no_interval_for_one_run(study):
    folder, _ = study(betas=(1,), seeds=[0])
    with write_report(folder, with_explorer=False).settings.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["n"], row["mean_low"], row["median_high"]) == ("1", "", "")
    assert row["mean"] == row["median"] == row["min"] == row["max"]


def test_groups_are_of_one_data_set_with_settings_in_order(study):
    _, found = study(data=("mnist", "fashion_mnist"), betas=(16, 2), latents=(4, 10), seeds=(0, 1))
    assert [group.label for group in found] == ["Fashion-MNIST", "MNIST"]
    for group in found:
        assert list(group.varied) == ["objective.beta", "latent_dim"]
        settings = [tuple(setting.options.values()) for setting in group.settings]
        assert settings == [(2, 4), (2, 10), (16, 4), (16, 10)]
        assert sorted(np.concatenate([one.rows for one in group.settings])) == list(range(8))


@pytest.fixture
def changed(write_sweep):
    """(old, new) text of the configs of the runs of beta 1 -> the groups of the sweep."""

    def read(old, new):
        folder, runs = write_sweep(betas=(1, 4), seeds=(0, 1))
        for run in runs[:2]:
            text = (run / "config.yaml").read_text()
            assert old in text
            (run / "config.yaml").write_text(text.replace(old, new))
        return group_runs(read_runs(find_runs(folder), folder)[0])

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
def test_what_changes_a_number_makes_a_setting(changed, old, new, values):
    """All runs have one beta, so that they differ in the change alone."""
    (group,) = changed(old, new)
    rows = [row | {"objective.beta": 1} for row in group.rows]
    (group,) = (type(group)(group.label, group.records, rows, group.statistic),)
    assert [len(setting.rows) for setting in group.settings] == ([2, 2] if values else [4])
    if values:
        (column,) = group.varied.values()
        assert set(column) == values


def test_numbers_of_one_split_are_compared(study):
    _, (group,) = study(betas=(1,), seeds=(0, 1))
    tested = group.column("test/elbo").tolist()
    assert group.columns["elbo"].tolist() == tested
    del group.records[0].metrics["test/reconstruction"]  # as a run without a test set
    (again,) = group_runs(group.records)
    assert again.columns["elbo"].tolist() == group.column("val/elbo").tolist() != tested


def test_series_follow_an_option(study):
    _, (group,) = study(betas=(1, 4), latents=(2, 4, 8), seeds=(0, 1))
    found = split_into_series(group, "objective.beta")
    assert [series.name for series in found] == ["latent dim 2", "latent dim 4", "latent dim 8"]
    assert [series.x.tolist() for series in found] == [[1, 4]] * 3
    assert [len(one.rows) for series in found for one in series.settings] == [2] * 6


def test_more_series_than_colours_are_pooled(study):
    _, (group,) = study(betas=(1, 4), latents=range(1, 9), seeds=(0, 1))
    (series,) = split_into_series(group, "objective.beta")
    assert [len(setting.rows) for setting in series.settings] == [16, 16]
    caption = draw_against(group, "objective.beta", ["elbo"], "x").sentence
    assert "median of all runs with one objective.beta, whatever their other options" in caption
    assert "Bands: 95 % bootstrap interval over those runs, seeds and settings alike." in caption
    assert "over seeds" not in caption
    assert "of all runs with one objective.beta" in draw_rate_distortion(group, "x").sentence


def test_caption_of_lines_of_settings(study):
    _, (group,) = study(betas=(1, 4), latents=(2, 4), seeds=(0, 1))
    caption = draw_against(group, "objective.beta", ["elbo"], "x").sentence
    assert caption == (
        "Lines: median over the seeds of a setting. Bands: from the smallest to the largest value. "
        "Dots: runs."
    )


def test_caption_of_bands_says_which_of_them_are_ranges(study):
    _, (group,) = study(betas=(1, 4, 8), seeds=range(4))
    caption = draw_against(group, "objective.beta", ["elbo"], "x").sentence
    assert "Bands: 95 % bootstrap interval over seeds. Dots" in caption
    group.records[0].metrics.pop("test/elbo")
    (again,) = group_runs(group.records)
    caption = draw_against(again, "objective.beta", ["elbo"], "x").sentence
    assert "interval over seeds, with fewer than 4 runs from the smallest to the largest" in caption


def test_metrics_say_what_is_better(study):
    _, (group,) = study(betas=(1, 4), seeds=(0, 1))
    known = ("val/elbo", "val/kl", "val/kl_latent/3", "test/reconstruction", "metrics/mig", "other")
    assert [higher_is_better(group.records, key) for key in known] == [
        True, False, False, False, True, True
    ]  # fmt: skip
    costs = group.column("val/reconstruction")
    assert rank_runs(group, "val/reconstruction") == np.argsort(costs).tolist()
    entry = group.records[0].others["evaluations"]["mig"]
    entry["config"]["_target_"] = "vaelab.metrics.ReconstructionError"
    assert not higher_is_better(group.records, "metrics/mig")


def test_what_differs():
    rows = [
        {"seed": 0, "model.hidden": "[8]", "model.encoder.hidden": "[8]", "data": "A", "data.n": 1},
        {"seed": 1, "model.hidden": "[9]", "model.encoder.hidden": "[9]", "data": "B", "data.n": 2},
        {"seed": 1, "model.hidden": "[9]", "model.encoder.hidden": "[9]", "data": "B", "data.n": 2},
    ]
    assert list(find_varied(rows)) == ["data", "seed", "model.hidden"]
    assert list(find_varied(rows, ignore=("seed",))) == ["data", "model.hidden"]
    rows[2]["data.n"] = 3  # which data does not determine any more
    assert find_varied(rows)["data.n"] == [1, 2, 3]


def test_curves_are_not_read_for_a_sweep(study):
    folder, _ = study(betas=(1,), seeds=(0, 1))
    for run in find_runs(folder):
        run.curves.write_text("no,curves\nat,all\n")
    assert len(read_runs(find_runs(folder), folder)[0]) == 2


def test_names():
    keys = ("kl", "metrics/udr_lasso", "val/elbo", "test/active_units")
    names = ["KL", "UDR lasso", "validation ELBO", "test active units"]
    assert [format_metric(key) for key in keys] == names
    assert format_axis("elbo") == "ELBO (nats per image)"
    assert format_axis("active_units") == "active units"
    assert format_value("objective.beta", 4) == format_value("objective.beta", 4.0) == "beta 4"
    assert format_value("objective", "BetaVAE") == "beta-VAE"
    assert format_value("objective.gamma", None) == "no gamma"

"""Sweeps over labels: runs over label seeds, their errors, and where the curves cross."""

import csv
import io

import numpy as np
import pytest

from vaelab.report.blocks import Figures, Paragraph, pieces
from vaelab.report.correlations import explain_variance
from vaelab.report.errors_by_labels import plot_errors_by_labels
from vaelab.report.groups import group_runs
from vaelab.report.ranking import compare_settings, higher_is_better
from vaelab.report.run_record import Record
from vaelab.report.sweep_figures import draw_against
from vaelab.report.tables import tabulate_settings, write_settings_csv
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State

BAYES, DISCRIMINATIVE = "metrics/bayes_error", "metrics/discriminative_error"


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """The lines and the name of the images that are drawn; no picture is rendered."""
    seen = []
    monkeypatch.setattr("vaelab.figures.to_svg", lambda drawing: "<svg></svg>")
    monkeypatch.setattr("vaelab.figures.to_png", lambda drawing, dpi: b"\x89PNG")
    monkeypatch.setattr(
        "vaelab.figures.plot_error_by_labels", lambda lines, images: seen.append((lines, images))
    )
    return seen


def record(num, label_seed, seed=0, objective="VAE", **metrics):
    config = {
        "seed": seed,
        "labels": {"num": num, "seed": label_seed},
        "objective": {"_target_": f"vaelab.objectives.{objective}"},
    }
    numbers = {name.replace("__", "/"): value for name, value in metrics.items()}
    name = f"{objective}-{num}-{label_seed}-{seed}"
    return Record(RunFolder(name), name, {"state": State.FINISHED}, config, numbers)


def both(num, label_seed, bayes, discriminative, **options):
    return record(
        num, label_seed, test__reconstruction=1.0, **options,
        metrics__bayes_error=bayes, metrics__discriminative_error=discriminative,
    )  # fmt: skip


def sweep(gaps, noise=(0.0, 0.1, 0.05), spread=(0.0, 0.002, -0.002)):
    """Runs whose errors move with the label seed by `noise`, and their gap by `spread`."""
    return [
        both(num, s, 0.2 + noise[s] + gap + spread[s], 0.2 + noise[s])
        for num, gap in gaps.items()
        for s in range(len(noise))
    ]


def sentences(records, **options):
    (group,) = group_runs(records, **options)
    blocks = list(plot_errors_by_labels(group, ""))
    return ["".join(pieces(block.text)) for block in blocks if isinstance(block, Paragraph)]


def test_label_seeds_and_seeds_are_repetitions_of_a_setting():
    records = [both(num, s, 0.1 * s, 0.2, seed=seed)
               for num in (100, 300) for s in range(3) for seed in (0, 1)]  # fmt: skip
    (group,) = group_runs(records)
    assert list(group.varied) == ["labels.num"]
    assert [one.num_seeds for one in group.settings] == [{"seed": 2, "labels.seed": 3}] * 2
    assert group.seed_names == "seeds and label seeds"
    spread = group.spread(group.columns[BAYES][group.settings[0].rows])
    assert (spread.n, spread.value) == (6, pytest.approx(0.1))
    table = next(iter(tabulate_settings(group)))
    assert table.head[:4] == ("labels.num", "n", "seeds", "label seeds")
    assert [row[:4] for row in table.rows] == [("100", "6", "2", "3"), ("300", "6", "2", "3")]
    assert "the median over its seeds and label seeds" in table.caption
    assert "Runs that share one of these count as independent." in table.caption
    (row, *_) = csv.DictReader(io.StringIO(write_settings_csv([group])))
    assert (row["labels.num"], row["n"], row["seeds"], row["label_seeds"]) == ("100", "6", "2", "3")
    assert "labels.seed" not in row


def test_seeds_that_move_together_are_both_named():
    (group,) = group_runs([both(100, s, 0.1, 0.2, seed=s) for s in range(3)])
    assert group.seed_names == "seeds and label seeds"
    assert group.settings[0].num_seeds == {"seed": 3, "labels.seed": 3}


def test_a_label_seed_chooses_nothing_where_all_labels_are_known():
    (group,) = group_runs([both(num, s, 0.1, 0.2) for num in (100, None) for s in range(3)])
    known = {one.options["labels.num"]: one.num_seeds for one in group.settings}
    assert known == {100: {"seed": 1, "labels.seed": 3}, None: {"seed": 1, "labels.seed": 1}}
    (group,) = group_runs([both(None, s, 0.1, 0.2, seed=s) for s in range(3)])
    assert group.seed_names == "seeds"
    assert "label seeds" not in next(iter(tabulate_settings(group))).head


def test_other_sentences_name_the_label_seeds():
    (group,) = group_runs(sweep({100: -0.02, 1000: 0.02}))
    caption = draw_against(group, "labels.num", [BAYES], "x").sentence
    assert "Lines: median over the label seeds of a setting." in caption
    group.records[0].others["evaluations"] = {"bayes_classifier": {"scores": ["bayes_error"]}}
    group.records[0].config["evaluation"] = {"bayes_classifier": {}}
    (paragraph,) = compare_settings(group, None)
    assert "num 100 has the lowest median Bayes error" in paragraph.text
    assert "3 label seeds cannot separate it" in paragraph.text
    table = list(explain_variance(group, ""))[-1]
    assert table.caption.endswith("The share of the seed is that of the label seeds.")


def test_a_lower_error_is_better():
    assert not higher_is_better([], BAYES)
    assert not higher_is_better([], "test/error")


def test_curves_have_intervals_over_label_seeds(drawn):
    sentences(sweep({100: -0.02, 1000: 0.02}))
    ((lines, images),) = drawn
    assert images == "test"
    assert [line.name for line in lines] == ["Bayes error", "discriminative error"]
    assert lines[1].x.tolist() == [100, 1000]
    assert lines[1].centre.tolist() == [0.25, 0.25]
    np.testing.assert_allclose([lines[1].low, lines[1].high], [[0.2] * 2, [0.3] * 2])


def test_where_curves_cross():
    """Linear in log(labels) between the medians: 0.018 below, 0.022 above, 0 at 10^2.45 = 282."""
    (text,) = sentences(sweep({30: -0.06, 100: -0.02, 1000: 0.02}, spread=(0.0, 0.001, 0.002)))
    assert text == (
        "The curves of the Bayes error and the discriminative error cross between 100 and 1,000 "
        "labels, near 280: the Bayes error is lower by 1.90 (1.80 to 2.00) points at 100 and "
        "higher by 2.10 (2.00 to 2.20) points at 1,000; all runs agree on the order, as 3 runs "
        "would by chance with probability 25 %."
    )


def test_runs_of_one_label_seed_are_paired():
    """Errors of the label seeds are 0.1 apart, their differences 0.004: the ranges overlap."""
    (text,) = sentences(sweep({100: -0.02, 1000: 0.02}))
    assert "all runs agree on the order" in text
    assert "(1.80 to 2.20) points" in text


def test_differences_that_include_0_cannot_tell():
    (text,) = sentences(sweep({100: -0.001, 1000: 0.02}))
    assert "cross between 100 and 1,000 labels" in text
    assert text.endswith(
        "; at 100 labels the paired differences include 0, so that these runs cannot tell which "
        "is lower there."
    )


def test_curves_that_do_not_cross():
    (text,) = sentences(sweep({100: 0.2, 300: 0.1, 1000: 0.05}))
    assert text.startswith(
        "The Bayes error is higher than the discriminative error from 100 to 1,000 labels, "
        "where the curves do not cross; they are closest at 1,000 labels, by 5.00 (4.80 to 5.20) "
        "points"
    )
    (text,) = sentences(sweep({100: -0.2, 300: -0.1}))
    assert "The Bayes error is lower than the discriminative error" in text
    assert "closest at 300 labels" in text


def test_four_label_seeds_have_intervals():
    noise, spread = (0.0, 0.1, 0.05, 0.02), (0.0, 0.002, -0.002, 0.001)
    (text,) = sentences(sweep({100: -0.02, 1000: 0.02}, noise, spread))
    assert "[" in text
    assert text.endswith("; none of the intervals of paired differences includes 0.")


def test_one_run_says_so():
    (text,) = sentences(sweep({100: 0.2, 300: 0.1}, noise=(0.0,)))
    assert text.endswith("(one run, so that the seeds may decide the order).")


def test_equal_curves():
    runs = [both(num, 0, 0.2, 0.2) for num in (100, 300)]
    assert sentences(runs) == [
        "The Bayes error and the discriminative error are equal from 100 to 300 labels."
    ]


def test_q_of_m2_is_paired_by_seed_and_label_seed(drawn):
    """Its runs have no discriminative error: that of the other runs, in another order, counts."""
    noise = {0: 0.0, 1: 0.1, 2: 0.05}
    runs = [both(num, s, 0.3, 0.2 + noise[s]) for num in (100, 1000) for s in (0, 1, 2)]
    for num, gap in {100: -0.05, 1000: 0.05}.items():
        for s in (2, 0, 1):
            error = 0.2 + noise[s] + gap
            facts = {"test__error": error, "test__reconstruction": 1.0}
            runs.append(record(num, s, objective="M2", **facts))
    text, _ = sentences(runs)
    assert text.startswith(
        "The curves of the error of q(y|x) (M2) and the discriminative error (VAE) cross"
    )
    assert "lower by 5 (5 to 5) points" in text.replace("5.00", "5")
    assert len(drawn[0][0]) == 3


def test_no_figure_without_several_numbers_of_labels_or_errors():
    (group,) = group_runs([both(100, s, 0.1, 0.2) for s in range(3)])
    assert not list(plot_errors_by_labels(group, ""))
    (group,) = group_runs([record(num, 0, val__elbo=-1.0) for num in (100, 300)])
    assert not list(plot_errors_by_labels(group, ""))


def test_figures_beyond_the_colours_are_named(drawn):
    runs = [both(num, 0, 0.1, 0.2, objective=f"Mine{i}") for num in (100, 300) for i in range(5)]
    (group,) = group_runs(runs)
    figures, paragraph, *_ = plot_errors_by_labels(group, "1_")
    assert isinstance(figures, Figures)
    assert figures.members[0].name == "1_errors_by_labels"
    assert len(drawn[0][0]) == 7
    assert paragraph.text.startswith("Not drawn: discriminative error (Mine3), ")

"""The report of several runs: their states and settings, the answer, the best, what is left out."""

import json
import re

import pytest

from vaelab.errors import UserError
from vaelab.load import find_finished_runs
from vaelab.report import sweep_page, write_report
from vaelab.runs.folder import RunFolder

from .conftest import SCORES, final_metrics
from .test_page import EVIL, Document, assert_no_html


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures are composed and not rendered, which takes most of the time of a report."""
    monkeypatch.setattr("vaelab.figures.to_svg", lambda drawing: "<svg></svg>")
    monkeypatch.setattr("vaelab.figures.to_png", lambda drawing, dpi: b"\x89PNG")


# Tests of sentences and tables over ordinary numbers; all others draw what they have, odd or not.
words_only = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def several(write_run, tmp_path):
    """Three finished runs that differ in beta and width, and a failed one."""
    for number, (beta, width, elbo) in enumerate([(1, 8, -30.0), (4, 16, -20.0), (16, 8, -40.0)]):
        overrides = ("model=mlp", f"objective.beta={beta}", f"model.hidden=[{width}]")
        metrics = final_metrics(elbo) | SCORES | {"metrics/mig": 0.1 * number}
        write_run(*overrides, name=f"sweep/time/{number}", metrics=metrics)
    failed = write_run("model=mlp", name="sweep/time/3", state="failed", error="ValueError: it")
    failed.metrics.unlink()
    return tmp_path / "sweep"


def text_of(folder, **options):
    return Document(write_report(folder, **options).page.read_text(encoding="utf-8"))


def markdown_of(folder, **options):
    return write_report(folder, with_explorer=False, **options).markdown.read_text()


def edit(path, **changes):
    """Put numbers into a metrics.json; None takes one out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_states_of_the_runs(several):
    text = text_of(several, with_explorer=False).text
    assert "4 runs: 3 finished, 1 failed." in text
    # model.hidden and the widths interpolated from it are one option.
    assert "They differ in model.hidden (" in text
    assert (
        "1 run is missing from all that follows: run state error time/3 failed ValueError: it"
        in text
    )
    assert "time/1 [16] 4 \u221220 18.75 2.750 2 0.1000 0.5000" in text


def test_the_best_run_has_the_explorer(several):
    document = text_of(several)
    assert (
        "The highest validation ELBO of 3 runs is that of time/1 (\u221220); the median run is "
        "time/0 (\u221230)." in document.text
    )
    assert ("h2", "Latent explorer of time/1") in document.headings
    assert ("h2", "Latent explorer of time/1") not in text_of(several, with_explorer=False).headings


@words_only
def test_the_best_is_by_the_number_that_was_asked_for(several):
    text = markdown_of(several, by="metrics/mig")
    assert "The highest MIG of 3 runs is that of `time/2` (0.2000)" in text
    # The ELBO is shown beside it.
    assert "The highest validation ELBO of 3 runs is that of `time/1`" in text
    assert text.index("is that of `time/2`") < text.index("is that of `time/1`")
    assert ("h2", "Latent explorer of time/2") in text_of(several, by="metrics/mig").headings
    text = markdown_of(several, by="val/kl")
    assert "The lowest validation KL of 3 runs is that of" in text
    with pytest.raises(UserError, match=r"by expects a number .* did you mean metrics/mig"):
        write_report(several, by="metrics/mgi")


def test_errors_of_few_labels_are_on_the_page(write_run, tmp_path):
    for num, seed in ((10, 0), (10, 1), (40, 0), (40, 1)):
        errors = {"bayes": 0.2 + 0.01 * seed, "discriminative": 0.1 + 4 / num}
        metrics = final_metrics() | {f"metrics/{name}_error": e for name, e in errors.items()}
        words = ("model=mlp", f"labels.num={num}", f"labels.seed={seed}")
        write_run(*words, name=f"sweep/{num}_{seed}", metrics=metrics)
    document = text_of(tmp_path / "sweep", with_explorer=False)
    assert ("h2", "Errors against the number of labels") in document.headings
    assert (
        "cross between 10 and 40 labels, near 39: the Bayes error is lower by 29.5 (29 to 30) "
        "points at 10 and higher by 0.5"
    ) in document.text.replace(".00", "").replace(".0 ", " ").replace(".0)", ")")
    assert "at 40 labels the paired differences include 0" in document.text
    assert "Settings (median over label seeds)" in document.text


def test_nan_is_never_best(several):
    RunFolder(several / "time" / "0").add_metrics({"val/elbo": float("nan")})
    text = text_of(several, with_explorer=False).text
    assert "The highest validation ELBO of 2 runs is that of time/1" in text
    assert "ELBO: no finite number in 1 of 3 finished runs, time/0" in text


def test_figures_beyond_the_budget_are_named(several, monkeypatch):
    assert "Left out" not in text_of(several, with_explorer=False).text
    monkeypatch.setattr(sweep_page, "FIGURE_BYTES", 100)  # one of these PNG has 70 bytes
    document = text_of(several, with_explorer=False)
    assert document.text.count("Left out to keep this page small") == 4
    assert "time/3/figures/zebra.png" in document.text


def test_many_runs_are_not_shown_one_by_one(several, monkeypatch):
    monkeypatch.setattr(sweep_page, "MAX_RUNS", 3)
    document = text_of(several, with_explorer=False)
    assert "The numbers of the 4 runs are in scores.csv" in document.text
    assert "zebra" not in document.text


@words_only
def test_settings_have_the_median_over_their_seeds(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(4))
    for run, value in zip(runs, (0.5, 0.1, 0.2, 0.3, 0.25, 0.75, 0.35, 0.45), strict=True):
        edit(run / "metrics.json", **{"metrics/mig": value})
    text = markdown_of(folder)
    rows = table_of(text, "`objective.beta`")
    assert [row["`objective.beta`"] for row in rows] == ["`1`", "`4`"]
    assert [row["MIG"] for row in rows] == ["0.2500 [0.1000, 0.5000]", "0.4000 [0.2500, 0.7500]"]
    assert "the median over its seeds \\[95 % bootstrap interval\\]; n: finished runs" in text
    assert "bootstrap intervals of so few are too narrow" in text
    rows = table_of(markdown_of(folder, statistic="mean"), "`objective.beta`")
    assert rows[0]["MIG"].startswith("0.2750 [")


@words_only
def test_fewer_than_four_runs_have_a_range(write_sweep):
    """Their bootstrap interval is no interval of 95 %."""
    folder, runs = write_sweep(betas=(1, 4), seeds=range(3))
    for run, value in zip(runs, (0.5, 0.1, 0.2, 0.25, 0.75, 0.35), strict=True):
        edit(run / "metrics.json", **{"metrics/mig": value})
    text = markdown_of(folder)
    rows = table_of(text, "`objective.beta`")
    ranges = ["0.2000 (0.1000 to 0.5000)", "0.3500 (0.2500 to 0.7500)"]
    assert [row["MIG"] for row in rows] == ranges
    assert "the median over its seeds (smallest to largest value); n: finished runs" in text
    settings = text[text.index("## Settings") : text.index("## Metrics against")]
    assert "95 %" not in settings
    rows = table_of(markdown_of(folder, statistic="mean"), "`objective.beta`")
    assert rows[0]["MIG"] == "0.2667 (0.1000 to 0.5000)"


MIG_OF_SIX = {
    "2 seeds cannot separate it from beta 1 or beta 8": (0.045, 0.066, 0.041, 0.116, 0.016, 0.067),
    "2 seeds cannot separate it from beta 8": (0.01, 0.011, 0.061, 0.0605, 0.06, 0.0603),
    "with 2 seeds, it differs from every other setting": (0.01, 0.011, 0.09, 0.091, 0.05, 0.051),
}


@pytest.mark.parametrize(("ending", "values"), list(MIG_OF_SIX.items()))
@words_only
def test_the_answer_is_a_sentence_on_top(write_sweep, ending, values):
    folder, runs = write_sweep(betas=(1, 4, 8), seeds=(0, 1))
    for run, value in zip(runs, values, strict=True):
        edit(run / "metrics.json", **{"metrics/mig": value})
    text = markdown_of(folder, by="metrics/mig")
    first, second = text.split("\n\n")[2:4]
    low, high = sorted(values[2:4])
    numbers = [f"{one:.3g}" for one in ((low + high) / 2, low, high)]
    assert first.startswith("beta 4 has the highest median MIG, ")
    assert [float(one) for one in re.findall(r"0\.\d+", first)] == pytest.approx(
        [float(one) for one in numbers], rel=1e-2
    )
    assert first.endswith(f"; {ending} (Tukey's test, 5 %).")
    assert second.startswith("beta 1 has the highest median validation ELBO, ")


@words_only
def test_the_answer_without_seeds_or_with_one_setting(write_sweep):
    text = markdown_of(write_sweep(betas=(1, 4), seeds=[0])[0])
    assert "with one seed per setting, the differences may all be due to the seed." in text


def test_the_answer_of_one_setting(write_sweep):
    text = markdown_of(write_sweep(betas=(4,), seeds=(0, 1))[0])
    assert re.search("There is one setting; its median validation ELBO is .* over 2 seeds.", text)


@words_only
def test_the_answer_of_many_settings_names_a_few(write_sweep):
    """Of one number with noise larger than its range, all others may be as good."""
    folder, runs = write_sweep(betas=range(1, 9), seeds=(0, 1))
    for i, run in enumerate(runs):
        value = [9.0, 9.1] if i // 2 < 6 else [-500.0, -500.1]
        edit(run / "metrics.json", **{"val/elbo": value[i % 2] + i / 1e3})
    text = markdown_of(folder)
    assert "2 seeds cannot separate it from 5 other settings (Tukey's test, 5 %)." in text
    for i, run in enumerate(runs):
        edit(run / "metrics.json", **{"val/elbo": [9.0, 10.0][i % 2] + i / 1e3})
    assert "2 seeds cannot separate it from any other setting" in markdown_of(folder)


@words_only
def test_the_metric_that_the_sweep_was_evaluated_by_comes_first(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=(0, 1))
    evaluation = "\nevaluation:\n  sap: {}\n  dci_disentanglement: {}\n"
    for run in runs:
        config = (run / "config.yaml").read_text()
        assert "\nevaluation: {}\n" in config
        (run / "config.yaml").write_text(config.replace("\nevaluation: {}\n", evaluation))
    text = markdown_of(folder)
    metrics = re.findall("has the (?:high|low)est median (.*?), ", text)
    assert metrics == ["DCI disentanglement", "validation ELBO"]
    assert re.findall("The highest (.*?) of 4 runs is that of", text) == metrics
    assert re.findall("The highest (.*?) of 4", markdown_of(folder, by="metrics/sap"))[0] == "SAP"


def test_names_from_outside_are_no_markup(write_sweep):
    """Names of runs, options and groups, values and errors."""
    folder, runs = write_sweep(data=("mnist", "fashion_mnist"), betas=(1, 4), seeds=(0, 1))
    for i, run in enumerate(runs):
        config = (run / "config.yaml").read_text() + f"\n'../*x*|<b>': {i}\n'<u>_y_': 'a|<s>*b*'\n"
        (run / "config.yaml").write_text(config.replace("vaelab.data.MNIST", f"'<i>{EVIL}</i>'"))
        (run / "metrics.json").write_text(
            (run / "metrics.json").read_text().replace("metrics/sap", "metrics/<em>*_sap")
        )
    (runs[0] / "status.json").write_text(json.dumps({"state": "failed", "error": EVIL}))
    runs[1].rename(runs[1].with_name("*<q>* `name`"))
    paths = write_report(folder, where=["objective=BetaVAE"], with_explorer=False)
    page = paths.page.read_text()
    assert not re.search("<(b|u|s|i|em|q)>(?!4 runs|1 run|[^<]*</b>)", page)
    assert EVIL not in page
    assert Document(page).open == []
    assert_no_html(paths.markdown.read_text())
    written = {path.parent for path in folder.parent.rglob("*against*")}
    assert written == {folder / "figures"}


def table_of(markdown, head):
    """The rows of the first table whose first head is `head`."""
    lines = markdown.replace("\\[", "[").replace("\\]", "]").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {head} |"))
    heads, _, *rows = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in lines[start : lines.index("", start)]
    )
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_runs_without_numbers_are_counted_and_named(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(5))
    states = ("planned", "pruned", "interrupted", "killed")
    for run, state in zip(runs, states, strict=False):
        (run / "status.json").write_text(json.dumps({"state": state, "error": "a | b <c>"}))
    for run in runs[5:9]:
        edit(run / "metrics.json", **{"metrics/mig": None})
    text = markdown_of(folder)
    rows = table_of(text, "`objective.beta`")
    assert [row["n"] for row in rows] == ["1 of 5", "5"]
    assert [row["MIG"].rpartition("(")[2] for row in rows][1] == "n = 1)"
    assert "10 runs: 4 planned" not in text
    assert "**4 runs are missing**" in text
    assert [row["state"] for row in table_of(text, "run")] == list(states)
    assert "`a \\| b <c>`" in text
    assert f"MIG: no finite number in 4 of 6 finished runs, `{runs[5].name}`" in text
    assert "and 1 more." in text


def test_runs_that_stopped_early_have_numbers_and_those_out_of_time_are_missing(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(3))
    facts = {"step": 80, "num_steps": 2500}
    for run, state in zip(runs, ("stopped early", "stopped early", "out of time"), strict=False):
        (run / "status.json").write_text(json.dumps({"state": state} | facts))
    text = markdown_of(folder)
    assert "6 runs: 2 stopped early, 1 out of time, 3 finished." in text
    assert [row["n"] for row in table_of(text, "`objective.beta`")] == ["2 of 3", "3"]
    assert "**1 run is missing**" in text
    (row,) = table_of(text, "run")
    assert (row["state"], row["error"]) == ("out of time", "step 80 of 2,500")
    assert len(find_finished_runs(folder)) == 5


def test_data_sets_have_their_own_tables_and_best_runs(write_sweep):
    folder, _ = write_sweep(data=("mnist", "fashion_mnist"), betas=(1, 4), seeds=range(2))
    text = markdown_of(folder)
    assert "ELBOs are not comparable between data sets" in text
    assert text.count("### MNIST") == text.count("### Fashion-MNIST") >= 5
    assert text.count("The highest validation ELBO of 4 runs is that of `data-mnist_") == 1
    assert text.count("The highest validation ELBO of 4 runs is that of `data-fashion_mnist_") == 1
    assert "explorer" not in text_of(folder).text


@words_only
def test_an_objective_that_differs_does_not_hide_its_beta(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(2))
    for run in runs[:2]:
        config = (run / "config.yaml").read_text()
        assert "vaelab.objectives.BetaVAE" in config
        (run / "config.yaml").write_text(config.replace("objectives.BetaVAE", "objectives.Other"))
    # Each objective has one beta, which its name then determines.
    assert len(table_of(markdown_of(folder), "`objective`")) == 2
    (runs[2] / "config.yaml").write_text(config.replace("beta: 1", "beta: 9"))
    assert len(table_of(markdown_of(folder), "`objective.beta`")) == 3


@pytest.mark.parametrize(
    ("conditions", "num"),
    [(["objective.beta=4.0"], 2), (["data=Fashion_mnist"], 4), (["data=mnist", "seed=1"], 2)],
)
def test_where_keeps_some_runs(write_sweep, conditions, num):
    folder, _ = write_sweep(data=("mnist", "fashion_mnist"), betas=(1, 4), seeds=range(2))
    wanted = num if conditions != ["objective.beta=4.0"] else 4
    assert f"\n{wanted} runs: {wanted} finished." in markdown_of(folder, where=conditions)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("objective.bta=4", "no run has an option 'objective.bta'; did you mean objective.beta"),
        ("objective.beta", "where expects option=value, got 'objective.beta'"),
        (
            "objective.beta=3",
            "where expects a value that runs have, got objective.beta=3; objective.beta is 1, 4",
        ),
    ],
)
def test_where_that_fits_no_run_is_rejected(write_sweep, condition, sentence):
    folder, _ = write_sweep(betas=(1, 4), seeds=[0])
    with pytest.raises(UserError, match=sentence):
        write_report(folder, where=[condition])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[1]"),
        ("metrics.json", '{"scores": 3, "val/elbo": -1}'),
        ("metrics.json", '{"evaluations": [1], "val/elbo": -1}'),
        ("config.yaml", "a: ["),
        ("config.yaml", "- 1"),
        ("status.json", "[]"),
        ("status.json", "{}"),
        ("provenance.json", "nothing"),
    ],
)
def test_one_broken_file_costs_one_run(write_sweep, file, content):
    folder, runs = write_sweep(betas=(1,), seeds=range(3))
    (runs[1] / file).write_text(content)
    text = markdown_of(folder)
    assert "3 runs: 2 finished, 1 " in text
    (row,) = table_of(text, "run")
    assert row["run"] == f"`{runs[1].name}`"
    assert row["state"] in ("unreadable", "failed")
    assert len(row["error"]) > 10


def test_only_failed_runs_give_a_page_that_says_so(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=[0])
    for run in runs:
        (run / "status.json").write_text('{"state": "failed", "error": "ValueError: no"}')
        (run / "metrics.json").unlink()
    document = text_of(folder)
    assert "2 runs: 2 failed." in document.text
    assert "No run has finished, so that there are no numbers yet." in document.text
    assert [title for level, title in document.headings if level == "h2"] == ["Runs"]


def test_a_run_of_an_older_version_lacks_options(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=[0])
    config = (runs[0] / "config.yaml").read_text()
    (runs[0] / "config.yaml").write_text(config.replace("channels_last: true\n", ""))
    rows = table_of(markdown_of(folder), "`objective.beta`")
    assert [row["`channels_last`"] for row in rows] == ["\u2013", "`True`"]


@words_only
def test_udr_is_ranked_beside_the_scores_that_need_factors(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(2))
    for run, udr, mig in zip(runs, (0.1, 0.4, 0.3, 0.2), (1, 4, 3, 2), strict=True):
        edit(run / "metrics.json", **{"metrics/udr_lasso": udr, "metrics/mig": mig})
    text = markdown_of(folder)
    assert "Rank correlation of UDR lasso over 4 runs with: MIG 1," in text
    ranks = text.index(f"| `{runs[1].name}` | 0.400 | 4 |")
    assert ranks < text.index(f"| `{runs[2].name}` | 0.300 | 3 |")


@words_only
def test_without_udr_the_command_that_adds_it_is_given(write_sweep):
    folder, _ = write_sweep(betas=(1,), seeds=range(2), udr=False)
    command = f"`scripts/evaluate.py run={folder} metrics=[udr]`"
    assert f"No run has been ranked by UDR; {command} adds it." in markdown_of(folder)


def test_variance_without_seeds_is_not_made_up(write_sweep):
    folder, _ = write_sweep(betas=(1, 4, 16), seeds=[0])
    text = markdown_of(folder)
    assert "Seed and options cannot be separated" in text
    assert "so that there are no intervals" in text


def test_markdown_and_page_have_the_same_tables_and_figures(write_sweep):
    folder, _ = write_sweep(betas=(1, 4, 16), latents=(2, 8), seeds=range(2))
    written = write_report(folder, with_explorer=False)
    text, page = written.markdown.read_text(), written.page.read_text()
    linked = re.findall(r"\]\((figures/[^)]+\.png)\)", text)
    assert len(linked) == page.count('<figure class="paper">') == 5
    for link in linked:
        assert (folder / link).read_bytes().startswith(b"\x89PNG")
        assert (folder / link).with_suffix(".svg").exists()
    document = Document(page)
    assert all(address.startswith("data:") for address in document.addresses)
    for number in table_of(text, "`objective.beta`")[0].values():
        assert " ".join(number.replace("`", "").split()) in document.text


def test_figures_of_best_and_median_run_stand_side_by_side(several):
    text = markdown_of(several)
    assert "(figures/best_traversals.png)" in text
    assert "(figures/median_traversals.png)" in text
    original = several / "time" / "1" / "figures" / "traversals.png"
    assert (several / "figures" / "best_traversals.png").read_bytes() == original.read_bytes()


def test_samples_of_a_few_settings_stand_side_by_side(several):
    text = markdown_of(several)
    shown = re.findall(r"\(figures/samples_(\d)\.png\)", text)
    assert shown == [str(i) for i in range(len(shown))]
    assert len(shown) > 1
    for i in shown:
        assert (several / "figures" / f"samples_{i}.png").read_bytes().startswith(b"\x89PNG")


def test_samples_of_many_settings_do_not(several, monkeypatch):
    monkeypatch.setattr("vaelab.report.ranking.MAX_SAMPLED", 1)
    assert "figures/samples_" not in markdown_of(several)

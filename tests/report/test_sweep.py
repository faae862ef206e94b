"""The page of several runs: what became of them, their cells, who is best, what was left out."""

import json
import re

import pytest

from vaelab.errors import UserError
from vaelab.report import sweep, write_report
from vaelab.runs.folder import RunFolder

from .conftest import SCORES, final_metrics
from .test_page import Document


@pytest.fixture
def several(write_run, tmp_path):
    """Three finished runs of other beta and width, and a failed one."""
    for number, (beta, width, elbo) in enumerate([(1, 8, -30.0), (4, 16, -20.0), (16, 8, -40.0)]):
        words = ("model=mlp", f"objective.beta={beta}", f"model.hidden=[{width}]")
        metrics = final_metrics(elbo) | SCORES | {"metrics/mig": 0.1 * number}
        write_run(*words, name=f"sweep/time/{number}", metrics=metrics)
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


def test_what_became_of_the_runs(several):
    text = text_of(several, with_explorer=False).text
    assert "4 runs: 3 finished, 1 failed." in text
    # model.hidden and the widths interpolated from it are one setting.
    assert "They differ in model.hidden (" in text
    assert (
        "1 run is missing from all that follows: run state error time/3 failed ValueError: it"
        in text
    )
    assert "time/1 [16] 4 \u221220 18.75 2.750 2 0.1000 0.5000" in text


def test_the_best_run_has_the_explorer(several):
    document = text_of(several)
    assert "the largest validation ELBO has time/1 ( \u221220); in the middle is time/0" in (
        document.text.replace("(\u2212", "( \u2212")
    )
    assert ("h2", "Latent explorer of time/1") in document.headings
    assert ("h2", "Latent explorer of time/1") not in text_of(several, with_explorer=False).headings


def test_the_best_is_by_the_number_that_was_asked_for(several):
    assert "the largest MIG has `time/2` (0.2000)" in markdown_of(several, by="metrics/mig")
    assert "the least validation KL has" in markdown_of(several, by="val/kl")
    with pytest.raises(UserError, match=r"--by expects a number .* metrics/mig"):
        write_report(several, by="metrics/mgi")


def test_nan_is_never_best(several):
    RunFolder(several / "time" / "0").add_metrics({"val/elbo": float("nan")})
    text = text_of(several, with_explorer=False).text
    assert "validation ELBO has time/1" in text
    assert "ELBO: no finite number in 1 of 3 finished runs, time/0" in text


def test_figures_beyond_the_budget_are_named(several, monkeypatch):
    assert "Left out" not in text_of(several, with_explorer=False).text
    monkeypatch.setattr(sweep, "FIGURE_BYTES", 100)  # one of these PNG has 70 bytes
    document = text_of(several, with_explorer=False)
    assert document.text.count("Left out to keep this page small") == 4
    assert "time/3/figures/zebra.png" in document.text


def test_many_runs_are_not_told_one_by_one(several, monkeypatch):
    monkeypatch.setattr(sweep, "MAX_RUNS", 3)
    document = text_of(several, with_explorer=False)
    assert "The 4 runs are in scores.csv" in document.text
    assert "zebra" not in document.text


def test_cells_have_the_median_over_their_seeds(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(3))
    for run, value in zip(runs, (0.5, 0.1, 0.2, 0.25, 0.75, 0.35), strict=True):
        edit(run / "metrics.json", **{"metrics/mig": value})
    rows = table_of(markdown_of(folder), "`objective.beta`")
    assert [row["`objective.beta`"] for row in rows] == ["`1`", "`4`"]
    assert [row["MIG"] for row in rows] == ["0.2000 [0.1000, 0.5000]", "0.3500 [0.2500, 0.7500]"]
    rows = table_of(markdown_of(folder, statistic="mean"), "`objective.beta`")
    assert rows[0]["MIG"].startswith("0.2667 [")


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


def test_data_sets_have_their_own_tables_and_best_runs(write_sweep):
    folder, _ = write_sweep(data=("mnist", "fashion_mnist"), betas=(1, 4), seeds=range(2))
    text = markdown_of(folder)
    assert "ELBOs don't compare between data sets" in text
    assert text.count("### MNIST") == text.count("### Fashion-MNIST") >= 5
    assert text.count("the largest validation ELBO has `data-mnist_") == 1
    assert text.count("the largest validation ELBO has `data-fashion_mnist_") == 1
    assert "explorer" not in text_of(folder).text


def test_an_objective_that_differs_does_not_hide_its_beta(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(2))
    for run in runs[:2]:
        config = (run / "config.yaml").read_text()
        assert "vaelab.objectives.BetaVAE" in config
        (run / "config.yaml").write_text(config.replace("objectives.BetaVAE", "objectives.Other"))
    # Each objective has one beta, which its name then tells.
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
        ("objective.bta=4", "no run has a setting objective.bta; did you mean objective.beta"),
        ("objective.beta", "--where expects setting=value, got objective.beta"),
        ("objective.beta=3", "expects runs of which some have 3, got 1, 4; choose one of these"),
    ],
)
def test_where_that_fits_no_run_is_refused(write_sweep, condition, sentence):
    folder, _ = write_sweep(betas=(1, 4), seeds=[0])
    with pytest.raises(UserError, match=sentence):
        write_report(folder, where=[condition])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[1]"),
        ("metrics.json", '{"scores": 3, "val/elbo": -1}'),
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


def test_a_run_of_an_older_version_has_absent_settings(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=[0])
    config = (runs[0] / "config.yaml").read_text()
    (runs[0] / "config.yaml").write_text(config.replace("channels_last: true\n", ""))
    rows = table_of(markdown_of(folder), "`objective.beta`")
    assert [row["`channels_last`"] for row in rows] == ["\u2013", "`True`"]


def test_udr_is_ranked_beside_the_scores_that_need_factors(write_sweep):
    folder, runs = write_sweep(betas=(1, 4), seeds=range(2))
    for run, udr, mig in zip(runs, (0.1, 0.4, 0.3, 0.2), (1, 4, 3, 2), strict=True):
        edit(run / "metrics.json", **{"metrics/udr_lasso": udr, "metrics/mig": mig})
    text = markdown_of(folder)
    assert "Rank correlation of UDR lasso over 4 runs with: MIG 1," in text
    ranks = text.index(f"| `{runs[1].name}` | 0.400 | 4 |")
    assert ranks < text.index(f"| `{runs[2].name}` | 0.300 | 3 |")


def test_without_udr_the_command_that_adds_it_is_given(write_sweep):
    folder, _ = write_sweep(betas=(1,), seeds=range(2), udr=False)
    command = f"`scripts/evaluate.py run={folder} metrics=[udr]`"
    assert f"No run has been ranked by UDR; {command} adds it." in markdown_of(folder)


def test_variance_without_seeds_is_not_made_up(write_sweep):
    folder, _ = write_sweep(betas=(1, 4, 16), seeds=[0])
    text = markdown_of(folder)
    assert "Seed and settings can't be told apart" in text
    assert "so that there are no intervals" in text


def test_markdown_and_page_have_the_same_tables_and_pictures(write_sweep):
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


def test_own_pictures_of_best_and_median_run_stand_side_by_side(several):
    text = markdown_of(several)
    assert "(figures/best_traversals.png)" in text
    assert "(figures/median_traversals.png)" in text
    original = several / "time" / "1" / "figures" / "traversals.png"
    assert (several / "figures" / "best_traversals.png").read_bytes() == original.read_bytes()

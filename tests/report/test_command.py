"""What is written where, scores.csv, and errors as sentences."""

import csv

import pytest

from vaelab.errors import UserError
from vaelab.report import main, write_report
from vaelab.report.command import _parser
from vaelab.report.formatting import format_duration, format_number

from .conftest import SCORES, final_metrics


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_says_where_the_files_are(write_run, capsys):
    folder = write_run("model=mlp")
    main([str(folder.path), "--no-explorer"])
    out = capsys.readouterr().out
    assert f"report    {folder.path / 'report.html'} (" in out
    assert f"markdown  {folder.path / 'report.md'}" in out
    assert f"scores    {folder.path / 'scores.csv'}" in out
    assert "settings" not in out
    assert "explorer-data" not in (folder.path / "report.html").read_text()


def test_output_elsewhere(write_run, tmp_path):
    folder = write_run("model=mlp")
    main([str(folder.path), "--no-explorer", "--output", str(tmp_path / "a" / "page.html")])
    written = ["page.csv", "page.html", "page.md", "page_figures"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == written
    assert not list(folder.path.glob("report*"))


def test_rows_of_one_run(write_run):
    folder = write_run("model=mlp", metrics=final_metrics() | SCORES)
    rows = rows_of(write_report(folder.path, with_explorer=False).scores)
    assert ",".join(rows[0]) == "run,metric,part,value,low,high,num_samples,codes,step"
    found = {(row["metric"], row["part"]): row for row in rows}
    assert len(found) == len(rows) == 10 + 2 + 2  # numbers, metrics, factors of one
    mig = {"low": "0.1", "high": "0.15", "num_samples": "10000", "codes": "mean", "step": "10"}
    assert found["metrics/mig", "value"] == mig | {
        "run": "run", "metric": "metrics/mig", "part": "value", "value": "0.125"
    }  # fmt: skip
    assert found["metrics/mig", "scale"]["value"] == "0.2"
    assert found["metrics/mig", "scale"]["low"] == ""
    assert found["metrics/dci", "value"]["num_samples"] == "50"
    assert found["val/elbo", "value"]["step"] == "10"
    assert found["seconds", "value"]["step"] == ""


def test_scores_of_another_checkpoint_are_found(write_run):
    other = {"best/metrics/mig": 0.5, "scores": {"best/mig": {"interval": [0.4, 0.6]}}}
    folder = write_run("model=mlp", metrics=final_metrics() | other)
    written = write_report(folder.path, with_explorer=False)
    row = next(row for row in rows_of(written.scores) if row["metric"] == "best/metrics/mig")
    assert (row["low"], row["high"]) == ("0.4", "0.6")
    assert "MIG (best)" in written.page.read_text()


def test_rows_of_several_runs_carry_what_differs(write_run, tmp_path):
    for beta in (1, 4):
        write_run("model=mlp", f"objective.beta={beta}", name=f"sweep/{beta}")
    rows = rows_of(write_report(tmp_path / "sweep", with_explorer=False).scores)
    assert {(row["run"], row["objective.beta"]) for row in rows} == {("1", "1"), ("4", "4")}


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("metrics.json", "{", "metrics.json expects JSON"),
        ("metrics.json", "[1]", "metrics.json expects a dict in JSON, got list"),
        ("provenance.json", "nothing", "expected JSON in .*provenance.json"),
        ("metrics.csv", "step,metric,value\n5,loss,high\n", "expected rows step,metric,value"),
    ],
)
def test_unreadable_files_are_named(write_run, file, content, sentence):
    folder = write_run("model=mlp")
    (folder.path / file).write_text(content)
    with pytest.raises(UserError, match=sentence):
        write_report(folder.path)


def test_the_page_has_its_own_file(write_run, tmp_path):
    folder = str(write_run("model=mlp").path)
    for name in ("a.csv", "a.md", "."):
        with pytest.raises(UserError, match=r"output expects the file of the page, got .*name it"):
            main([folder, "--output", str(tmp_path / name)])
    assert list(tmp_path.glob("a.*")) == []


def test_no_run_there(tmp_path):
    with pytest.raises(UserError, match="expected a run folder or a folder of runs"):
        main([str(tmp_path)])


def test_an_empty_name_is_not_the_working_directory(write_run, monkeypatch):
    folder = write_run("model=mlp").path
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=r"folder expects a path, got ''; try outputs/main"):
        main([""])
    with pytest.raises(UserError, match=r"output expects a path, got ''; try report\.html"):
        main([".", "--output", ""])
    assert not (folder / "report.html").exists()


def test_where_and_by_are_for_several_runs(write_run):
    folder = str(write_run("model=mlp").path)
    for option in ("--where=seed=0", "--by=val/elbo"):
        with pytest.raises(UserError, match="where and by expect a folder of several runs"):
            main([folder, option])


def test_help_describes_every_argument_and_gives_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    described = {action.dest: action.help for action in _parser()._actions}
    assert set(described) == {
        "help", "folder", "output", "no_explorer", "statistic", "where", "by",
    }  # fmt: skip
    assert all(described.values())
    assert text.count("python scripts/report.py ") == 2
    for name in ("report.html", "report.md", "scores.csv", "settings.csv", "figures/"):
        assert name in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"), (0, "0"), (-99.673, "\u221299.67"), (0.0123456, "0.01235"),
        (690517.0, "690,517"), (1234.5678, "1,235"), (1e-7, "1e\u221207"), (float("nan"), "nan"),
        (0.99999, "1.000"),
    ],
)  # fmt: skip
def test_numbers_for_reading(value, text):
    assert format_number(value) == text


def test_durations_for_reading():
    assert [format_duration(s) for s in (1.388, 59.7, 497, 11100)] == [
        "1.39 s", "1 min 0 s", "8 min 17 s", "3 h 5 min"
    ]  # fmt: skip

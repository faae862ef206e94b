"""The notebook of docs/ runs from its first cell to its last, and says what it computes."""

import json
from pathlib import Path

import matplotlib
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "em_to_vae.ipynb"


@pytest.fixture
def cells():
    """The code of every cell, without magic commands."""
    read = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in read if cell["cell_type"] == "code"]
    return ["\n".join(line for line in c.splitlines() if line[:1] != "%") for c in code]


def test_every_cell_runs(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names = {"__name__": "notebook"}
    for code in cells:
        exec(code, names)
    said = capsys.readouterr().out
    assert "linear   encoder, at the formula: KL(q || p(z|x)) = 0.0000 nats" in said
    # The posterior of the mixture is exact, the bound of the VAE is not.
    assert abs(names["after_e"][-1].kl) < 1e-6
    assert 0 < names["gap"].mean() < 2
    assert names["bounds"][-1] == pytest.approx(names["log_p"].mean().item(), abs=0.3)


def test_it_was_executed():
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum("image/png" in out.get("data", {}) for c in cells for out in c["outputs"]) == 4

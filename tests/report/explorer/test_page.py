"""The explorer in a report: its latents, its controls, and why there may be none."""

import base64
import json
import re

import pytest
import torch

from vaelab.report.blocks import Paragraph
from vaelab.report.explorer.page import show_explorer
from vaelab.report.run_record import read_run
from vaelab.runs.checkpoint import save_checkpoint


@pytest.fixture
def explore(write_run):
    """Overrides -> the explorer of a run as HTML."""
    return lambda *overrides: show_explorer(read_run(write_run("model=mlp", *overrides))).html


def test_latents_are_counted_from_0_and_ordered_by_kl(explore):
    html = explore()
    labels = re.findall(r"<b>(z\d+)</b> <span class=\"small\">(.*?)</span>", html)
    assert labels == [("z1", "KL 2.25"), ("z0", "KL 0.500"), ("z2", "KL 0.00100")]
    assert re.findall(r'data-latent="(\d+)"', html) == ["1", "0", "2"]
    # A KL of at most 0.1 nats is none.
    assert [part.count('class="inactive"') for part in html.split("<label")[1:]] == [0, 0, 1]
    assert "The latents are\nordered by their KL;" in html


def test_data_of_the_page_is_json_and_its_weights_are_one_text(explore):
    html = explore()
    data = json.loads(re.search('id="explorer-data">(.*?)</script>', html)[1])
    assert data["image_shape"] == [1, 16, 16]
    assert len(data["starts"]) == html.count('<button type="button" data-start=') == 6
    assert data["layers"][-1]["type"] == "mean"
    (weights,) = re.findall('id="explorer-weights">([A-Za-z0-9+/=]*)</script>', html)
    last = [layer for layer in data["layers"] if "bias" in layer][-1]["bias"]
    assert len(base64.b64decode(weights)) == 4 * sum(last)  # offset and length of the last array


def test_without_data_it_starts_from_the_prior(write_run):
    folder = write_run("model=mlp")
    config = folder.config.read_text()
    content = torch.load(folder.last_checkpoint, weights_only=True)
    content["config"]["data"]["root"] = "/nowhere/images.npy"
    del content["digest"]
    save_checkpoint(content, folder.last_checkpoint)
    assert "/nowhere" not in config
    html = show_explorer(read_run(folder)).html
    assert "No data images to start from:" in html
    assert "sample from the prior" in html
    assert '<button type="button" data-start=' not in html


def test_why_there_is_none_is_explained(write_run, monkeypatch):
    monkeypatch.setattr("vaelab.report.explorer.decoder.MAX_WEIGHTS", 10)
    block = show_explorer(read_run(write_run("model=mlp")))
    assert isinstance(block, Paragraph)
    assert block.text.startswith("There is no latent explorer for this run: its decoder has")

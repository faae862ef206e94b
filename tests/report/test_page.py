"""What pages say of runs in every state, and that they need nothing but themselves."""

import re
from html.parser import HTMLParser

import pytest
import torch

from vaelab.report import write_report

from .conftest import SCORES, final_metrics

VOID = {"meta", "img", "input", "br"}


class Document(HTMLParser):
    """Checks that elements nest, and collects headings, pictures, addresses and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.headings, self.images, self.addresses, self.words = [], [], [], [], []
        self.ids = []
        self.feed(html)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [v for k, v in attributes if k in ("src", "href", "srcset", "action")]
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass  # of SVG

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            return
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((self.open[-1], data))
        self.words.append(data)


@pytest.fixture
def page(write_run):
    """Words and facts -> the parsed page of a run, without explorer unless asked."""

    def document(*words, explorer=False, **facts):
        folder = write_run("model=mlp", *words, **facts)
        html = write_report(folder.path, with_explorer=explorer).page.read_text(encoding="utf-8")
        assert "http-equiv" in html
        return Document(html)

    return document


def test_a_finished_run(page):
    document = page(metrics=final_metrics() | SCORES, explorer=True)
    titles = [title for level, title in document.headings if level == "h2"]
    assert ", ".join(titles) == (
        "Summary, Figures, Scores, Curves, Latent explorer, Config, Provenance"
    )
    for words in (
        "A beta-VAE with beta 4 and 3 latents (MLP networks of 1,234 parameters, likelihood",
        "for 10 steps of 64 images, which took 1 min 15 s on a processor.",
        "On the validation images the ELBO is \u221221.50 nats per image",
        "2 of 3 latents are used; 1 has collapsed",
        "the largest KL is 2.25 nats, of z2",
        "MIG 0.125 [0.100, 0.150]",
        "num_samples 10000, codes mean, num_bins 20",
        "DCI 0.500",
        "Set on the command line: objective.beta=4",
        "feed" * 16,
        "torch 2.6.0",
        "0123abc",
        "scripts/train.py objective.beta=4",
        'target {"val/elbo": true}',
    ):
        assert " ".join(words.split()) in document.text
    assert "evaluations" not in document.text


def test_factors_are_columns(page):
    document = page(metrics=final_metrics() | SCORES)
    assert "by factor shape scale MIG 0.0500 0.200" in re.sub(r"\s+", " ", document.text)


def test_everything_is_inside_the_page(page):
    document = page(explorer=True)
    assert document.addresses
    assert all(address.startswith("data:") for address in document.addresses)
    assert len(set(document.ids)) == len(document.ids)


def test_figures_come_in_order_with_words_for_those_who_do_not_see_them(page):
    alts = [image["alt"] for image in page().images]
    titles = [alt.split(",")[0].split(" over")[0] for alt in alts]
    assert titles[:3] == ["Latent traversals", "Samples", "Zebra"]
    assert titles[3:] == ["Loss", "ELBO", "KL of each latent"]
    assert alts[3].endswith("last values: train 20.5.")


def test_svg_is_preferred_to_png_of_the_same_name(write_run):
    folder = write_run("model=mlp")
    (folder.figures / "samples.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder.figures / "note.txt").write_text("no figure")
    images = Document(write_report(folder.path, None, False).page.read_text()).images
    kinds = [image["src"].partition(";")[0] for image in images[:3]]
    assert kinds == ["data:image/png", "data:image/svg+xml", "data:image/png"]


def test_a_curve_that_is_a_figure_too_is_shown_once(write_run):
    folder = write_run("model=mlp")
    (folder.figures / "latent_kl.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    html = write_report(folder.path, None, False).page.read_text()
    assert [alt for alt in map(str, html.split("alt=")) if "KL of each latent over" in alt] == []


@pytest.mark.parametrize(
    ("state", "facts", "words"),
    [
        ("failed", {"error": "UserError: too few <images>"}, "UserError: too few <images>"),
        ("running", {}, "The run is going on since"),
        ("interrupted", {"error": "KeyboardInterrupt"}, "interrupted at"),
    ],
)
def test_a_run_that_did_not_finish(write_run, state, facts, words):
    folder = write_run("model=mlp", state=state, metrics={}, **facts)
    folder.metrics.unlink()
    folder.curves.unlink()
    folder.last_checkpoint.unlink()
    document = Document(write_report(folder.path).page.read_text())
    assert words in document.text
    assert "It has no final numbers yet." in document.text
    assert "There is no latent explorer for this run: expected a checkpoint" in document.text
    assert "Curves" not in [title for _, title in document.headings]


def test_collapse_is_said(page):
    kl = {f"val/kl_latent/{i}": 0.004 for i in range(3)}
    assert "The posterior has collapsed:" in page(metrics=final_metrics() | kl).text


def test_no_collapse_is_said(page):
    kl = {f"val/kl_latent/{i}": 0.2 for i in range(3)}
    assert "No latent has collapsed" in page(metrics=final_metrics() | kl).text


def test_test_images_come_before_validation_images(page):
    numbers = {"test/elbo": -33.0, "test/reconstruction": 31.0, "test/kl": 2.0}
    assert "On the test images the ELBO is \u221233" in page(metrics=final_metrics() | numbers).text


def test_nothing_outside_becomes_markup(page):
    evil = "</script><script>alert(1)</script>"
    metrics = final_metrics() | {evil: 1.0, "note": evil}
    document = page(f'+note="{evil}"', metrics=metrics, name="a<b>&c", explorer=True)
    assert evil in document.text
    assert "Run a<b>&c" in document.text
    assert document.open == []


def test_a_page_without_data_still_has_the_explorer(write_run):
    folder = write_run("model=mlp")
    config = folder.config.read_text()
    content = torch.load(folder.last_checkpoint, weights_only=True)
    content["config"]["data"]["root"] = "/nowhere/images.npy"
    torch.save(content, folder.last_checkpoint)
    assert "/nowhere" not in config
    text = Document(write_report(folder.path).page.read_text()).text
    assert "No data images to start from:" in text
    assert "draw from the prior" in text


def test_an_explorer_that_can_not_be_is_explained(page, monkeypatch):
    monkeypatch.setattr("vaelab.report.explorer.decoder.MAX_WEIGHTS", 10)
    text = page(explorer=True).text
    assert "There is no latent explorer for this run: its decoder has" in text

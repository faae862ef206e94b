"""What the report of a run says in every state, and that its page needs nothing else."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vaelab.report import render, summary, write_report
from vaelab.report.blocks import Badge, Code, css_class
from vaelab.report.render import render_html
from vaelab.report.run_page import describe_run
from vaelab.report.run_record import read_run
from vaelab.runs.status import State

from .conftest import SCORES, final_metrics

VOID = {"meta", "img", "input", "br"}


class Document(HTMLParser):
    """Checks that elements nest, and collects headings, images, addresses and text."""

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
    """Overrides and facts -> the parsed page of a run, without explorer unless asked."""

    def document(*overrides, explorer=False, **facts):
        folder = write_run("model=mlp", *overrides, **facts)
        html = write_report(folder.path, with_explorer=explorer).page.read_text(encoding="utf-8")
        assert "http-equiv" in html
        return Document(html)

    return document


def test_a_finished_run(page):
    document = page(metrics=final_metrics() | SCORES, explorer=True)
    titles = [title for level, title in document.headings if level == "h2"]
    assert ", ".join(titles) == (
        "Summary, Figures, Scores, Training curves, Latent explorer, Config, Provenance"
    )
    for words in (
        "A beta-VAE with beta 4 and 3 latents (MLP networks of 1,234 parameters, likelihood",
        "for 10 steps of 64 images, which took 1 min 15 s on a processor.",
        "On the validation images the ELBO is \u221221.50 nats per image",
        "2 of 3 latents are used; 1 has collapsed",
        "the largest KL is 2.25 nats, of z1",
        "MIG 0.125 [0.100, 0.150]",
        "num_samples 10000, codes mean, num_bins 20",
        "DCI 0.500",
        "Overrides on the command line: objective.beta=4",
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


def test_figures_come_in_order_with_text_for_readers_who_cannot_see_them(page):
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
        ("running", {}, "The run has been in progress since"),
        ("interrupted", {"error": "KeyboardInterrupt"}, "interrupted at"),
        (
            "stopped early",
            {"step": 80, "num_steps": 2500},
            "after 80 of 2,500 steps, as a callback",
        ),
        ("out of time", {"step": 317, "num_steps": 2500}, "after 317 of 2,500 steps; the run may"),
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
    assert "Training curves" not in [title for _, title in document.headings]


def test_every_state_has_a_sentence_and_a_colour():
    css = (Path(summary.__file__).parent / "templates" / "page.css").read_text()
    assert set(summary.STATES) == set(State) - {State.FINISHED}
    for state in State:
        assert f".badge.{css_class(state)}" in css
    badge = render._inline_html((Badge(State.OUT_OF_TIME), " of ", Code("a<b")))
    assert badge == '<span class="badge out-of-time">out of time</span> of <code>a&lt;b</code>'


def test_steps_of_a_run_that_stopped_early_are_there_after_its_evaluation(page):
    text = page(state="stopped early", metrics=final_metrics() | {"num_steps": 80}).text
    assert "after 80 of 2,500 steps, as a callback such as EarlyStopping decided." in text


def test_collapse_is_said(page):
    kl = {f"val/kl_latent/{i}": 0.004 for i in range(3)}
    assert "The posterior has collapsed:" in page(metrics=final_metrics() | kl).text


def test_no_collapse_is_said(page):
    kl = {f"val/kl_latent/{i}": 0.2 for i in range(3)}
    assert "No latent has collapsed" in page(metrics=final_metrics() | kl).text


def test_test_images_come_before_validation_images(page):
    numbers = {"test/elbo": -33.0, "test/reconstruction": 31.0, "test/kl": 2.0}
    assert "On the test images the ELBO is \u221233" in page(metrics=final_metrics() | numbers).text


EVIL = "</script><script>alert(1)</script>"


def test_nothing_from_outside_becomes_markup(write_run):
    """Names of runs, figures, metrics and factors, values of options, errors, machines."""
    score = {"breakdown": {EVIL: 0.5}, "details": {EVIL: EVIL, "checkpoint": EVIL, "step": 3}}
    metrics = final_metrics() | {
        EVIL: 1.0, "note": EVIL, f"metrics/{EVIL}": 0.5, "metrics/elbo": -1.0,
        "scores": {EVIL: score, "elbo": {"details": {"verdict": EVIL}}},
    }  # fmt: skip
    folder = write_run(
        "model=mlp", f'+note="{EVIL}"', metrics=metrics, name="a<b>&c", state="failed", error=EVIL
    )
    (folder.figures / "x\" onerror='alert(1)'.svg").write_text("<svg/>")
    machine = {"cpu": EVIL, "platform": EVIL, "gpus": []}
    entry = {"machine": machine, "command": [EVIL], "overrides": [EVIL], "versions": {EVIL: EVIL}}
    folder.provenance.write_text(json.dumps([entry]))
    paths = write_report(folder.path)
    html = paths.page.read_text()
    document = Document(html)
    assert document.open == []
    assert EVIL not in html
    assert "Run a<b>&c" in document.text
    assert document.text.count(EVIL) > 15
    assert html.count("<script") == html.count("</script") == 4  # of the explorer
    assert all(set(image) == {"src", "alt"} for image in document.images)
    assert_no_html(paths.markdown.read_text())


def assert_no_html(markdown):
    """Outside of code, nothing of the Markdown could be an element or an entity of HTML."""
    plain = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert "<" not in plain
    assert "<" in html.unescape(plain)


def test_the_policy_of_the_page_allows_nothing_from_elsewhere(write_run):
    html = write_report(write_run("model=mlp").path).page.read_text()
    head = html[: html.index("<body>")]
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', head)
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "script-src 'unsafe-inline'",
    ]


def test_a_run_has_its_report_as_markdown_too(write_run):
    folder = write_run("model=mlp", metrics=final_metrics() | SCORES)
    paths = write_report(folder.path)
    text = paths.markdown.read_text()
    titles = re.findall("^## (.*)", text, re.M)
    # The explorer needs a browser.
    assert titles == ["Summary", "Figures", "Scores", "Training curves", "Config", "Provenance"]
    assert text.startswith("# Run run finished\n")
    assert "- MIG: 0.125 \\[0.100, 0.150\\]" in text
    assert "| by factor | shape | scale |" in text
    assert "the largest KL is 2.25 nats, of z1" in text
    linked = re.findall(r"\]\(([^)]+)\)", text)
    assert linked[:2] == ["figures/traversals.png", "figures/samples.png"]
    assert linked[3:] == [
        f"report_figures/{name}.svg" for name in ("loss", "elbo", "kl_of_each_latent")
    ]
    page = Document(paths.page.read_text())
    assert len(page.images) == len(linked)
    assert all((folder.path / link).exists() for link in linked)


def test_markdown_elsewhere_links_to_the_figures_of_the_run(write_run, tmp_path):
    folder = write_run("model=mlp")
    paths = write_report(folder.path, tmp_path / "a b" / "page.html", False)
    assert paths.markdown == tmp_path / "a b" / "page.md"
    linked = re.findall(r"\]\(([^)]+)\)", paths.markdown.read_text())
    assert "../run/figures/samples.png" in linked
    assert "page_figures/loss.svg" in linked
    assert all((paths.markdown.parent / link).exists() for link in linked)


def test_a_second_report_does_not_take_the_figures_of_the_first_for_the_runs(write_run):
    folder = write_run("model=mlp")
    first, second = (write_report(folder.path).page.read_text() for _ in range(2))
    assert first == second


def test_a_conditional_run_says_what_it_is_given(write_run, tmp_path):
    data = ["data=dsprites", f"data.root={tmp_path}", "data.image_size=16", "data.num_val=20"]
    folder = write_run(
        *(*data, "data.factor_sizes=[3,2,1,4,4]", "model=mlp"),
        *("condition=factors", "condition.factors=[shape,posX]"),
        class_sizes=(3, 4),
    )
    page = render_html(describe_run(read_run(folder), with_explorer=False))
    assert "A conditional beta-VAE with beta" in page
    assert "was trained on dSprites given the factors shape, posX" in page
    assert "It bounds log p(x|y), where y is the factors shape, posX, and not log p(x)." in page


def test_an_unconditional_run_says_nothing_of_classes(write_run):
    page = render_html(describe_run(read_run(write_run("model=mlp")), with_explorer=False))
    assert "bounds log p" not in page
    assert "conditional" not in page.partition("<h2>Config")[0]

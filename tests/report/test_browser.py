"""A page opened from disk in headless Chromium: no console errors, and the images of torch."""

import numpy as np
import pytest

import vaelab
from vaelab.report import write_report

from . import chromium

# Does what a reader does and says what is then to be seen.
READER = """
(async () => {
  const frame = () => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));
  const seen = (id) => {
    const canvas = document.getElementById(id);
    const { width, height } = canvas;
    // A copy made for reading: Chromium complains about reading the canvas itself.
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, width, height).data];
  };
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const sliders = [...document.querySelectorAll("#latents input")];
  const result = { starts: data.starts, order: sliders.map((s) => Number(s.dataset.latent)) };
  await frame();
  result.start = seen("decoding");
  result.original = seen("data-image");
  result.labels = sliders.map((s) => [s.getAttribute("aria-valuetext"), s.labels.length]);
  sliders[0].value = 2;
  sliders[0].dispatchEvent(new Event("input", { bubbles: true }));
  await frame();
  result.moved = seen("decoding");
  document.getElementById("to-mean").click();
  await frame();
  result.mean = seen("decoding");
  result.originalHidden = document.getElementById("data-image").closest("figure").hidden;
  document.getElementById("to-sample").click();
  await frame();
  result.sample = seen("decoding");
  result.samples = [...Decoder.floats(data.prior_samples)];
  document.querySelector('#starts button[data-start="2"]').click();
  await frame();
  result.third = seen("decoding");
  result.thirdOriginal = seen("data-image");
  return result;
})()
"""

pytestmark = pytest.mark.skipif(
    chromium.PROGRAM is None, reason="expects Chromium on the PATH, got none"
)


@pytest.fixture(scope="module")
def browser():
    started = chromium.Chromium()
    yield started
    started.close()


def read_image(pixels, image_shape):
    """RGBA bytes row by row -> (C, H, W)."""
    channels, height, width = image_shape
    rgba = np.array(pixels).reshape(height, width, 4)
    assert (rgba[..., 3] == 255).all()
    assert channels == 3 or (rgba[..., 0] == rgba[..., 1]).all()
    return rgba[..., :channels].transpose(2, 0, 1)


# Chooses classes by the keyboard's events, moves a slider and starts from an image.
CHOOSER = """
(async () => {
  const frame = () => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));
  const seen = () => {
    const canvas = document.getElementById("decoding");
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, width, height).data];
  };
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const selects = [...document.querySelectorAll("#classes select")];
  const sliders = [...document.querySelectorAll("#latents input")];
  const result = {
    data: { ...data, layers: null },
    titles: selects.map((s) => s.labels[0].textContent.trim().split(" ")[0]),
    sizes: selects.map((s) => s.options.length),
    first: selects.map((s) => s.selectedIndex),
  };
  await frame();
  result.start = seen();
  const change = (f, value) => {
    selects[f].focus();
    result.focused = document.activeElement === selects[f];
    selects[f].selectedIndex = value;
    selects[f].dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.getElementById("to-mean").click();
  change(0, 2);
  change(1, 3);
  sliders[0].value = 1.5;
  sliders[0].dispatchEvent(new Event("input", { bubbles: true }));
  await frame();
  result.moved = seen();
  change(0, 1);
  await frame();
  result.other = seen();
  result.slider = [sliders[0].value, sliders[0].getAttribute("aria-valuetext")];
  document.getElementById("to-sample").click();
  await frame();
  result.sample = seen();
  result.samples = [...Decoder.floats(data.prior_samples)].slice(0, 3);
  document.querySelector('#starts button[data-start="2"]').click();
  await frame();
  result.third = seen();
  result.thirdClass = selects.map((s) => s.selectedIndex);
  return result;
})()
"""


@pytest.mark.parametrize("prior", ["standard_normal", "conditional_normal"])
def test_another_class_shows_what_torch_decodes(write_run, browser, prior, tmp_path):
    data = ["data=dsprites", f"data.root={tmp_path}", "data.image_size=16", "data.num_val=20"]
    folder = write_run(
        *(*data, "data.factor_sizes=[3,2,1,4,4]", "model=mlp", "model.hidden=[20]"),
        *(f"prior={prior}", "condition=factors", "condition.factors=[shape,posX]"),
        class_sizes=(3, 4),
    )
    browser.open(write_report(folder.path).page.as_uri())
    seen = browser.run(CHOOSER)
    assert browser.complaints == []
    run = vaelab.load_run(folder.path)
    data = seen["data"]
    assert (seen["titles"], seen["sizes"]) == (["shape", "posX"], [3, 4])
    assert seen["focused"]

    def check(pixels, z, shape, pos_x):
        y = {"shape": shape, "posX": pos_x}
        expected = 255 * run.decode([z], y)[0].clip(0, 1)
        assert np.ptp(expected) > 25
        shown = read_image(pixels, run.model.image_shape)
        assert np.abs(shown - expected).max() <= 1
        return shown

    def prior_of(y):
        return (np.array(data[f"prior_{part}"][y if prior[0] == "c" else 0]) for part in mean_std)

    mean_std = ("mean", "std")
    start = data["starts"][0]
    assert seen["first"] == start["class_values"]
    check(seen["start"], start["mean"], *start["class_values"])
    distances = np.array([0, 1.5, 0])  # the slider of z1 is the first
    (mean, std), (other_mean, other_std) = prior_of(2 * 4 + 3), prior_of(1 * 4 + 3)
    moved = check(seen["moved"], mean + std * distances, 2, 3)
    other = check(seen["other"], other_mean + other_std * distances, 1, 3)
    assert np.abs(moved - other).max() > 2
    z1 = other_mean[1] + 1.5 * other_std[1]
    assert seen["slider"] == ["1.5", f"{z1:.2f}"]
    check(seen["sample"], other_mean + other_std * np.array(seen["samples"]), 1, 3)
    third = data["starts"][2]
    assert seen["thirdClass"] == third["class_values"]
    check(seen["third"], third["mean"], *third["class_values"])


@pytest.mark.parametrize(
    ("overrides", "channels", "size"),
    [
        (["model=locatello", "latent_dim=3"], 1, 64),
        (["model=conv", "model.channels=[8,6]", "likelihood=discretized_logistic"], 3, 20),
        (["model=mlp", "model.hidden=[20]", "likelihood=gaussian"], 1, 12),
    ],
    ids=["locatello", "colour", "mlp"],
)
def test_a_moved_slider_shows_what_torch_decodes(write_run, browser, overrides, channels, size):
    folder = write_run(*overrides, channels=channels, size=size)
    browser.open(write_report(folder.path).page.as_uri())
    seen = browser.run(READER)
    assert browser.complaints == []
    run = vaelab.load_run(folder.path)
    shape = run.model.image_shape

    def check(pixels, z):
        shown, expected = read_image(pixels, shape), 255 * run.decode([z])[0].clip(0, 1)
        assert np.ptp(expected) > 25  # an image and not a grey area
        assert np.abs(shown - expected).max() <= 1
        return shown

    assert seen["order"] == [1, 0, 2]  # by val/kl_latent
    start = seen["starts"][0]["mean"]
    assert seen["labels"] == [[f"{start[i]:.2f}", 1] for i in seen["order"]]
    first = check(seen["start"], start)
    moved = check(seen["moved"], [start[0], 2.0, start[2]])
    assert np.abs(first - moved).max() > 2
    check(seen["mean"], [0.0, 0.0, 0.0])
    assert seen["originalHidden"]
    check(seen["sample"], seen["samples"][:3])
    check(seen["third"], seen["starts"][2]["mean"])
    for pixels, number in ((seen["original"], 0), (seen["thirdOriginal"], 2)):
        image = read_image(pixels, shape) / 255
        code = run.encode(image[None]).mean[0]
        np.testing.assert_allclose(code, seen["starts"][number]["mean"], atol=1e-4)


def test_a_key_moves_a_slider(write_run, browser):
    browser.open(write_report(write_run("model=mlp").path).page.as_uri())
    browser.run("document.querySelector('#latents input').focus()")
    value = "Number(document.querySelector('#latents input').value)"
    before = browser.run(value)
    for kind in ("keyDown", "keyUp"):
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Home", windowsVirtualKeyCode=36)
    assert browser.run(value) == -3 < before


def test_a_page_of_several_runs_opens_without_errors(write_run, browser, tmp_path):
    for beta in (1, 4, 16):
        write_run(f"objective.beta={beta}", "model=mlp", name=f"sweep/{beta}")
    browser.open(write_report(tmp_path / "sweep").page.as_uri())
    assert browser.run("document.querySelectorAll('.across img').length") == 1
    assert browser.run("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert len(browser.run(READER)["order"]) == 3
    assert browser.complaints == []


@pytest.mark.parametrize(
    "mistake",
    ["<script>throw new Error('mistake')</script>", '<img src="http://127.0.0.1:1/a.png">'],
    ids=["script", "network"],
)
def test_errors_and_requests_would_be_seen(write_run, browser, tmp_path, mistake):
    page = write_report(write_run("model=mlp").path, with_explorer=False).page
    page.write_text(page.read_text().replace("</body>", f"{mistake}</body>"))
    browser.open(page.as_uri())
    assert len(browser.complaints) == 1

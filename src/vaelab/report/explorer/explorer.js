"use strict";
/* The latent explorer: a slider per latent, and the mean of p(x|z) as an image. */
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const [numChannels, height, width] = data.image_shape;
  const decoding = document.getElementById("decoding");
  const original = document.getElementById("data-image");
  const originalFigure = original.closest("figure");
  const status = document.getElementById("explorer-status");
  const inputs = [...document.querySelectorAll("#latents input")];
  const selects = [...document.querySelectorAll("#classes select")];
  const samples = Decoder.floats(data.prior_samples); // in standard deviations from the mean
  const z = new Float32Array(data.prior_mean[0].length);
  const distances = new Float32Array(z.length); // of z from the prior mean, in its deviations
  let numSampled = 0;
  let numDrawn = 0;
  let waiting = false;
  let decode = null;

  /** The number of the class chosen: a combination of factors, the last changing fastest. */
  const classNumber = () =>
    selects.reduce((y, select, f) => y * data.class_sizes[f] + select.selectedIndex, 0);

  /** The columns of the class in the vector of the condition: one per factor, side by side. */
  function columns() {
    let offset = 0;
    return selects.map((select, f) => {
      offset += data.class_sizes[f];
      return offset - data.class_sizes[f] + select.selectedIndex;
    });
  }

  function chooseClass(values) {
    selects.forEach((select, f) => (select.selectedIndex = values[f]));
  }

  /** Mean or standard deviation of the prior: of p(z|y) there is one per class. */
  const ofPrior = (rows) => rows[rows.length > 1 ? classNumber() : 0];

  /** Values in [0, 1] of (C, H, W) onto a canvas. */
  function paint(canvas, values) {
    const size = height * width;
    const image = new ImageData(width, height);
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < 3; c++) {
        image.data[4 * i + c] = 255 * values[numChannels < 3 ? i : c * size + i]; // rounds, clamps
      }
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function draw() {
    waiting = false;
    if (decode === null) {
      const weights = document.getElementById("explorer-weights");
      decode = Decoder.decoder(data.layers, Decoder.floats(weights.textContent.trim()));
      weights.remove(); // megabytes of text, not needed twice
    }
    const start = performance.now();
    paint(decoding, decode(z, columns()));
    // The first takes as long as the browser's compiler.
    if (numDrawn++) status.textContent = `decoded in ${(performance.now() - start).toFixed(1)} ms`;
  }

  /** Draw at the next frame, once however many sliders have moved. */
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  }

  function show(input) {
    const value = z[input.dataset.latent];
    input.nextElementSibling.textContent = value.toFixed(2);
    input.setAttribute("aria-valuetext", value.toFixed(2));
  }

  function moveTo(values) {
    z.set(values);
    const [mean, std] = [ofPrior(data.prior_mean), ofPrior(data.prior_std)];
    distances.set(mean.map((m, i) => (z[i] - m) / std[i]));
    for (const input of inputs) {
      input.value = distances[input.dataset.latent];
      show(input);
    }
    drawSoon();
  }

  /** Move z to these distances from the prior mean. */
  function moveBy(values) {
    const [mean, std] = [ofPrior(data.prior_mean), ofPrior(data.prior_std)];
    moveTo(mean.map((m, i) => m + std[i] * values[i]));
  }

  function showOriginal(start) {
    originalFigure.hidden = !start;
    if (start) paint(original, Float32Array.from(atob(start.image), (c) => c.charCodeAt(0) / 255));
  }

  function startFrom(start) {
    chooseClass(start.class_values);
    moveTo(start.mean);
  }

  for (const input of inputs) {
    input.addEventListener("input", () => {
      const i = input.dataset.latent;
      distances[i] = input.value;
      z[i] = ofPrior(data.prior_mean)[i] + distances[i] * ofPrior(data.prior_std)[i];
      show(input);
      drawSoon();
    });
  }
  // Another class leaves the sliders where they are: of a p(z|y) the noise stays, and z moves.
  for (const select of selects) select.addEventListener("change", () => moveBy([...distances]));
  document.getElementById("to-mean").addEventListener("click", () => {
    showOriginal(null);
    moveTo(ofPrior(data.prior_mean));
  });
  document.getElementById("to-sample").addEventListener("click", () => {
    const first = (numSampled++ * z.length) % samples.length;
    showOriginal(null);
    moveBy(samples.subarray(first, first + z.length));
  });
  data.starts.forEach((start, i) => {
    const button = document.querySelector(`#starts button[data-start="${i}"]`);
    paint(
      button.querySelector("canvas"),
      Float32Array.from(atob(start.image), (c) => c.charCodeAt(0) / 255),
    );
    button.addEventListener("click", () => {
      showOriginal(start);
      startFrom(start);
    });
  });

  if (data.starts.length) {
    showOriginal(data.starts[0]);
    startFrom(data.starts[0]);
  } else moveTo(ofPrior(data.prior_mean));
})();

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
  const samples = Decoder.floats(data.prior_samples);
  const z = Float32Array.from(data.prior_mean);
  let numSampled = 0;
  let numDrawn = 0;
  let waiting = false;
  let decode = null;

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
    paint(decoding, decode(z));
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
    for (const input of inputs) {
      const i = input.dataset.latent;
      input.value = (z[i] - data.prior_mean[i]) / data.prior_std[i]; // in standard deviations
      show(input);
    }
    drawSoon();
  }

  function showOriginal(start) {
    originalFigure.hidden = !start;
    if (start) paint(original, Float32Array.from(atob(start.image), (c) => c.charCodeAt(0) / 255));
  }

  for (const input of inputs) {
    input.addEventListener("input", () => {
      const i = input.dataset.latent;
      z[i] = data.prior_mean[i] + input.value * data.prior_std[i];
      show(input);
      drawSoon();
    });
  }
  document.getElementById("to-mean").addEventListener("click", () => {
    showOriginal(null);
    moveTo(data.prior_mean);
  });
  document.getElementById("to-sample").addEventListener("click", () => {
    const first = (numSampled++ * z.length) % samples.length;
    showOriginal(null);
    moveTo(samples.subarray(first, first + z.length));
  });
  data.starts.forEach((start, i) => {
    const button = document.querySelector(`#starts button[data-start="${i}"]`);
    paint(
      button.querySelector("canvas"),
      Float32Array.from(atob(start.image), (c) => c.charCodeAt(0) / 255),
    );
    button.addEventListener("click", () => {
      showOriginal(start);
      moveTo(start.mean);
    });
  });

  if (data.starts.length) showOriginal(data.starts[0]);
  moveTo(data.starts.length ? data.starts[0].mean : data.prior_mean);
})();

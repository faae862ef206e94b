"use strict";
/* The decoder of a VAE on typed arrays: z -> mean of p(x|z). Knows no page; runs in node too. */
const Decoder = (() => {
  /** base64 of little-endian float32 -> Float32Array. */
  function floats(text) {
    const bytes = atob(text);
    const buffer = new Uint8Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) buffer[i] = bytes.charCodeAt(i);
    return new Float32Array(buffer.buffer);
  }

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

  /** The error function to 1.2e-7 (Numerical Recipes, 3rd ed., sec. 6.2.2). */
  function erf(x) {
    const t = 1 / (1 + 0.5 * Math.abs(x));
    const coefficients = [
      0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
      0.37409196, 1.00002368, -1.26551223,
    ];
    const polynomial = coefficients.reduce((sum, c) => sum * t + c, 0);
    const complement = t * Math.exp(-x * x + polynomial);
    return x >= 0 ? 1 - complement : complement - 1;
  }

  const activations = {
    relu: () => (x) => (x > 0 ? x : 0),
    leaky_relu: ({ slope }) => (x) => (x > 0 ? x : slope * x),
    elu: ({ alpha }) => (x) => (x > 0 ? x : alpha * Math.expm1(x)),
    tanh: () => Math.tanh,
    sigmoid: () => sigmoid,
    silu: () => (x) => x * sigmoid(x),
    gelu: () => (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
    gelu_tanh: () => (x) =>
      0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  };

  /** W x + b, and where the layer is conditional the columns of the class, `columns`. */
  function linear(x, { weight, bias, condition }, columns) {
    const y = Float32Array.from(bias);
    const dim = condition ? condition.length / y.length : 0;
    for (let o = 0, w = 0; o < y.length; o++) {
      let sum = 0;
      if (dim) for (const column of columns) sum += condition[o * dim + column];
      for (let i = 0; i < x.length; i++) sum += weight[w++] * x[i];
      y[o] += sum;
    }
    return y;
  }

  /* A convolution and a transposed one connect the same pixels of a small and a large grid:
     large = small * stride - padding + k, for k in the kernel. */

  /** First and last position of the small grid for which small * stride + shift is in the large. */
  function range(shift, stride, small, large) {
    const first = Math.max(0, Math.ceil(-shift / stride));
    return [first, Math.min(small - 1, Math.floor((large - 1 - shift) / stride))];
  }

  /** Calls act(small position, large position, number) for each row that kernel entry k connects;
      in the row the small position goes on by 1 and the large one by the stride. */
  function eachRow(layer, k, [, smallHeight, smallWidth], [, largeHeight, largeWidth], act) {
    const [strideY, strideX] = layer.stride;
    const shiftY = Math.floor(k / layer.kernel[1]) - layer.padding[0];
    const shiftX = (k % layer.kernel[1]) - layer.padding[1];
    const [firstY, lastY] = range(shiftY, strideY, smallHeight, largeHeight);
    const [firstX, lastX] = range(shiftX, strideX, smallWidth, largeWidth);
    for (let sy = firstY; sy <= lastY; sy++) {
      const large = (sy * strideY + shiftY) * largeWidth + firstX * strideX + shiftX;
      act(sy * smallWidth + firstX, large, lastX - firstX + 1);
    }
  }

  /** Arrays of the bias in every pixel of its channel. */
  function biased({ out: [num, height, width], bias }) {
    const y = new Float32Array(num * height * width);
    for (let o = 0; o < num; o++) y.fill(bias[o], o * height * width, (o + 1) * height * width);
    return y;
  }

  function conv(x, layer) {
    const y = biased(layer);
    const area = layer.kernel[0] * layer.kernel[1];
    const stride = layer.stride[1];
    const [inSize, outSize] = [x.length / layer.in[0], y.length / layer.out[0]];
    for (let o = 0, w = 0; o < layer.out[0]; o++) {
      for (let i = 0; i < layer.in[0]; i++) {
        for (let k = 0; k < area; k++) {
          const weight = layer.weight[w++];
          eachRow(layer, k, layer.out, layer.in, (small, large, num) => {
            const [to, from] = [o * outSize + small, i * inSize + large];
            for (let p = 0; p < num; p++) y[to + p] += weight * x[from + p * stride];
          });
        }
      }
    }
    return y;
  }

  /** sum[p] = sum_i weight[i * step + start] x[i, p], four i at once: this is where time goes. */
  function mix(sum, x, numIn, weight, start, step) {
    const size = sum.length;
    sum.fill(0);
    let i = 0;
    for (; i + 3 < numIn; i += 4) {
      const [a, b, c, d] = [0, 1, 2, 3].map((j) => weight[(i + j) * step + start]);
      const [x0, x1, x2, x3] = [0, 1, 2, 3].map((j) => (i + j) * size);
      for (let p = 0; p < size; p++) {
        sum[p] += a * x[x0 + p] + b * x[x1 + p] + c * x[x2 + p] + d * x[x3 + p];
      }
    }
    for (; i < numIn; i++) {
      const a = weight[i * step + start];
      for (let p = 0; p < size; p++) sum[p] += a * x[i * size + p];
    }
  }

  function convTranspose(x, layer) {
    const y = biased(layer);
    const area = layer.kernel[0] * layer.kernel[1];
    const stride = layer.stride[1];
    const [numIn, numOut] = [layer.in[0], layer.out[0]];
    const outSize = y.length / numOut;
    const sum = new Float32Array(x.length / numIn);
    for (let o = 0; o < numOut; o++) {
      for (let k = 0; k < area; k++) {
        mix(sum, x, numIn, layer.weight, o * area + k, numOut * area);
        eachRow(layer, k, layer.in, layer.out, (small, large, num) => {
          const to = o * outSize + large;
          for (let p = 0; p < num; p++) y[to + p * stride] += sum[small + p];
        });
      }
    }
    return y;
  }

  /** The mean A'(l) = 1 / (1 - e^-l) - 1/l, by its series where that cancels. */
  function continuousBernoulli(l) {
    if (Math.abs(l) > 0.5) return -1 / Math.expm1(-l) - 1 / l;
    const square = l * l;
    return 0.5 + l * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600)));
  }

  /** sum_k sigmoid((mean - t_k) / scale) / last with t_k = (k + 1/2) / last, k = 0 .. last - 1. */
  function discretizedLogistic(mean, logScale, last) {
    const scale = Math.exp(logScale);
    if (last > 32 && scale * last > 2.5) {
      // The integral over t: the midpoint rule is off by at most 1 / (48 scale last^2) < 3e-4.
      return scale * (softplus(mean / scale) - softplus((mean - 1) / scale));
    }
    const far = 12 * scale; // beyond, a term is 0 or 1 up to e^-12 = 6e-6
    const first = Math.min(last, Math.max(0, Math.ceil((mean - far) * last - 0.5)));
    const end = Math.min(last, Math.max(first, Math.floor((mean + far) * last + 0.5)));
    let sum = first;
    for (let k = first; k < end; k++) sum += sigmoid((mean - (k + 0.5) / last) / scale);
    return sum / last;
  }

  const means = {
    first: (raw, { num_values: n }) => raw.slice(0, n),
    sigmoid: (raw) => raw.map(sigmoid),
    continuous_bernoulli: (raw) => raw.map(continuousBernoulli),
    discretized_logistic(raw, { num_values: n, num_levels: levels, min_log_scale: least }) {
      return raw
        .slice(0, n)
        .map((m, i) => discretizedLogistic(m, least + softplus(raw[n + i] - least), levels - 1));
    },
    categorical(raw, { num_values: n, num_levels: levels }) {
      const y = new Float32Array(n);
      for (let i = 0; i < n; i++) {
        let largest = -Infinity;
        for (let k = 0; k < levels; k++) largest = Math.max(largest, raw[k * n + i]);
        let total = 0;
        let sum = 0;
        for (let k = 0; k < levels; k++) {
          const p = Math.exp(raw[k * n + i] - largest);
          total += p;
          sum += p * k;
        }
        y[i] = sum / total / (levels - 1);
      }
      return y;
    },
  };

  const kinds = {
    linear,
    conv,
    conv_transpose: convTranspose,
    activation: (x, layer) => x.map(activations[layer.name](layer)),
    mean: (x, layer) => means[layer.name](x, layer),
  };

  /** Layers with arrays as [offset, length] into `weights` -> the function (z, columns) -> image
      (C, H, W). The columns are those of a class in the vector of a condition, one per factor. */
  function decoder(layers, weights) {
    const filled = layers.map((layer) => {
      const part = ([offset, length]) => weights.subarray(offset, offset + length);
      if (!layer.weight) return layer;
      const arrays = { weight: part(layer.weight), bias: part(layer.bias) };
      if (layer.condition) arrays.condition = part(layer.condition);
      return { ...layer, ...arrays };
    });
    return (z, columns = []) =>
      filled.reduce((x, layer) => kinds[layer.type](x, layer, columns), Float32Array.from(z));
  }

  return { floats, decoder };
})();

if (typeof module !== "undefined") module.exports = Decoder;

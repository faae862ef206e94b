"""decoder.js gives torch's image: run by node, which CI has more often than a browser."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab.report.explorer import decoder as decoder_module
from vaelab.report.explorer.decoder import export_decoder, pack_layers

from .networks import LATENT_DIM, cases, columns_of

NODE = shutil.which("node")
PROGRAM = """
const { floats, decoder } = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const images = cases.map(({ layers, weights, z, columns }) => {
  const decode = decoder(layers, floats(weights));
  return columns.map((one) => z.map((row) => [...decode(row, one)]));
});
console.log(JSON.stringify(images));
"""


@pytest.mark.skipif(NODE is None, reason="expects node on the PATH, got none")
def test_javascript_gives_the_images_of_torch():
    """Every network and likelihood in one process, since node takes longer to start than to run."""
    models = cases()
    z = 2 * torch.randn(4, LATENT_DIM, generator=torch.Generator().manual_seed(0))
    job = []
    for model in models.values():
        layers, weights = pack_layers(export_decoder(model))
        columns = [one for _, one in columns_of(model)]
        job.append({"layers": layers, "weights": weights, "z": z.tolist(), "columns": columns})
    script = str(Path(decoder_module.__file__).with_name("decoder.js"))
    done = subprocess.run(
        [NODE, "-e", PROGRAM, script], input=json.dumps(job), capture_output=True, text=True
    )
    assert done.stderr == ""
    for name, images in zip(models, json.loads(done.stdout), strict=True):
        for (y, _), shown in zip(columns_of(models[name]), images, strict=True):
            given = models[name] if y is None else models[name].given(torch.tensor([y]))
            expected = given.decode(z).mean.flatten(1).numpy()
            # Sums of a few hundred float32 products each; the promise is 1/255 = 4e-3.
            tolerance = 2e-4 * max(1, np.abs(expected).max())
            np.testing.assert_allclose(np.array(shown), expected, atol=tolerance, err_msg=name)

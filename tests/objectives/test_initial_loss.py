"""The loss before the first step (science.md, E6)."""

import math

import pytest
import torch

from vaelab.build import build_model, build_objective
from vaelab.data import DSprites


@pytest.mark.parametrize("seed", [0, 1])
def test_locatello_starts_at_one_bit_per_pixel_on_dsprites(compose, tmp_path, seed):
    sprites = DSprites(tmp_path, factor_sizes=(3, 2, 8, 8, 8), num_val=100).load()
    x = sprites.train.take(torch.randperm(len(sprites.train))[:256])
    cfg = compose("model=locatello", "init=glorot", "objective=vae")
    torch.manual_seed(seed)
    model = build_model(cfg, sprites.image_shape)
    with torch.no_grad():
        terms = build_objective(cfg, 100)(model, x, 0)
    # Zero biases and small weights give logits near 0, whatever the image.
    assert terms["reconstruction"].item() == pytest.approx(4096 * math.log(2), rel=0.01)
    assert 0 <= terms["kl"].item() < 1

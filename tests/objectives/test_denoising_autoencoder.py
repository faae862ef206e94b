"""The denoising autoencoder: what is corrupted, how much, and that the target is clean."""

import math

import pytest
import torch

from vaelab.distributed import split_over_processes
from vaelab.errors import UserError
from vaelab.objectives import Autoencoder, DenoisingAutoencoder

F64 = torch.float64
CORRUPTIONS = ["gaussian", "masking", "salt_and_pepper"]
every_corruption = pytest.mark.parametrize("corruption", CORRUPTIONS)


@pytest.fixture
def grey():
    """200 images of values inside (0, 1), so that a corrupted 0 or 1 shows."""
    return 0.1 + 0.8 * torch.rand(200, 1, 8, 8, dtype=F64)


@every_corruption
def test_level_0_is_the_autoencoder(tiny_vae, corruption, fix_noise):
    model, x = tiny_vae(), torch.rand(6, 1, 4, 4, dtype=F64)
    fix_noise(torch.randn(6, 3, dtype=F64))
    clean, same = (
        objective(model, x, 0)["loss"]
        for objective in (Autoencoder(), DenoisingAutoencoder(corruption, 0.0))
    )
    assert torch.equal(clean, same)


@every_corruption
def test_the_corrupted_is_encoded_and_the_clean_reconstructed(tiny_vae, corruption, fix_noise):
    model, x = tiny_vae(), torch.rand(6, 1, 4, 4, dtype=F64)
    objective, noise = DenoisingAutoencoder(corruption, 0.4), torch.randn(6, 3, dtype=F64)
    fix_noise(noise)
    torch.manual_seed(1)
    terms = objective(model, x, 0)
    torch.manual_seed(1)
    mu, log_variance = model.encoder(objective.corrupt(x)).chunk(2, -1)
    logits = model.decoder(mu + (log_variance / 2).exp() * noise)
    log_p = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    assert terms["loss"].item() == pytest.approx(-log_p.sum((1, 2, 3)).mean().item(), rel=1e-10)
    assert set(terms) == {"loss", "reconstruction"}


def test_gaussian_adds_noise_of_standard_deviation_level(grey):
    noise = DenoisingAutoencoder("gaussian", 0.3).corrupt(grey) - grey
    num = noise.numel()
    assert abs(noise.mean()) < 4 * 0.3 / num**0.5
    assert noise.std().item() == pytest.approx(0.3, abs=4 * 0.3 / (2 * num) ** 0.5)


@pytest.mark.parametrize("corruption", ["masking", "salt_and_pepper"])
@pytest.mark.parametrize("level", [0.1, 0.5, 1.0])
def test_level_is_the_part_of_the_values_that_are_replaced(grey, corruption, level):
    c = DenoisingAutoencoder(corruption, level).corrupt(grey)
    num, changed = c.numel(), c != grey
    spread = 4 * math.sqrt(level * (1 - level) / num)
    assert changed.double().mean().item() == pytest.approx(level, abs=spread + 1e-12)
    ones = (c[changed] == 1).double().mean().item()
    if corruption == "masking":
        assert (c[changed] == 0).all()
    else:
        assert set(c[changed].unique().tolist()) == {0.0, 1.0}
        assert ones == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(level * num))


@every_corruption
def test_processes_together_see_the_corruption_of_one(grey, corruption):
    objective = DenoisingAutoencoder(corruption, 0.4)
    torch.manual_seed(3)
    whole = objective.corrupt(grey[:12])
    parts = []
    for rank in range(3):
        torch.manual_seed(3)
        with split_over_processes(rank, 3):
            parts.append(objective.corrupt(grey[:12].chunk(3)[rank]))
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("maskin", 0.1), "^corruption expects .* did you mean masking"),
        (("masking", 1.5), r"^level expects a number .* at most 1 \(probability\), got 1\.5"),
        (("salt_and_pepper", -0.1), r"^level expects a number of at least 0 .*\(probability\)"),
        (("gaussian", -1.0), r"^level expects a number of at least 0 \(standard deviation\)"),
        (("gaussian", float("nan")), "^level expects"),
    ],
)
def test_bad_settings_are_rejected(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        DenoisingAutoencoder(*settings)

"""Estimates of log p(x) with samples of the prior and of q(z|x) (target S7c)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaelab import figures
from vaelab.distributions import log_mean_weight
from vaelab.load import load_run
from vaelab.metrics.importance_weighted import importance_log_weights
from vaelab.metrics.per_image import decoded_at_once, evaluation_images
from vaelab.models import VAE
from vaelab.runs.loggers import save_and_log_figure
from vaelab.seeding import random_stream

QUANTILES = (0.1, 0.9)
PRIOR, POSTERIOR = "z from the prior", "z from q(z|x)"


@torch.no_grad()
def sampling_estimates(path: Path, num_images: int, num_samples: Sequence[int]) -> dict[str, float]:
    """Means over images of log 1/L sum_l w_l with z ~ p(z), w = p(x|z), and with z ~ q(z|x).

        prior: w_l = p(x|z_l);    posterior: w_l = p(x|z_l) p(z_l) / q(z_l|x)

    Both average to p(x) before the logarithm, hence both are below log p(x) in expectation; where
    no sample of the prior explains x, its estimate falls short by far. Also "shortfall L" =
    posterior - prior at the largest L of the posterior's, and the ELBO "posterior 1".

    Args:
        path: of the run.
        num_images: test images, a seeded choice.
        num_samples: L, ascending; the largest number of samples is divided into groups of L.
    """
    run = load_run(path)
    encoded = run.encoded_dataset()
    x = encoded.x(evaluation_images(encoded, num_images, seed=0))
    most = max(num_samples)
    log_weights = {
        PRIOR: _prior_log_likelihoods(run.model, x, most),
        POSTERIOR: torch.cat(
            [importance_log_weights(run.model, one[None], most, 0, i) [None]
             for i, one in enumerate(x)]
        ),
    }  # fmt: skip
    numbers: dict[str, float] = {}
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for name, weights in log_weights.items():
        rows[name], kind = [], "prior" if name == PRIOR else "posterior"
        for num in num_samples:
            groups = weights[:, : most // num * num].unflatten(1, (-1, num))
            estimates = log_mean_weight(groups, 2)
            low, high = np.quantile(estimates.numpy(), QUANTILES)
            numbers[f"{kind} {num}"] = mean = float(estimates.mean())
            rows[name].append((float(low), mean, float(high)))
            if groups.shape[1] > 1:
                numbers[f"{kind} deviation {num}"] = float(estimates.std(1).mean())
    best = numbers[f"posterior {most}"]
    numbers |= {f"shortfall {num}": best - numbers[f"prior {num}"] for num in num_samples}
    caption = (
        f"Estimates of log p(x) of {len(x)} test images by number of samples: means, and 10 % to "
        "90 % of images and repetitions"
    )
    figure = figures.plot_log_p_estimates(num_samples, rows, caption)
    save_and_log_figure("log_p_estimates", figure, run.folder, run.step, [], ("png",))
    return numbers


def _prior_log_likelihoods(model: VAE, x: Tensor, num: int) -> Tensor:
    """log p(x|z_l) in nats of z_l ~ p(z), the same for all images: (B, num) float64."""
    with random_stream("metrics", "prior_sampling"):
        z = model.prior().sample(torch.Size([num]))
    parts = [
        model.likelihood.pairwise_log_prob(model.decoder(part), x)
        for part in z.split(max(1, decoded_at_once(model) // 4))
    ]
    return torch.cat(parts).T.double()

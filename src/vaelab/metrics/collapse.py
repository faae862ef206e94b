"""Posterior collapse in words."""

import math
from collections.abc import Sequence

from vaelab.elbo_statistics import ACTIVE_VARIANCE

USED_KL = 0.1  # nats; a latent with less holds a seventh of a bit and changes no image

# A decoder that ignores z can at best give every pixel its mean. Within this share of that
# distortion z counts as unused.
NEAR_PIXEL_MEAN = 0.01


def collapse_verdict(
    variance_of_means: Sequence[float],
    kl_latent: Sequence[float] | None = None,
    distortion: float = math.nan,
    pixel_mean_distortion: float = math.nan,
) -> str:
    """Whether the posterior has collapsed: a sentence or two with the numbers and what to try.

    A latent is in use if its average KL exceeds 0.1 nats (`active_units_kl` counts from 0.01);
    without a KL of each latent, if the variance over images of its posterior mean exceeds 0.01
    (Burda et al. 2016, "Importance weighted autoencoders", sec. 4.1,
    https://arxiv.org/abs/1509.00519). If none is, the posterior has collapsed; a few inactive
    latents are normal at a high beta or with latents to spare.

    Args:
        variance_of_means: (L,), Var_x(E_q[z_j|x]).
        kl_latent: (L,), in nats; None where there is no KL of each latent.
        distortion: -E_q log p(x|z), in nats.
        pixel_mean_distortion: the same with every pixel at its mean over the images; NaN for no
            comparison.
    """
    if kl_latent is None:
        used = [variance > ACTIVE_VARIANCE for variance in variance_of_means]
        measure = f"posterior means with a variance above {ACTIVE_VARIANCE:g}"
    else:
        used = [kl > USED_KL for kl in kl_latent]
        measure = f"a KL above {USED_KL:g} nats (together {sum(kl_latent):.4g})"
    num, total = sum(used), len(used)
    comparison = (
        f"; distortion {distortion:.4g} nats, with every pixel at its mean "
        f"{pixel_mean_distortion:.4g}"
        if math.isfinite(pixel_mean_distortion)
        else ""
    )
    counts = f"{num} of {total} latents {'has' if num == 1 else 'have'} {measure}{comparison}."
    if num == 0:
        return (
            f"Collapsed posterior: {counts} The decoder has learned to ignore z: lower beta, "
            "raise it slowly from 0 (annealing), or train longer."
        )
    if distortion > (1 - NEAR_PIXEL_MEAN) * pixel_mean_distortion:
        return (
            f"Almost collapsed: {counts} The decoder gains next to nothing from z: train longer, "
            "or lower beta."
        )
    if num < total:
        return (
            f"Partly collapsed: {counts} Normal at a high beta or with latents to spare; "
            "if images are too blurred, lower beta, else try fewer latents."
        )
    return f"Healthy: {counts} If images still lack detail, use more latents."

"""Posterior collapse in words."""

import math
from collections.abc import Sequence

from vaelab.elbo_statistics import ACTIVE_VARIANCE

USED_KL = 0.1  # nats; a latent of less tells a tenth of a bit and changes no picture

# A decoder that ignores z can at best give every pixel its mean; nearer than this is no use of z.
NEAR_PIXEL_MEAN = 0.01


def collapse_verdict(
    variance_of_means: Sequence[float],
    kl_latent: Sequence[float] | None = None,
    distortion: float = math.nan,
    pixel_mean_distortion: float = math.nan,
) -> str:
    """What the latents carry, in one or two sentences with the numbers and what to try.

    A latent is in use if its average KL exceeds 0.1 nats (`active_units_kl` counts from 0.01);
    without a KL of each latent, if the variance over images of its posterior mean exceeds 0.01
    (Burda et al. 2016, sec. 4.1). No latent in use is a collapsed posterior; some idle is normal at
    a high beta or with latents to spare.

    Args:
        variance_of_means: (L,), Var_x(E_q[z_j|x]).
        kl_latent: (L,), nats; None where there is no KL of each latent.
        distortion: -E_q log p(x|z), nats.
        pixel_mean_distortion: the same with every pixel at its mean over the images; NaN leaves
            the comparison out.
    """
    if kl_latent is None:
        used = [variance > ACTIVE_VARIANCE for variance in variance_of_means]
        measure = f"posterior means with a variance above {ACTIVE_VARIANCE:g}"
    else:
        used = [kl > USED_KL for kl in kl_latent]
        measure = f"a KL above {USED_KL:g} nats (together {sum(kl_latent):.4g})"
    num, total = sum(used), len(used)
    beside = (
        f"; distortion {distortion:.4g} nats, with every pixel at its mean "
        f"{pixel_mean_distortion:.4g}"
        if math.isfinite(pixel_mean_distortion)
        else ""
    )
    counted = f"{num} of {total} latents {'has' if num == 1 else 'have'} {measure}{beside}."
    if num == 0:
        return (
            f"Collapsed posterior: {counted} The decoder has learned to ignore z: lower "
            "objective.beta, raise it slowly (kl_penalty=linear), or train longer."
        )
    if distortion > (1 - NEAR_PIXEL_MEAN) * pixel_mean_distortion:
        return (
            f"Almost collapsed: {counted} The decoder gains next to nothing from z: train longer, "
            "or lower objective.beta."
        )
    if num < total:
        return (
            f"Partly collapsed: {counted} Normal at a high objective.beta or with latents to "
            "spare; if pictures are too blurred, lower objective.beta, else latent_dim may shrink."
        )
    return f"Healthy: {counted} If pictures still lack detail, raise latent_dim."

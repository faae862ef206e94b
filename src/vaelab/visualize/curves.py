"""Figures of what a run logged over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaelab import figures
from vaelab.elbo_statistics import latent_names

if TYPE_CHECKING:
    from vaelab.figures import Figure


def collect_latent_kl(
    curves: Mapping[str, Mapping[int, float]], latent_dim: int, split: str = "val"
) -> dict[int, list[float]]:
    """step -> KL of each latent, at the steps where all were logged; {} where there are none.

    Args:
        curves: logged name -> step -> value.
        latent_dim: L, of the names "val/kl_latent/0" to "val/kl_latent/{L - 1}".
        split: the first part of the names.
    """
    width = len(str(latent_dim - 1))
    columns = [curves.get(f"{split}/kl_latent/{i:0{width}d}", {}) for i in range(latent_dim)]
    steps = sorted(set(columns[0]).intersection(*columns))
    return {step: [column[step] for column in columns] for step in steps}


def draw_latent_kl(kl: Mapping[int, Sequence[float]], split: str = "validation") -> "Figure":
    """KL of each latent over training: step -> (L,) nats, at least one step."""
    steps = sorted(kl)
    values = np.array([kl[step] for step in steps])
    caption = f"KL of q(z|x) and p(z) of each latent over training, mean over the {split} images"
    return figures.plot_latent_kl(steps, values, latent_names(values.shape[1]), caption)


def collect_em_bound(
    curves: Mapping[str, Mapping[int, float]],
) -> tuple[list[float], list[float]] | None:
    """log p and the ELBO after the M step at the first steps, where objective=em logged each.

    Args:
        curves: logged name -> step -> value.
    """
    log_p, after = (curves.get(f"train/{n}", {}) for n in ("log_p", "elbo_after_m_step"))
    num = next((i for i in range(len(after)) if i + 1 not in after), len(after))
    if num < 2:
        return None
    steps = range(1, num + 1)
    return [log_p[step] for step in steps], [after[step] for step in steps]


def draw_em_bound(log_p: Sequence[float], after_m_step: Sequence[float]) -> "Figure":
    """The zig-zag of EM, from `collect_em_bound`."""
    caption = (
        "EM raises log p(x) = ELBO + KL: the M step raises the ELBO at fixed q, which leaves a KL; "
        "the E step sets q to p(z|x) and closes it. Means over the training images"
    )
    return figures.plot_em_bound(log_p, after_m_step, caption)

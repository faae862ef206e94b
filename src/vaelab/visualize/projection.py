"""Points on their principal axes."""

import torch
from torch import Tensor


def principal_axes(points: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """The directions of largest variance.

    They are the eigenvectors of the scatter matrix X^T X of the centred points X (N, D), or where
    N < D, X^T u / |X^T u| for those u of X X^T, which has the same eigenvalues.

    Args:
        points: (N, D).
        num: how many, at most N and D.

    Returns:
        (D, num) float64, orthonormal as far as the points vary, the larger variance first, the sign
        of each such that its largest weight is positive; and (num,) the fractions of the variance
        that they explain.
    """
    centred = points.double() - points.double().mean(0)
    is_wide = len(centred) < centred.shape[1]
    scatter = centred @ centred.T if is_wide else centred.T @ centred
    variances, axes = torch.linalg.eigh(scatter)
    axes = axes.flip(1)[:, :num]
    if is_wide:
        axes = centred.T @ axes
        axes = axes / axes.norm(dim=0).clamp(min=1e-150)
    leading = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    explained = variances.flip(0)[:num].clamp(min=0) / variances.sum().clamp(min=1e-300)
    return axes * leading.sign(), explained


def principal_components(points: Tensor) -> tuple[Tensor, Tensor]:
    """Points on their first two principal axes.

    Args:
        points: (N, L), L at least 2.

    Returns:
        (N, 2) float64, centred; and (2,) the fractions of the variance that these explain, see
        `principal_axes`.
    """
    axes, explained = principal_axes(points, 2)
    return (points.double() - points.double().mean(0)) @ axes, explained

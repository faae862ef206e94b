"""Mixtures of Bernoulli products and of diagonal normals, fitted by EM."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.errors import UserError, require, require_choice, require_range

FAMILIES = ("bernoulli", "gaussian")
MIN_PROBABILITY = 1e-3  # of a pixel; at 0 or 1 one image that differs has log p(x) = -inf
MIN_VARIANCE = 1e-4


@dataclass(frozen=True)
class Mixture:
    """p(x) = sum_k pi_k p(x|k) over vectors x (D,).

    Attributes:
        weights: pi (K,).
        means: (K, D); of Bernoulli products the probabilities of a one.
        variances: (K, D) of diagonal normals, None for Bernoulli products.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor | None = None

    def log_joint(self, x: Tensor) -> Tensor:
        """log pi_k + log p(x|k): (N, D) -> (N, K) in nats."""
        if self.variances is None:
            logits, rest = torch.logit(self.means), torch.log1p(-self.means).sum(1)
            return x @ logits.T + (rest + self.weights.log())
        precision = 1 / self.variances
        square = x.square() @ precision.T - 2 * x @ (self.means * precision).T
        rest = (self.means.square() * precision + self.variances.log()).sum(1)
        constant = x.shape[1] * math.log(2 * math.pi)
        return self.weights.log() - 0.5 * (square + rest + constant)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x): (N, D) -> (N,) in nats."""
        return self.log_joint(x).logsumexp(1)

    def log_prior(self, smoothing: float) -> float:
        """smoothing * [sum_k log pi_k + sum_kd log mu_kd (1 - mu_kd)], what `em` adds to N log p.

        Up to a constant the log density of Dirichlet(1 + smoothing) for pi and of independent
        Beta(1 + smoothing, 1 + smoothing) for each mu_kd.
        """
        if smoothing == 0:
            return 0.0
        pixels = self.means.log() + torch.log1p(-self.means)
        return smoothing * float(self.weights.double().log().sum() + pixels.double().sum())

    def responsibilities(self, x: Tensor) -> Tensor:
        """The posterior p(k|x): (N, D) -> (N, K)."""
        return self.log_joint(x).softmax(1)


@dataclass(frozen=True)
class HalfStep:
    """The bound after an E or an M step, in nats per image: log_p = elbo + kl.

    Attributes:
        step: "E", after which kl = 0, or "M", which raises the ELBO at fixed responsibilities.
        log_p: mean log p(x).
        elbo: mean over images of sum_k q(k) [log p(x, k) - log q(k)].
        kl: mean KL(q(k) || p(k|x)).
        log_prior: what smoothing adds to log_p, see `Mixture.log_prior`, divided by N.
    """

    step: str
    log_p: float
    elbo: float
    kl: float
    log_prior: float = 0.0


@dataclass(frozen=True)
class EMFit:
    """The result of `em`: the mixture, and the bound after every half step."""

    mixture: Mixture
    history: list[HalfStep]


@torch.no_grad()
def em(
    x: Tensor,
    num_components: int,
    *,
    family: str = "bernoulli",
    num_iterations: int = 100,
    tolerance: float = 1e-3,
    smoothing: float = 0.0,
    seed: int = 0,
    start: Mixture | None = None,
    report: Callable[[HalfStep], None] = lambda _: None,
) -> EMFit:
    """Maximise mean log p(x) of a mixture by EM, coordinate ascent on the ELBO.

        E: q_n(k) = pi_k p(x_n|k) / sum_l pi_l p(x_n|l)            then ELBO = log p
        M: pi_k = N_k / N, mu_k = sum_n q_n(k) x_n / N_k, ...      with N_k = sum_n q_n(k)

    log p never falls, up to the bounds of probabilities and variances, and rounding. With
    `smoothing` s the M step is the mode under a prior, and what never falls is N log p +
    s [sum_k log pi_k + sum_kd log mu_kd (1 - mu_kd)]:

        M: pi_k = (N_k + s) / (N + K s), mu_kd = (sum_n q_n(k) x_nd + s) / (N_k + 2 s)

    s = 1 is Laplace's rule, as if each component had one more image that is white in a pixel and
    one that is black. Then no probability is bounded.

    Dempster et al. 1977, "Maximum likelihood from incomplete data via the EM algorithm",
    https://doi.org/10.1111/j.2517-6161.1977.tb01600.x; as coordinate ascent: Neal and Hinton 1998,
    "A view of the EM algorithm that justifies incremental, sparse, and other variants",
    https://doi.org/10.1007/978-94-011-5014-9_12.

    Args:
        x: (N, D) of floating type, in which everything is computed; in [0, 1] for "bernoulli".
        num_components: K.
        family: "bernoulli", products of pixels, or "gaussian", with diagonal covariances.
        num_iterations: at most as many pairs of steps.
        tolerance: stop where log p, with its prior, rises by less, in nats per image.
        smoothing: s, for "bernoulli" alone.
        seed: of the start, see `random_start`.
        start: the first mixture, in place of a random one.
        report: called after each half step.

    Raises:
        UserError: x of another shape or out of range, an unknown family, more components than rows,
            or a component that loses all its rows.
    """
    require_choice("family", family, FAMILIES)
    require_range("num_iterations", num_iterations, at_least=1, integer=True, example=100)
    _require_rows(x, num_components, family)
    _require_smoothing(smoothing, family)
    mixture = start or random_start(x, num_components, family, seed)
    history: list[HalfStep] = []

    def add(step: HalfStep) -> None:
        history.append(step)
        report(step)

    log_joint, prior = mixture.log_joint(x), mixture.log_prior(smoothing) / len(x)
    for iteration in range(num_iterations):
        log_p, before = _mean(log_joint.logsumexp(1)), prior
        add(HalfStep("E", log_p, log_p, 0.0, prior))
        q = log_joint.softmax(1)
        mixture = m_step(q, x, family, iteration, smoothing)
        prior = mixture.log_prior(smoothing) / len(x)
        entropy = _mean(torch.special.entr(q).sum(1))
        log_joint = mixture.log_joint(x)
        elbo, new_log_p = _mean((q * log_joint).sum(1)) + entropy, _mean(log_joint.logsumexp(1))
        add(HalfStep("M", new_log_p, elbo, new_log_p - elbo, prior))
        if new_log_p + prior - (log_p + before) < tolerance:
            break
    return EMFit(mixture, history)


def m_step(
    q: Tensor,
    x: Tensor,
    family: str = "bernoulli",
    iteration: int = 0,
    smoothing: float = 0.0,
) -> Mixture:
    """The mixture that maximises the ELBO at responsibilities q (N, K) of rows x (N, D).

    With `smoothing`, the mode under the prior of `em`.

    Raises:
        UserError: a component without rows, where nothing is smoothed.
    """
    counts = q.sum(0)
    dead = (counts < 1e-3).nonzero().flatten().tolist()
    if dead and smoothing == 0:
        raise UserError(
            f"num_components expects components that keep some images, got {len(dead)} of "
            f"{q.shape[1]} without any after iteration {iteration}; lower it, or take another seed."
        )
    sums, weights = q.T @ x, (counts + smoothing) / (counts + smoothing).sum()
    if smoothing > 0:
        return Mixture(weights, (sums + smoothing) / (counts + 2 * smoothing)[:, None])
    means = sums / counts[:, None]
    if family == "bernoulli":
        return Mixture(weights, means.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY))
    squares = (q.T @ x.square()) / counts[:, None] - means.square()
    return Mixture(weights, means, squares.clamp(min=MIN_VARIANCE))


def random_start(
    x: Tensor, num_components: int, family: str = "bernoulli", seed: int = 0
) -> Mixture:
    """Equal weights, and means halfway between the mean of x and a row each, drawn at random.

    Components that are all alike are a saddle of log p, which EM would not leave.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(x), generator=generator)[:num_components].to(x.device)
    mean = x.mean(0)
    means = (mean + x[rows]) / 2
    weights = x.new_full((num_components,), 1 / num_components)
    if family == "bernoulli":
        return Mixture(weights, means.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY))
    variance = x.var(0, correction=0).clamp(min=MIN_VARIANCE)
    return Mixture(weights, means, variance.expand_as(means))


def _require_rows(x: Tensor, num_components: int, family: str) -> None:
    require(
        x.ndim == 2 and x.is_floating_point() and bool(x.isfinite().all()),
        f"x expects finite floating-point rows (N, D), got {x.dtype} of shape {tuple(x.shape)}; "
        "flatten the images.",
    )
    require_range(
        "num_components", num_components, at_least=1, at_most=len(x), integer=True, example=10
    )
    low, high = x.aminmax()
    require(
        family != "bernoulli" or bool(low >= 0 and high <= 1),
        f"x expects values in [0, 1] for the family bernoulli, got {low:g} to {high:g}; scale "
        "them, or use the family gaussian.",
    )


def _require_smoothing(smoothing: float, family: str) -> None:
    require_range("smoothing", smoothing, at_least=0, example=1)
    require(
        smoothing == 0 or family == "bernoulli",
        f"smoothing expects 0 for the family {family}, got {smoothing:g}; leave it out, or use the "
        "family bernoulli.",
    )


def _mean(values: Tensor) -> float:
    return float(values.double().mean())

"""The mixture of Le et al. 2020, on which ways to train a discrete z are compared."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from vaelab.distributions import log_mean_weight
from vaelab.errors import require_choice, require_range
from vaelab.likelihoods import Gaussian
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import Enumerated, Objective, ReweightedWakeSleep, WakeSleep
from vaelab.objectives.importance_weights import ImportanceWeightedObjective, bound_terms, weigh
from vaelab.objectives.wake_sleep import draw
from vaelab.posteriors import Categorical
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.reproduction.verdict import Measurement
from vaelab.seeding import generator, random_stream

log = logging.getLogger(__name__)

NUM_COMPONENTS = 20
SPACING, SIGMA = 10.0, 5.0  # of the components' means, and of each
HIDDEN = (16, 16)
DELTA = 0.2
NUM_TEST = 100
DRAWN_AT_ONCE = 500  # batches
FAR = 12  # wake-sleep from the adverse start hardly reaches the components above


class ScoreFunction(ImportanceWeightedObjective):
    """L_K with the score-function gradient of q, for a z that can't be reparameterised.

        loss = -E_x [ L_K + sum_k (L_K - b_k) log q(z_k|x) ],    the factor without gradient

    The value of the loss has no meaning, `bound` has. b_k is what a subclass chooses.
    """

    is_pathwise = False

    def __init__(self, num_samples: int):
        super().__init__()
        require_range("num_samples", num_samples, at_least=2, integer=True, example=20)
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        q_z = model.encode(x)
        z = draw(q_z, self.num_samples)
        log_q = q_z.log_prob(z)
        samples = weigh(model, x, z, log_q)
        bound = log_mean_weight(samples.log_weights, 0)
        factor = bound.detach() - self.baseline(samples.log_weights.detach())
        loss = -(bound + (factor * log_q).sum(0)).mean()
        return bound_terms(loss, bound, samples)

    @abstractmethod
    def baseline(self, log_weights: Tensor) -> Tensor:
        """b_k (K, B), which does not depend on z_k, from log w_k (K, B)."""


class Reinforce(ScoreFunction):
    """b_k = 0. Williams 1992, https://doi.org/10.1007/BF00992696."""

    def baseline(self, log_weights: Tensor) -> Tensor:
        return torch.zeros_like(log_weights)


class Vimco(ScoreFunction):
    """b_k is L_K with log w_k replaced by the mean of the others.

    Mnih and Rezende 2016, "Variational inference for Monte Carlo objectives",
    https://arxiv.org/abs/1602.06725.
    """

    def baseline(self, log_weights: Tensor) -> Tensor:
        num = len(log_weights)
        means = (log_weights.sum(0) - log_weights) / (num - 1)
        own = torch.eye(num, dtype=torch.bool, device=log_weights.device)[..., None]
        return log_mean_weight(torch.where(own, means[:, None], log_weights), 1)


METHODS: dict[str, Callable[[int], Objective]] = {
    "wake_sleep": WakeSleep,
    "reweighted_wake_sleep": ReweightedWakeSleep,
    "defensive": partial(ReweightedWakeSleep, delta=DELTA),
    "vimco": Vimco,
    "reinforce": Reinforce,
    "enumerated": lambda _: Enumerated(),
}


def compare_methods(
    cfg: DictConfig,
    methods: Mapping[str, Sequence[int]],
    seeds: Sequence[int],
    num_steps: int,
    batch_size: int = 100,
) -> dict[str, Any]:
    """Distances from the true model after training, by method, number of samples and seed.

    "<method> <K>/prior" is |p(z) - true p(z)|, "/posterior" the mean over 100 test points of
    |q(z|x) - true p(z|x)|, "/far" the mass of p(z) above component 12: medians over seeds. "<method
    a> <K> < <method b> <K>" is in how many seeds the posterior of a is nearer.

    Args:
        cfg: unused, but what every measure gets.
        methods: name of `METHODS` -> numbers of samples K, each a run for every seed.
        seeds: of weights, data and noise.
        num_steps: of Adam with lr 1e-3.
        batch_size: points drawn from the true model at every step.

    Raises:
        UserError: an unknown method.
    """
    results: dict[str, dict[str, float]] = {}
    runs = [(method, int(k)) for method, numbers in methods.items() for k in numbers]
    for method, num_samples in runs:
        require_choice("methods", method, METHODS)
        for seed in seeds:
            model = train_mixture(METHODS[method](num_samples), seed, num_steps, batch_size)
            found = distances(model, seed)
            log.info("%s, K = %d, seed %d: %s", method, num_samples, seed, found)
            for name, value in found.items():
                number = f"{method} {num_samples}/{name}"
                results.setdefault(number, {})[f"seed={seed}"] = value
    numbers: dict[str, Any] = {
        name: Measurement(median(values.values()), None, values) for name, values in results.items()
    }
    names = [f"{method} {num_samples}" for method, num_samples in runs]
    for a in names:
        for b in names:
            if a != b:
                first, second = (results[f"{name}/posterior"].values() for name in (a, b))
                wins = sum(x < y for x, y in zip(first, second, strict=True))
                numbers[f"{a} < {b}"] = float(wins)
    return numbers


def train_mixture(objective: Objective, seed: int, num_steps: int, batch_size: int) -> VAE:
    """The model after training on points of the true one, from the adverse start."""
    with random_stream("mixture of Le et al.", seed):
        model, true = build_mixture(adverse_logits()), build_mixture(true_logits())
        objective.check_model(model)
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(learned, fused=True)
        batches = iter(())
        for step in range(num_steps):
            if step % DRAWN_AT_ONCE == 0:
                batches = iter(sample(true, DRAWN_AT_ONCE * batch_size).split(batch_size))
            loss = objective(model, next(batches), step)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def build_mixture(logits: Tensor) -> VAE:
    """p(z = c) = softmax(logits)_c, p(x|z = c) = N(10 c, 5^2), q an MLP 1-16-16-20 with tanh.

    A point x is an image of one pixel. Means and sigma are fixed.
    """
    model = VAE(
        (1, 1, 1),
        len(logits),
        partial(MLPEncoder, hidden=HIDDEN, activation="tanh"),
        partial(MLPDecoder, hidden=()),
        Categorical,
        CategoricalPrior,
        Gaussian(SIGMA),
    )
    [table] = [layer for layer in model.decoder.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        table.weight.copy_(SPACING * torch.arange(len(logits)))
        table.bias.zero_()
        model.latent_prior.get_parameter("logits").copy_(logits)
    model.decoder.requires_grad_(False)
    return model


def true_logits() -> Tensor:
    """Of the model that draws the data: p(z = c) proportional to c + 5."""
    return (torch.arange(NUM_COMPONENTS) + 5.0).log()


def adverse_logits() -> Tensor:
    """Of the start in the authors' code: p(z = c) proportional to exp(-c)."""
    return -torch.arange(NUM_COMPONENTS, dtype=torch.float32)


@torch.no_grad()
def sample(model: VAE, num: int) -> Tensor:
    """x ~ p(x), (num, 1, 1, 1)."""
    return model.decode(model.prior().sample(torch.Size([num]))).sample()


@torch.no_grad()
def distances(model: VAE, seed: int) -> dict[str, float]:
    """Of a trained model from the true one, see `compare_methods`."""
    true = build_mixture(true_logits())
    probs = true_logits().softmax(0)
    noise = generator("test points", seed)
    which = torch.multinomial(probs, NUM_TEST, replacement=True, generator=noise)
    x = SPACING * which + SIGMA * torch.randn(NUM_TEST, generator=noise)
    x = x[:, None, None, None]
    prior = model.prior().mean
    posterior, exact = model.encode(x).mean, true.log_joint(x).T.softmax(1)
    return {
        "prior": float((prior - probs).norm()),
        "posterior": float((posterior - exact).norm(dim=1).mean()),
        "far": float(prior[FAR + 1 :].sum()),
    }

"""M2's bounds where they are known (S3b), and M1+M2 from few labels (S3a, S3c)."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from hydra import compose
from omegaconf import DictConfig
from torch import Tensor
from torch.distributions import MultivariateNormal

from vaelab import build
from vaelab.codes import Codes
from vaelab.data import Condition, Labels
from vaelab.elbo import elbo_terms
from vaelab.likelihoods import Bernoulli, Gaussian, Likelihood
from vaelab.metrics.classification import classification_error, fit_logistic_regression
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.models import Condition as ModelCondition
from vaelab.objectives import M2, BetaVAE
from vaelab.objectives.m2 import joint_bound, marginal_bound
from vaelab.posteriors import FullCovariance, Posterior
from vaelab.posteriors import Gaussian as GaussianPosterior
from vaelab.priors import StandardNormal
from vaelab.reproduction.verdict import Measurement
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State
from vaelab.seeding import random_stream
from vaelab.train import train

F64 = torch.float64
SIGMA = 0.5


def bounds_of_m2(cfg: DictConfig, num_images: int, num_draws: int) -> dict[str, float]:
    """How far M2's parts are from what they must be, on MNIST images and an untrained model.

    identity: |-U - (logsumexp(-L) - KL(q(y|x) || softmax(-L)))|, the largest, in nats.
    excess: of -U over logsumexp(-L), the largest, at most 0.
    gaussian: |-U - log p(x)| for classes whose p(x|y) is linear Gaussian, with exact q, in nats.
    score: the enumerated gradient of U in the logits of q against num_draws draws of the class
    weighted by their score, the largest difference in standard errors.
    known: |loss of M2 with all labels - (loss of the conditional VAE - log p(y) + alpha CE)|.
    """
    splits = build.build_data(cfg).splits
    x = splits.train.take(torch.arange(num_images)).double()
    assert splits.train.labels is not None
    y = splits.train.labels[:num_images]
    with random_stream("s3b", cfg.seed):
        model = _conditional(splits.image_shape, 10, 5, GaussianPosterior, Bernoulli(), (100,))
        with torch.no_grad():
            bound, log_q = joint_bound(model, x), model.classify(x).logits.T
        numbers = _identity(bound, log_q)
        numbers["score"] = _score_errors(bound[:, 0], log_q[:, 0], num_draws)
        numbers["gaussian"] = _linear_gaussian_error()
    losses = []
    for objective, arguments in (
        (M2(num_train=num_images, num_labelled=num_images, alpha=0.1), (model, x, 0, y)),
        (BetaVAE(1.0), (model.given(y), x, 0)),
    ):
        with random_stream("s3b noise", cfg.seed), torch.no_grad():
            losses.append(float(objective(*arguments)["loss"]))
    assert model.condition is not None
    with torch.no_grad():
        cross_entropy = -float(model.classify(x).log_prob(y).mean())
    log_prior = float(model.condition.log_prior[y].mean())
    numbers["known"] = abs(losses[0] - (losses[1] - log_prior + 0.1 * cross_entropy))
    return numbers


def _conditional(
    image_shape: Sequence[int],
    num_classes: int,
    latent_dim: int,
    posterior: type[Posterior],
    likelihood: Likelihood,
    hidden: Sequence[int],
) -> VAE:
    return VAE(
        image_shape,
        latent_dim,
        partial(MLPEncoder, hidden=hidden),
        partial(MLPDecoder, hidden=hidden),
        posterior,
        StandardNormal,
        likelihood,
        condition=ModelCondition([num_classes]),
        classifier=True,
    ).double()


def _identity(bound: Tensor, log_q: Tensor) -> dict[str, float]:
    value, top = marginal_bound(bound, log_q), bound.logsumexp(0)
    kl = (log_q.exp() * (log_q - bound.log_softmax(0))).sum(0)
    return {
        "identity": float((value - (top - kl)).abs().max()),
        "excess": float((value - top).max()),
    }


def _score_errors(bound: Tensor, log_q: Tensor, num_draws: int) -> float:
    """Of an image: bounds (C,), shifted by a constant, which changes neither gradient."""
    bound = bound - bound.mean()
    logits = log_q.clone().requires_grad_()
    exact = torch.autograd.grad(
        marginal_bound(bound[:, None], logits.log_softmax(0)[:, None])[0], logits
    )[0]
    q = log_q.exp()
    y = torch.multinomial(q, num_draws, replacement=True)
    score = torch.nn.functional.one_hot(y, len(q)) - q
    terms = score * (bound[y] - log_q[y])[:, None]
    return float(((terms.mean(0) - exact) / (terms.std(0) / math.sqrt(num_draws))).abs().max())


@torch.no_grad()
def _linear_gaussian_error() -> float:
    """|-U - log p(x)| of p(x|y) = N(b + V e_y, W W' + sigma^2 I), with the exact q(z|x, y), q(y|x).

    With the exact q every sample of z gives log p(x, z|y) - log q(z|x, y) = log p(x|y).
    """
    model = _conditional((1, 2, 3), 2, 2, FullCovariance, Gaussian(SIGMA), ())
    head = model.decoder.get_submodule("head")
    w, v = head.get_parameter("weight").tensor_split([2], 1)
    means = head.get_parameter("bias") + v.T
    precision = torch.eye(2, dtype=F64) + w.T @ w / SIGMA**2
    x = torch.rand(50, 1, 2, 3, dtype=F64)
    rows = x.flatten(1)
    loc = (rows - means[:, None]) @ w @ precision.inverse() / SIGMA**2
    q_z = MultivariateNormal(loc, precision_matrix=precision)
    view = model.each_class()
    z = elbo_terms(view, x, q_z=q_z).z
    log_joint = view.decode(z).log_prob(x) + view.prior().log_prob(z) - q_z.log_prob(z)
    bound = log_joint - math.log(2)
    marginal = MultivariateNormal(means[:, None], w @ w.T + SIGMA**2 * torch.eye(6, dtype=F64))
    log_p = (marginal.log_prob(rows) - math.log(2)).logsumexp(0)
    return float((marginal_bound(bound, bound.log_softmax(0)) - log_p).abs().max())


def m1_m2(
    path: Path, num_labels: Sequence[int], label_seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, Measurement]:
    """Test errors of M2 on the codes of the run in `path`, M1, for each number of labels.

    m1_m2: the share of test images that q(y|x) gets wrong at their mean codes; logistic: the same
    of logistic regression on the mean codes of the labelled images, over the same label seeds.
    Runs are stored in <path>/m2; finished ones are kept, and interrupted ones are resumed.

    Args:
        path: the finished run of M1.
        num_labels: numbers of labelled images.
        label_seeds: which images these are.
        overrides: of train.py, for the runs of M2.
    """
    numbers = {}
    for num in num_labels:
        errors, baseline = {}, {}
        for seed in label_seeds:
            own = [*overrides, f"data.run={path}", f"labels.num={num}", f"labels.seed={seed}"]
            cfg = compose("train", overrides=own)
            errors[f"labels.seed={seed}"] = _train_m2(
                cfg, path / "m2" / f"labels_{num}_seed_{seed}", own
            )
            baseline[f"labels.seed={seed}"] = logistic_error(path, num, seed)
        for name, values in (("m1_m2", errors), ("logistic", baseline)):
            median = float(torch.tensor(list(values.values())).median())
            numbers[f"{name}/{num}"] = Measurement(median, None, values)
    return numbers


def _train_m2(cfg: DictConfig, path: Path, overrides: list[str]) -> float:
    """test/error of a run, which is trained, resumed, or was finished before."""
    folder = RunFolder(path)
    if folder.path.exists() and folder.state() == State.FINISHED:
        return float(folder.read_metrics()["test/error"])
    cfg.resume = str(path) if folder.resume_checkpoint() else None
    return float(train(cfg, path, overrides)["test/error"])


def logistic_error(run: Path, num_labels: int, label_seed: int) -> float:
    """Test error of logistic regression on the mean codes of the labelled images of a run."""
    splits = Codes(run).load()
    chosen = Labels(num_labels, label_seed).choose(
        Condition().label(splits), splits.num_classes, semi_supervised=False
    )
    train_set, test = chosen.train, splits.test or splits.val
    assert train_set.labels is not None
    assert test.labels is not None
    x = train_set.take(torch.arange(len(train_set))).flatten(1).double()
    classify = fit_logistic_regression(x, train_set.labels)
    log_p = classify(test.take(torch.arange(len(test))).flatten(1).double())
    return float(classification_error(log_p, test.labels))

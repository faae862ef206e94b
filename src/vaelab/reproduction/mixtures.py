"""A mixture by EM and by gradient, and encoders of its posterior (target S7b)."""

from collections.abc import Callable
from functools import partial

import torch
from omegaconf import DictConfig
from torch import Tensor

from vaelab import build
from vaelab.data.images import Subset
from vaelab.distributions import states
from vaelab.likelihoods import Bernoulli
from vaelab.mixtures import Mixture, em
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import Enumerated
from vaelab.posteriors import Categorical, Exact, Posterior
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.seeding import random_stream

LEARNING_RATE = 1e-2


def amortised_mixtures(
    cfg: DictConfig, num_components: int, num_steps: int, batch_size: int
) -> dict[str, float]:
    """log p(x) of test images and KL(q || p(z|x)) of ways to fit a mixture, in nats per image.

    em: closed form. exact: by gradient, with the exact posterior. joint: a linear encoder and p
    trained together from the start. With p fixed at EM's solution: linear, an encoder trained by
    the ELBO, hence by KL(q || p(z|x)), whose gradient a saturated softmax hides; forward, the same
    by KL(p(z|x) || q), which is convex in the encoder's weights; formula, the same with the weights
    that make it exact, x . logit(mu_k) + sum_d ln(1 - mu_kd) + ln pi_k.
    """
    splits = build.build_data(cfg).splits
    test = _take(splits.test or splits.val)
    fit = em(_take(splits.train).flatten(1), num_components, seed=cfg.seed).mixture
    numbers = {"em/log_p": float(fit.log_prob(test.flatten(1)).double().mean())}

    def measure(name: str, model: VAE) -> None:
        with torch.no_grad():
            terms = [Enumerated()(model, part, 0) for part in test.split(1000)]
        for term in ("log_p", "gap"):
            numbers[f"{name}/{term}"] = float(torch.stack([t[term] for t in terms]).mean())

    new = partial(_build, splits.image_shape, num_components, cfg.seed)
    train = partial(_train, data=splits.train, num_steps=num_steps, batch_size=batch_size)
    linear, forward = (_fix_at(new(Categorical), fit) for _ in range(2))
    models = {"exact": new(Exact), "joint": new(Categorical), "linear": linear, "forward": forward}
    for name, model in models.items():
        loss = _forward_kl if name == "forward" else _negative_elbo
        train(model, loss, seed=cfg.seed)
        measure(name, model)
    with torch.no_grad():
        head = linear.encoder.get_submodule("head")
        head.get_parameter("weight").copy_(fit.means.logit())
        offsets = torch.log1p(-fit.means).sum(1) + fit.weights.log()
        head.get_parameter("bias").copy_(offsets)
    measure("formula", linear)
    return numbers


def _build(
    image_shape: tuple[int, int, int], num_components: int, seed: int, posterior: type[Posterior]
) -> VAE:
    with random_stream("init", seed):
        return VAE(
            image_shape,
            num_components,
            partial(MLPEncoder, hidden=()),
            partial(MLPDecoder, hidden=()),
            posterior,
            CategoricalPrior,
            Bernoulli(),
            init="glorot",
        )


def _fix_at(model: VAE, mixture: Mixture) -> VAE:
    """The model with p fixed at the mixture."""
    with torch.no_grad():
        table = model.decoder.get_submodule("head")
        table.get_parameter("weight").copy_(mixture.means.logit().T)
        table.get_parameter("bias").zero_()
        model.latent_prior.get_parameter("logits").copy_(mixture.weights.log())
    for module in (model.decoder, model.latent_prior):
        module.requires_grad_(False)
    return model


def _train(
    model: VAE,
    loss: Callable[[VAE, Tensor], Tensor],
    data: Subset,
    num_steps: int,
    batch_size: int,
    seed: int,
) -> None:
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, LEARNING_RATE)
    with random_stream("batches", seed):
        for _ in range(num_steps):
            x = data.take(torch.randint(len(data), (batch_size,)))
            optimizer.zero_grad()
            loss(model, x).backward()
            optimizer.step()


def _negative_elbo(model: VAE, x: Tensor) -> Tensor:
    return Enumerated()(model, x, 0)["loss"]


def _forward_kl(model: VAE, x: Tensor) -> Tensor:
    """KL(p(z|x) || q(z|x)) up to the entropy of p(z|x), which is constant."""
    log_joint = model.log_joint(x)
    log_q = model.encode(x).log_prob(states(model.prior())[:, None])
    return -(log_joint.softmax(0) * log_q).sum(0).mean()


def _take(subset: Subset) -> Tensor:
    return subset.take(torch.arange(len(subset)))

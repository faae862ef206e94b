"""The wake-sleep algorithm, and what it shares with reweighted wake-sleep."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical
from torch.nn.functional import one_hot

from vaelab.distributed import (
    all_gather_batch,
    local_shard,
    rows_of_all,
    split_over_processes,
    uniform_noise,
)
from vaelab.distributions import log_mean_weight
from vaelab.errors import require, require_range
from vaelab.models.vae import VAE
from vaelab.objectives.importance_weights import (
    ImportanceWeightedObjective,
    WeightedSamples,
    bound_terms,
    weigh,
)
from vaelab.priors import Vamp


class WakeSleepObjective(ImportanceWeightedObjective):
    """An objective with a loss for the generative model p and another for q(z|x).

        loss = wake_theta + (loss of q),    wake_theta = -L_K(x),  L_K(x) = log 1/K sum_k w_k

    theta are the parameters of decoder, prior and likelihood, phi those of encoder and posterior.
    Samples z_k ~ q(z|x) and log q(z_k|x) enter the weights w_k without gradient, so that theta
    alone learns from the first and phi alone from the second, in one step of one optimiser. Hence z
    may be discrete. The sum is no bound on anything, `bound` is: L_K.
    """

    is_pathwise = False

    def __init__(self, num_samples: int):
        super().__init__()
        require_range("num_samples", num_samples, at_least=1, integer=True, example=5)
        self.num_samples = num_samples

    def check_model(self, model: VAE) -> None:
        """Check that this objective can train the model.

        Raises:
            UserError: also where q(z|x) has no parameters, or shares them with the prior.
        """
        super().check_model(model)
        name = type(self).__name__
        require(
            not model.posterior.is_exact,
            f"{name} expects a posterior with an encoder to train, got "
            f"{type(model.posterior).__name__}, which is p(z|x) itself; use the posterior "
            "Categorical, or the objective Enumerated.",
        )
        require(
            not isinstance(model.latent_prior, Vamp),
            f"{name} expects a prior that shares no parameters with q(z|x), got Vamp, a mixture of "
            "posteriors; use the prior Mixture.",
        )

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        q_z = model.encode(x)
        z = draw(q_z, self.num_samples)
        log_q = q_z.log_prob(z)
        samples = weigh(model, x, z, log_q.detach())
        bound = log_mean_weight(samples.log_weights, 0)
        wake_theta = -bound.mean()
        of_posterior = self.posterior_losses(model, x, q_z, log_q, samples)
        loss = wake_theta + sum(of_posterior.values())
        terms = {"wake_theta": wake_theta, **of_posterior}
        means = {name: value.detach() for name, value in terms.items()}
        return bound_terms(loss, bound, samples) | means

    @abstractmethod
    def posterior_losses(
        self, model: VAE, x: Tensor, q_z: Distribution, log_q: Tensor, samples: WeightedSamples
    ) -> dict[str, Tensor]:
        """The loss of phi by its name: a scalar that gives theta no gradient.

        log_q: log q(z_k|x) of `samples`, (K, B), with gradient.
        """


class WakeSleep(WakeSleepObjective):
    """Wake-sleep: theta learns from data, q(z|x) from samples of the model.

        loss = wake_theta + sleep_phi
        wake_theta = -E_x log 1/K sum_k w_k,    w_k = p(x, z_k) / q(z_k|x),    z_k ~ q(z|x)
        sleep_phi  = -E_p(x, z) log q(z|x),     z ~ p(z),  x ~ p(x|z)

    in nats per image, no bound on log p(x). The gradient of sleep_phi is that of the forward
    divergence E_p(x) KL(p(z|x) || q(z|x)), under the images of the model and not of the data: at
    first these differ, and q then learns nothing about the data. They are drawn without gradient,
    as many as the batch has images. On several processes each decodes those of all.

    Hinton et al. 1995, "The wake-sleep algorithm for unsupervised neural networks",
    https://doi.org/10.1126/science.7761831, which has K = 1. With K > 1: Le et al. 2020,
    "Revisiting reweighted wake-sleep", eq. 5, https://arxiv.org/abs/1805.10469.

    Args:
        num_samples: K of the wake phase, samples of z per image, at least 1.
    """

    def __init__(self, num_samples: int = 1):
        super().__init__(num_samples)

    def posterior_losses(
        self, model: VAE, x: Tensor, q_z: Distribution, log_q: Tensor, samples: WeightedSamples
    ) -> dict[str, Tensor]:
        dreamt, z = dream(model, len(x))
        return {"sleep_phi": -model.encode(dreamt.to(x.dtype)).log_prob(z).mean()}


@torch.no_grad()
def dream(model: VAE, num: int) -> tuple[Tensor, Tensor]:
    """This process's rows of x ~ p(x|z), (num, C, H, W), and of z ~ p(z), (num, L)."""
    num_of_all, everyone = rows_of_all(num), with_classes_of_all(model)
    with split_over_processes(0, 1):  # every process draws those of all, then keeps its own
        z = everyone.sample_prior(num_of_all)
        x = everyone.decode(z).sample()
    return local_shard(x), local_shard(z)


def with_classes_of_all(model: VAE) -> VAE:
    """The model of the classes of the images of all processes."""
    return model if rows_of_all(1) == 1 else model.change_classes(all_gather_batch)


@torch.no_grad()
def draw(q_z: Distribution, num_samples: int) -> Tensor:
    """z ~ q(z|x) without gradient, (K, B, L), whose noise is that of `split_over_processes`."""
    if isinstance(q_z, OneHotCategorical):  # by the maximum of logits with Gumbel noise
        u = uniform_noise((num_samples, *q_z.logits.shape), batch_dim=-2, like=q_z.logits)
        u = u.clamp(min=torch.finfo(u.dtype).tiny)
        states = (q_z.logits - (-u.log()).log()).argmax(-1)
        return one_hot(states, q_z.logits.shape[-1]).to(q_z.logits.dtype)
    return q_z.sample(torch.Size([num_samples]))

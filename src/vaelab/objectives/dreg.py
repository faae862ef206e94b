"""The importance-weighted autoencoder with the doubly reparameterised gradient."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.func import functional_call

from vaelab.distributions import log_mean_weight
from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.importance_weights import ImportanceWeightedObjective, bound_terms, weigh


class DReG(ImportanceWeightedObjective):
    """The IWAE with the doubly reparameterised gradient for q(z|x).

        loss = -E_x L_K(x),    L_K(x) = log 1/K sum_k w_k
        w_k = p(x|z_k) p(z_k) / q(z_k|x),    z_k = z(eps_k; phi)
        d L_K / d phi  ~  sum_k v_k^2 (d log w_k / d z_k) (d z_k / d phi),    v_k = w_k / sum_j w_j

    in nats per image. phi are the parameters of encoder and posterior. This gradient has the same
    expectation as that of the IWAE, but less noise, and its signal-to-noise ratio does not fall
    with K; it is zero where q(z|x) = p(z|x). Decoder and prior have the gradient of the IWAE,
    sum_k v_k d log w_k. So has a prior made of posteriors, p(z) = p(z; phi), in phi: there phi is a
    parameter of p as well, and the derivative of L_K in phi is the sum of the two.

    Tucker et al. 2019, "Doubly reparameterized gradient estimators for Monte Carlo objectives",
    https://arxiv.org/abs/1810.04152.

    Args:
        num_samples: K, samples of z per image, at least 1.
    """

    def __init__(self, num_samples: int = 5):
        super().__init__()
        require_range("num_samples", num_samples, at_least=1, integer=True, example=5)
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        raw = model.encode_raw(x)
        z = model.posterior(raw).rsample(torch.Size([self.num_samples]))
        z, zeros = _WeightedGradient.apply(z)
        # With its parameters held fixed log q(z|x) has a gradient through z alone. The density is
        # evaluated inside the call, since a flow calls its networks only then.
        fixed = {name: parameter.detach() for name, parameter in model.posterior.named_parameters()}
        log_q = functional_call(model.posterior, fixed, (raw.detach(), z))
        samples = weigh(model, x, z, log_q)
        bound = log_mean_weight(samples.log_weights + zeros, 0)
        return bound_terms(-bound.mean(), bound, samples)


class _WeightedGradient(torch.autograd.Function):
    """z (K, B, L) -> z, and zeros (K, B) to add to log w; multiplies the gradient of z_k by v_k.

    v_k is known only when the loss is. But the gradient that reaches the zeros is that of log w_k,
    which is v_k up to a factor shared by the samples of an image. A hook on z would be shorter, but
    older versions of torch.compile break the graph at it, and it then comes too late.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.clone(), z.new_zeros(z.shape[:-1])

    @staticmethod
    def backward(ctx: FunctionCtx, grad_z: Tensor, grad_log_weights: Tensor) -> Tensor:
        return grad_z * (grad_log_weights / grad_log_weights.sum(0)).unsqueeze(-1)

"""The semi-amortised VAE: the encoder's q(z|x), refined by gradient steps on each image."""

import torch
from torch import Tensor
from torch.func import grad

from vaelab.elbo import elbo_terms
from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


class SemiAmortised(Objective):
    """The VAE whose q(z|x) is refined by K gradient steps on the ELBO of each image.

        lambda_0 = encoder(x),    v_0 = 0
        v_(k+1) = momentum v_k + clip(grad_lambda ELBO(x; lambda_k)),
        lambda_(k+1) = lambda_k + lr v_(k+1)
        loss = -E_x ELBO(x; lambda_K)

    in nats per image; lambda are the numbers from which the posterior makes q(z|x). The loss is
    differentiated through the steps, second derivatives included, so that the encoder learns a good
    start and the decoder what the steps will make of it. clip divides a gradient longer than
    max_norm by its length over max_norm. With K = 0 loss and gradient are those of the VAE.

    Each step has a fresh sample of z per image, and the loss another: a single one for all would be
    fitted. They come from the noise of the training step, as every other does, and stay the same
    while the loss is differentiated.

    Kim et al. 2018, "Semi-amortized variational autoencoders", algorithm 1 (number not checked),
    https://arxiv.org/abs/1802.02550. Their code, https://github.com/harvardnlp/sa-vae, takes finite
    differences for the second derivatives, does not differentiate its clipping, which is of the
    whole batch, and takes steps of lr = 1 on the mean over a batch of 50, which is lr = 0.02 here.

    Terms: `encoder_elbo`, of the encoder's q(z|x), with the noise of the first step.

    Args:
        num_steps: K, at least 0.
        lr: step size, above 0.
        momentum: share of the previous step that is added, from 0 to below 1.
        max_norm: largest length of a gradient of an image, in nats per unit of lambda, above 0.
    """

    def __init__(
        self, num_steps: int = 20, lr: float = 0.02, momentum: float = 0.5, max_norm: float = 5.0
    ):
        super().__init__()
        require_range("num_steps", num_steps, at_least=0, integer=True, example=20)
        require_range("lr", lr, above=0, example=0.02)
        require_range("momentum", momentum, at_least=0, below=1, example=0.5)
        require_range("max_norm", max_norm, above=0, example=5)
        self.num_steps, self.lr, self.momentum = num_steps, lr, momentum
        self.max_norm = max_norm

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        def elbo(raw: Tensor) -> tuple[Tensor, Tensor]:
            terms = elbo_terms(model, x, q_z=model.posterior(raw))
            value = -(terms.reconstruction + terms.kl)
            return value.sum(), value.mean()  # of the sum, so that no image sees the batch size

        raw = model.encode_raw(x)
        elbos, velocity = [], torch.zeros_like(raw)
        for _ in range(self.num_steps):
            # torch.func and not torch.autograd.grad, through which torch.compile does not trace.
            gradient, value = grad(elbo, has_aux=True)(raw)
            elbos.append(value.detach())
            velocity = self.momentum * velocity + self._clip(gradient)
            raw = raw + self.lr * velocity
        means = elbo_terms(model, x, q_z=model.posterior(raw)).means()
        return {
            "loss": means["reconstruction"] + means["kl"],
            **means,
            "encoder_elbo": [*elbos, means["elbo"]][0],
        }

    def _clip(self, gradient: Tensor) -> Tensor:
        # Of the square, whose root has no derivative at 0.
        squares = gradient.square().sum(-1, keepdim=True).clamp(min=self.max_norm**2)
        return gradient * (self.max_norm / squares.sqrt())

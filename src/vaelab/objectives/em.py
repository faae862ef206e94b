"""EM as training: every step is an E step over all images and the M step in closed form."""

import torch
from torch import Tensor, nn

from vaelab.errors import require
from vaelab.likelihoods import Bernoulli, Gaussian, GaussianLearned
from vaelab.mixtures import Mixture, m_step, random_start
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.priors import Categorical


class EM(Objective):
    """EM for a mixture: prior Categorical, posterior Exact and a decoder that is a table.

        loss = -E_x log p(x), before the M step of `vaelab.mixtures.m_step` on all images

    in nats per image. The first step starts from `vaelab.mixtures.random_start`. The parameters are
    written in closed form and their gradients are zeros, so that the optimiser moves nothing. The
    batch is all training images, on one process. Terms: `elbo` = `log_p` after the E step,
    `elbo_after_m_step` at the same responsibilities, of which the next log p is never less.

    Dempster et al. 1977, "Maximum likelihood from incomplete data via the EM algorithm",
    https://doi.org/10.1111/j.2517-6161.1977.tb01600.x.

    Args:
        num_train: number of training images.
    """

    is_pathwise = False

    def __init__(self, num_train: int):
        super().__init__()
        self.num_train = num_train

    def check_model(self, model: VAE) -> None:
        """Check that this objective can train the model.

        Raises:
            UserError: the model is no mixture, or the likelihood has no M step in closed form.
        """
        super().check_model(model)
        require(
            model.condition is None,
            "EM expects a model without classes, got a conditional one; leave the condition out, "
            "or use the objective Enumerated.",
        )
        linear = [module for module in model.decoder.modules() if not list(module.children())]
        table = [module for module in linear if isinstance(module, nn.Linear)]
        require(
            model.posterior.is_exact and isinstance(model.latent_prior, Categorical),
            "EM expects the posterior Exact and the prior Categorical, got "
            f"{type(model.posterior).__name__} and {type(model.latent_prior).__name__}; use the "
            "objective Enumerated for other models.",
        )
        require(
            len(table) == 1 and table[0].in_features == model.latent_dim,
            "EM expects a decoder without hidden layers, a table of one row per component, got "
            f"{type(model.decoder).__name__} with {len(table)} layers; set hidden=[] of an MLP.",
        )
        require(
            isinstance(model.likelihood, (Bernoulli, Gaussian, GaussianLearned)),
            "EM expects a likelihood whose M step has a closed form, Bernoulli, Gaussian or "
            f"GaussianLearned, got {type(model.likelihood).__name__}; use the objective "
            "Enumerated.",
        )

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        require(
            len(x) == self.num_train,
            f"EM expects all {self.num_train} training images in a batch on one process, got "
            f"{len(x)}; set batch_size={self.num_train} and trainer.devices=1.",
        )
        with torch.no_grad():
            rows = x.flatten(1)
            family = "bernoulli" if isinstance(model.likelihood, Bernoulli) else "gaussian"
            if step == 0:
                seed = int(torch.randint(2**31, ()))
                _write(model, random_start(rows, model.latent_dim, family, seed))
            log_joint = model.log_joint(x).T
            q = log_joint.softmax(1)
            log_p = log_joint.logsumexp(1).mean()
            log_prior = model.latent_prior.get_parameter("logits").log_softmax(0)
            kl = -(torch.special.entr(q) + q * log_prior).sum(1).mean()
            entropy = torch.special.entr(q).sum(1).mean()
            _write(model, m_step(q, rows, family, step))
            after = (q * model.log_joint(x).T).sum(1).mean() + entropy
        nothing = sum((p * 0).sum() for p in model.parameters())
        return {
            "loss": nothing - log_p,
            "elbo": log_p,
            "reconstruction": -log_p - kl,
            "kl": kl,
            "log_p": log_p,
            "elbo_after_m_step": after,
        }


def _write(model: VAE, mixture: Mixture) -> None:
    """Set the parameters of a model to those of a mixture; one sigma has the mean variance."""
    [table] = [module for module in model.decoder.modules() if isinstance(module, nn.Linear)]
    bernoulli = isinstance(model.likelihood, Bernoulli)
    table.weight.copy_((mixture.means.logit() if bernoulli else mixture.means).T)
    table.bias.zero_()
    model.latent_prior.get_parameter("logits").copy_(mixture.weights.log())
    if isinstance(model.likelihood, GaussianLearned) and mixture.variances is not None:
        variance = (mixture.weights @ mixture.variances).mean()
        model.likelihood.log_sigma.copy_(0.5 * variance.log())

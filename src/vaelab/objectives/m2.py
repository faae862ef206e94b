"""M2: a VAE with a class, learned from few labels and many images without."""

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch, rows_of_all, uniform_noise
from vaelab.elbo import elbo_terms
from vaelab.errors import require, require_choice, require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective

UNKNOWN = ("enumerate", "relax")


def joint_bound(model: VAE, x: Tensor) -> Tensor:
    """-L(x, y) = ELBO(x|y) + log p(y) of images x (B, C, H, W) with each class y: (C, B) in nats.

    The encoder sees each image once; what it adds for a class is a row of its first layer's
    weights. Kingma et al. 2014, "Semi-supervised learning with deep generative models", eq. 6,
    https://arxiv.org/abs/1406.5298.
    """
    assert model.condition is not None
    terms = elbo_terms(model.each_class(), x)
    return model.condition.log_prior[:, None] - terms.reconstruction - terms.kl


def marginal_bound(bound: Tensor, log_q: Tensor) -> Tensor:
    """-U(x) = sum_y q(y|x) (-L(x, y) - log q(y|x)), a lower bound on log p(x): (B,).

    For any q it is logsumexp_y(-L(x, y)) - KL(q(y|x) || softmax_y(-L(x, y))).

    Args:
        bound: -L(x, y), (C, B).
        log_q: log q(y|x), (C, B).
    """
    return (log_q.exp() * (bound - log_q)).sum(0)


class M2(Objective):
    """M2: images x with a class y and latents z, where few y are known.

        -L(x, y) = E_q(z|x,y) [log p(x|y, z) + log p(y) + log p(z) - log q(z|x, y)]  <=  log p(x, y)
        -U(x) = sum_y q(y|x) (-L(x, y)) + H(q(y|x))                                  <=  log p(x)
        loss = N_l/N E_labelled L(x, y) + N_u/N E_unlabelled U(x)
               + alpha E_labelled [-log q(y|x)]

    in nats per image of the N = N_l + N_u training images, of which N_l have labels. Unlabelled
    images are summed over their classes, exactly; the classifier q(y|x) learns from them through U
    and from the labels by alpha alone. A batch may have labelled images in any share. With all
    labels known U is absent: a conditional VAE beside a classifier.

    Kingma et al. 2014, "Semi-supervised learning with deep generative models", eq. 6, 7 and 9,
    https://arxiv.org/abs/1406.5298, whose J^alpha is N times this loss. On the codes of an
    unsupervised model (`vaelab.codes.Codes`) it is their M1+M2. Published code that is not this
    bound: q(y|x) fed to the decoder in place of the sum, labelled images without their labels in
    the ELBO, log(q + 1e-8) in the entropy.

    `unknown="relax"` replaces the sum by one relaxed sample, y = softmax((log q(y|x) + g) / T) with
    Gumbel noise g, which costs a tenth for ten classes and is no bound: Jang et al. 2017,
    "Categorical reparameterization with Gumbel-softmax", https://arxiv.org/abs/1611.01144.

    Terms, in nats per image: `labelled_bound`, the mean of -L(x, y) where y is known;
    `unlabelled_bound`, of -U(x) where it isn't; `cross_entropy`, of -log q(y|x) where it is; and
    `entropy` of q(y|x) where it isn't.

    Args:
        num_train: N.
        num_labelled: N_l.
        alpha: weight of the classification of labelled images, at least 0.
        unknown: "enumerate" the classes of an unlabelled image, or "relax" them.
        temperature: T, above 0.
    """

    needs_labels = True
    uses_unlabelled = True
    trains_classifier = True

    def __init__(
        self,
        num_train: int,
        num_labelled: int,
        alpha: float = 0.1,
        unknown: str = "enumerate",
        temperature: float = 0.5,
    ):
        super().__init__()
        require_range("alpha", alpha, at_least=0, example=0.1)
        require_range("temperature", temperature, above=0, example=0.5)
        require_choice("unknown", unknown, UNKNOWN)
        self.labelled_share = num_labelled / num_train
        self.alpha, self.unknown, self.temperature = alpha, unknown, temperature

    def check_model(self, model: VAE) -> None:
        """Check that this objective can train the model.

        Raises:
            UserError: also where the classes can't be relaxed.
        """
        super().check_model(model)
        assert model.condition is not None
        require(
            self.unknown == "enumerate" or len(model.condition.sizes) == 1,
            "unknown expects enumerate for classes that are combinations of factors, got relax; "
            "use enumerate, or one factor.",
        )

    def forward(
        self, model: VAE, x: Tensor, step: int, y: Tensor | None = None
    ) -> dict[str, Tensor]:
        assert y is not None
        log_q = model.classify(x).logits.T
        known = y >= 0
        rows = y.clamp(min=0)[None]
        cross_entropy = -log_q.gather(0, rows)[0]
        entropy = -(log_q.exp() * log_q).sum(0)
        if self.labelled_share == 1:
            labelled = unlabelled = self._given(model, x, y)
        elif self.unknown == "enumerate":
            bound = joint_bound(model, x)
            labelled, unlabelled = bound.gather(0, rows)[0], marginal_bound(bound, log_q)
        else:
            labelled = unlabelled = self._relaxed(model, x, y, log_q)

        # Means over the labelled and the unlabelled images of all processes.
        num_known = all_gather_batch(known.to(x.dtype)).sum()
        num_rows = rows_of_all(len(x))
        weight = known * (num_rows / num_known.clamp(min=1))
        other = ~known * (num_rows / (num_rows - num_known).clamp(min=1))
        labelled_bound, unlabelled_bound = (weight * labelled).mean(), (other * unlabelled).mean()
        classification = (weight * cross_entropy).mean()
        share = self.labelled_share
        bound = share * labelled_bound + (1 - share) * unlabelled_bound
        return {
            "loss": self.alpha * classification - bound,
            "labelled_bound": labelled_bound.detach(),
            "unlabelled_bound": unlabelled_bound.detach(),
            "cross_entropy": classification.detach(),
            "entropy": (other * entropy).mean().detach(),
        }

    def _given(self, model: VAE, x: Tensor, y: Tensor) -> Tensor:
        """-L(x, y) of images of known classes: (B,)."""
        assert model.condition is not None
        terms = elbo_terms(model.given(y), x)
        return model.condition.log_prior[y] - terms.reconstruction - terms.kl

    def _relaxed(self, model: VAE, x: Tensor, y: Tensor, log_q: Tensor) -> Tensor:
        """-L(x, y) where y is known, else of one relaxed class, with the entropy of q: (B,)."""
        assert model.condition is not None
        noise = -torch.log(-torch.log(uniform_noise(log_q.T.shape, 0, log_q).clamp(1e-10, 1)))
        relaxed = ((log_q.T + noise) / self.temperature).softmax(-1)
        known = (y >= 0)[:, None]
        vectors = torch.where(known, model.condition(y.clamp(min=0)), relaxed)
        terms = elbo_terms(model.given(vectors), x)
        log_prior, q = model.condition.log_prior, log_q.exp().T
        rest = torch.where(
            known[:, 0],
            log_prior[y.clamp(min=0)],
            (q * (log_prior - log_q.T)).sum(-1),
        )
        return rest - terms.reconstruction - terms.kl

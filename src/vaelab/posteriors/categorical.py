"""Categorical posteriors: amortised, and exact by enumeration."""

from torch import Tensor
from torch.distributions import OneHotCategorical

from vaelab.distributions import one_hot
from vaelab.posteriors.base import Posterior


class Categorical(Posterior):
    """q(z = e_k|x) = softmax(raw)_k over K = latent_dim one-hot vectors, from the encoder.

    For a mixture of Bernoulli products the exact posterior is softmax(x . logit(mu_k) +
    sum_d ln(1 - mu_kd) + ln pi_k), so that a linear encoder can be exact.

    Shapes: raw (B, K) -> batch (B,), event (K,).
    """

    is_discrete = True

    def __init__(self, latent_dim: int):
        super().__init__()
        self.num_params = latent_dim

    def distribution(self, raw: Tensor) -> OneHotCategorical:
        return one_hot(raw)


class Exact(Categorical):
    """The posterior p(z|x) itself, from the log joint of every value of z: the E step of EM.

        p(z = e_k|x) = p(e_k) p(x|e_k) / sum_l p(e_l) p(x|e_l)

    The model takes log p(x, e_k) as the raw output, and has no encoder.
    """

    is_exact = True

"""The inference gap: known answers of a linear Gaussian model, families, starts, discrete z."""

from functools import partial
from importlib import import_module

import pytest
import torch
from torch.distributions import MultivariateNormal

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.metrics import InferenceGap, fit_posterior, inference_gap, require_applicable
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import IAF, Categorical, Delta, Exact, FullCovariance, Gaussian
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.priors import StandardNormal

F64 = torch.float64
SIGMA = 0.5
QUICK = {"num_steps": 300, "num_samples": 50, "num_bound_samples": 2000}


def build(posterior, latent_dim=2, likelihood=None, prior=StandardNormal, shape=(1, 2, 3)):
    linear = (partial(MLPEncoder, hidden=()), partial(MLPDecoder, hidden=()))
    likelihood = likelihood or GaussianPixels(SIGMA)
    return VAE(shape, latent_dim, *linear, posterior, prior, likelihood).double().eval()


class Linear:
    """x = W z + b + noise with columns that are not orthogonal, and its best linear encoder."""

    def __init__(self, num=6):
        self.model = build(Gaussian)
        self.w = torch.tensor(
            [[2.0, 0.5], [0, 1.1], [0.4, 0], [0, 0], [1, 0.2], [0, 0.3]], dtype=F64
        )
        self.precision = torch.eye(2, dtype=F64) + self.w.T @ self.w / SIGMA**2
        self.log_diagonal = self.precision.diagonal().log()
        self.log_det = self.precision.logdet()
        gain = torch.linalg.solve(self.precision, self.w.T) / SIGMA**2
        with torch.no_grad():
            self.model.decoder.head.weight.copy_(self.w)
            self.model.decoder.head.bias.zero_()
            self.model.encoder.head.weight.copy_(torch.cat([gain, torch.zeros(2, 6)]))
            self.model.encoder.head.bias.copy_(torch.cat([torch.zeros(2), -self.log_diagonal]))
        p_x = MultivariateNormal(
            torch.zeros(6, dtype=F64), self.w @ self.w.T + SIGMA**2 * torch.eye(6, dtype=F64)
        )
        x = p_x.sample((num,))
        self.x, self.log_p = x.view(num, 1, 2, 3), p_x.log_prob(x)
        self.mean = x @ gain.T

    @property
    def approximation(self):
        """KL(q* || p(z|x)) of the best diagonal normal, the same for each x."""
        return 0.5 * (self.log_diagonal.sum() - self.log_det)


def test_the_best_linear_encoder_has_no_amortization_gap():
    known = Linear()
    gap = inference_gap(known.model, known.x, **QUICK)
    # The fit wins or loses by the noise of 2,000 samples alone.
    assert bool((gap.amortization >= 0).all())
    torch.testing.assert_close(gap.amortization, torch.zeros(6, dtype=F64), rtol=0, atol=2e-3)
    # L_K is log p(x) but for its noise; the ELBO's is that of log weights of a variance near 1.
    torch.testing.assert_close(gap.log_p.mean(), known.log_p.mean(), rtol=0, atol=0.1)
    expected = known.log_p - known.approximation
    torch.testing.assert_close(gap.elbo.mean(), expected.mean(), rtol=0, atol=0.1)
    torch.testing.assert_close(gap.approximation + gap.amortization, gap.total)


def test_full_covariance_has_no_approximation_gap():
    known = Linear()
    assert known.approximation > 0.05
    gap = inference_gap(
        known.model, known.x, **QUICK | {"num_steps": 400, "family": "full_covariance"}
    )
    torch.testing.assert_close(gap.approximation, torch.zeros(6, dtype=F64), rtol=0, atol=2e-3)
    torch.testing.assert_close(gap.log_p, known.log_p, rtol=0, atol=2e-3)
    torch.testing.assert_close(gap.amortization.mean(), known.approximation, rtol=0, atol=0.1)


@pytest.mark.parametrize("family", ["gaussian", "full_covariance"])
def test_both_starts_end_at_the_same_bound(family):
    """By the closed form of KL(q || p(z|x)), which has no noise, and to the best of the family."""
    known = Linear(num=3)
    ends = []
    for start in ("encoder", "prior"):
        fit = fit_posterior(
            known.model, known.x, 600, 200, family=family, start=start, seed=len(ends)
        )
        q_z = fit.q_z
        covariance = (
            q_z.covariance_matrix if family != "gaussian" else torch.diag_embed(q_z.variance)
        )
        q_z = MultivariateNormal(q_z.mean, covariance)
        exact = MultivariateNormal(known.mean, precision_matrix=known.precision)
        ends.append(known.log_p - torch.distributions.kl_divergence(q_z, exact))
        assert fit.trace.shape == (600, 3)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-3)
    best = known.log_p - (known.approximation if family == "gaussian" else 0)
    torch.testing.assert_close(ends[0], best, rtol=0, atol=1e-3)


def test_a_constant_encoder_has_the_amortization_gap_of_the_closed_form():
    """KL(q || p(z|x)) - KL(q* || p(z|x)) of q = N(m, diag v), whatever x."""
    known = Linear(num=20)
    m, v = torch.tensor([0.3, -0.2], dtype=F64), torch.tensor([0.5, 1.5], dtype=F64)
    with torch.no_grad():
        known.model.encoder.head.weight.zero_()
        known.model.encoder.head.bias.copy_(torch.cat([m, v.log()]))
    gap = inference_gap(
        known.model, known.x, **QUICK | {"num_steps": 400, "num_bound_samples": 4000}
    )
    away = m - known.mean
    divergence = 0.5 * (
        (known.precision.diagonal() * v).sum()
        + torch.einsum("bi,ij,bj->b", away, known.precision, away)
        - 2
        - known.log_det
        - v.log().sum()
    )
    expected = divergence - known.approximation
    assert expected.min() > 1
    error = (gap.amortization - expected) / expected
    assert error.abs().max() < 0.15
    assert abs(float(error.mean())) < 0.03


def smooth(posterior, tiny=(1, 2, 2)):
    networks = (partial(net, hidden=(6,), activation="tanh") for net in (MLPEncoder, MLPDecoder))
    model = VAE(tiny, 2, *networks, posterior, StandardNormal, Bernoulli()).double().eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(4)  # posteriors that are not normal
    return model


@pytest.mark.parametrize("start", ["encoder", "prior"])
def test_larger_families_come_closer_to_log_p(start):
    model, num = smooth(Gaussian), 8
    x = (torch.rand(num, 1, 2, 2) < 0.5).double()
    axis = torch.linspace(-6, 6, 241, dtype=F64)
    z = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_joint = model.prior().log_prob(z)[:, None] + model.decode(
            z[:, None].expand(-1, num, -1)
        ).log_prob(x)
    log_p = log_joint.logsumexp(0) + 2 * (axis[1] - axis[0]).log()
    gaps = {
        family: inference_gap(
            model,
            x,
            num_steps=300,
            num_samples=20,
            num_bound_samples=4000,
            family=family,
            start=start,
        )
        for family in ("gaussian", "full_covariance", "iaf")
    }
    for gap in gaps.values():
        assert bool((gap.amortization >= 0).all())
        assert bool((gap.approximation >= 0).all())
        assert bool((gap.elbo_optimum < log_p + 0.02).all())
    torch.testing.assert_close(gaps["iaf"].log_p, log_p, rtol=0, atol=0.05)
    means = [float((log_p - gap.elbo_optimum).mean()) for gap in gaps.values()]
    assert means[0] > means[1] > means[2]
    assert means[2] < 0.7 * means[1]


def test_the_flow_of_a_model_starts_the_fit():
    model = smooth(partial(IAF, num_transforms=2, hidden=(8,), context_size=4))
    x = (torch.rand(3, 1, 2, 2) < 0.5).double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gap = inference_gap(model, x, num_steps=40, num_samples=5, num_bound_samples=500, family="iaf")
    assert bool((gap.amortization >= 0).all())
    assert gap.amortization.max() > 0.01
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(gap.trace[0], gap.elbo, rtol=0, atol=3)


def test_images_are_fitted_apart_and_chunks_change_nothing(monkeypatch):
    known = Linear(num=5)
    whole = inference_gap(known.model, known.x, **QUICK, start="prior", ais=2)
    state = torch.get_rng_state()
    for name in ("inference_gap", "fit_posterior"):
        module = import_module(f"vaelab.metrics.{name}")  # not the function of that name
        monkeypatch.setattr(module, "decoded_at_once", lambda model: 1)
    again = inference_gap(known.model, known.x, **QUICK, start="prior", ais=2)
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("elbo", "elbo_optimum", "log_p", "trace"):
        torch.testing.assert_close(getattr(again, name), getattr(whole, name))
    assert all(parameter.grad is None for parameter in known.model.parameters())


def test_annealing_raises_a_bound_that_is_too_low(linear_gaussian, spoil):
    model, x, log_p = linear_gaussian
    spoil(model)
    poor = {"num_steps": 1, "lr": 1e-9, "num_samples": 1, "num_bound_samples": 2}
    without, annealed = (inference_gap(model, x, **poor, ais=ais) for ais in (0, 3))
    assert torch.equal(annealed.log_p[3:], without.log_p[3:])
    assert bool((annealed.estimator[:3] == 2).any())
    assert (annealed.log_p[:3] - log_p[:3]).abs().max() < (
        without.log_p[:3] - log_p[:3]
    ).abs().max()


@pytest.mark.parametrize("posterior", [Categorical, Exact])
def test_a_discrete_z_is_exact(posterior):
    model = build(posterior, 5, Bernoulli(), CategoricalPrior)
    x = (torch.rand(200, 1, 2, 3) < 0.5).double()
    gap = inference_gap(model, x)
    log_joint = model.log_joint(x).detach()
    torch.testing.assert_close(gap.log_p, log_joint.logsumexp(0))
    assert torch.equal(gap.elbo_optimum, gap.log_p)
    q = model.encode(x).probs.T
    kl = (q * (q.log() - log_joint.log_softmax(0))).sum(0)
    torch.testing.assert_close(gap.amortization, kl.detach(), atol=1e-12, rtol=1e-9)
    if posterior is Exact:
        assert gap.amortization.abs().max() < 1e-12


def test_scores(tiny_vae):
    bytes_ = (torch.rand(12, 16) < 0.5).to(torch.uint8) * 255
    subset = Subset(Images(bytes_, (1, 4, 4)))
    encoded = EncodedDataset(tiny_vae().float().eval(), Splits(subset, subset))
    settings = {"num_steps": 20, "num_samples": 4, "num_bound_samples": 50, "ais": 2}
    scores = InferenceGap(num_images=10, **settings)(encoded)
    assert list(scores) == ["inference_gap", "approximation_gap", "amortization_gap", "log_p"]
    total, approximation, amortization, log_p = scores.values()
    assert float(total) == pytest.approx(float(approximation) + float(amortization))
    assert min(float(approximation), float(amortization)) >= 0 > float(log_p)
    assert all(score.interval[0] < score.value < score.interval[1] for score in scores.values())
    assert total.details["num_images"] == 10
    assert total.details["family"] == "gaussian"
    assert sum(n for name, n in log_p.details.items() if name.startswith("images by")) == 10


@pytest.mark.parametrize(
    ("posterior", "settings", "message"),
    [
        (Gaussian, {"family": "flow"}, "family expects"),
        (Gaussian, {"start": "nowhere"}, "start expects"),
        (Gaussian, {"num_steps": 0}, "num_steps expects"),
        (Gaussian, {"num_samples": 0}, "num_samples expects"),
        (Gaussian, {"lr": 0}, "lr expects"),
        (Gaussian, {"num_bound_samples": 0}, "num_bound_samples expects"),
        (Gaussian, {"ais": -1}, "ais expects"),
        (Delta, {}, "inference_gap expects a posterior with a density, got Delta"),
        (
            FullCovariance,
            {},
            "family expects one that contains .* FullCovariance, got gaussian; use",
        ),
    ],
)
def test_wrong_settings(posterior, settings, message):
    with pytest.raises(UserError, match=message):
        inference_gap(build(posterior), torch.rand(2, 1, 2, 3).double(), **settings)


def test_what_it_supports():
    metric = InferenceGap()
    assert metric.supports(build(Gaussian))
    assert not metric.supports(build(Delta))
    assert metric.supports(build(Exact, 5, Bernoulli(), CategoricalPrior))
    with pytest.raises(UserError, match="inference_gap expects a posterior with a density"):
        require_applicable({"inference_gap": metric}, factors=None, model=build(Delta))

"""beta-TCVAE: the loss is the VAE's plus (beta - 1) TC, whichever estimate is minimised."""

import pytest
import torch
from torch.distributions import Laplace, Normal

from vaelab.build import build_objective
from vaelab.distributed import split_over_processes
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, Linear
from vaelab.objectives import BetaTCVAE, BetaVAE
from vaelab.objectives.total_correlation import LOG_WEIGHTS, exact, total_correlation
from vaelab.posteriors import Gaussian

F64 = torch.float64
every_estimator = pytest.mark.parametrize("estimator", LOG_WEIGHTS)


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def beta_tcvae(beta=6.0, estimator="constant_free", kl_penalty=None, num_train=50):
    return BetaTCVAE(beta, estimator, kl_penalty or Constant(), num_train=num_train)


def terms_of(objective, model, x, step=0, seed=1):
    torch.manual_seed(seed)
    return objective(model, x, step)


def gradient(loss, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


@every_estimator
def test_beta_1_is_the_vae_in_loss_and_gradients(tiny_vae, x, estimator):
    model = tiny_vae()
    own = terms_of(beta_tcvae(1.0, estimator), model, x)
    vae = terms_of(BetaVAE(1.0, Constant()), model, x)
    for name in ("loss", "reconstruction", "kl", "elbo"):
        assert torch.equal(own[name], vae[name]), name
    assert torch.equal(gradient(own["loss"], model), gradient(vae["loss"], model))


def test_constant_free_loss_equals_the_formula_given_the_same_noise(tiny_vae, x):
    """mean_i [logsumexp_n sum_j l_inj - sum_j logsumexp_n l_inj], by loops."""
    model = tiny_vae()
    loss = terms_of(beta_tcvae(6.0), model, x)["loss"]
    torch.manual_seed(1)
    elbo = elbo_terms(model, x)
    mu, sigma, tc = elbo.q_z.mean, elbo.q_z.stddev, 0.0
    for i in range(6):
        log_q = torch.stack([Normal(mu[n], sigma[n]).log_prob(elbo.z[i]) for n in range(6)])
        tc = tc + (log_q.sum(1).logsumexp(0) - log_q.logsumexp(0).sum()) / 6
    expected = (elbo.reconstruction + elbo.kl).mean() + 5 * tc
    assert torch.allclose(loss, expected, rtol=0, atol=1e-10)


@every_estimator
def test_loss_is_the_sum_of_its_terms(tiny_vae, x, estimator):
    terms = terms_of(beta_tcvae(3.0, estimator), tiny_vae(), x)
    total = terms["reconstruction"] + terms["kl"] + terms["total_correlation_penalty"]
    assert torch.allclose(terms["loss"], total, rtol=1e-12)
    assert all(value.shape == () for value in terms.values())


@every_estimator
def test_reported_total_correlation_does_not_depend_on_the_estimator(tiny_vae, x, estimator):
    model = tiny_vae()
    terms = terms_of(beta_tcvae(3.0, estimator), model, x)
    stratified = terms_of(beta_tcvae(3.0, "mss"), model, x)
    assert not terms["total_correlation"].requires_grad
    assert torch.equal(terms["total_correlation"], stratified["total_correlation"])
    minimised = terms["total_correlation_penalty"] / 2
    assert torch.isclose(minimised, terms["total_correlation"]) == (estimator == "mss")


@every_estimator
def test_a_greater_beta_lowers_the_total_correlation(tiny_vae, estimator):
    """A step down the part of the gradient that beta adds: TC over all the data falls."""
    x = torch.rand(40, 1, 4, 4, dtype=F64).round()
    model = tiny_vae()
    with torch.no_grad():
        model.encoder.head.weight[1].copy_(model.encoder.head.weight[0])  # two equal latents
        model.encoder.head.weight.mul_(3.0)
        model.encoder.head.bias[3:] = -5.0

    def over_all_data():
        torch.manual_seed(2)
        q_z = model.encode(x)
        z = q_z.sample((200,)).flatten(0, 1)
        return total_correlation(*exact(z, q_z.mean, q_z.stddev)).item()

    before, weights = over_all_data(), list(model.encoder.parameters())
    torch.manual_seed(1)
    high, low = (
        terms_of(beta_tcvae(beta, estimator, num_train=40), model, x)["loss"] for beta in (4.0, 1.0)
    )
    steps = torch.autograd.grad(high - low, weights)
    size = torch.cat([step.flatten() for step in steps]).norm()
    with torch.no_grad():
        for weight, step in zip(weights, steps, strict=True):
            weight.sub_(0.05 * step / size)
    assert before > 0.5
    assert over_all_data() < before - 0.01


def test_kl_penalty_weighs_the_kl_and_not_the_total_correlation(tiny_vae, x):
    model, objective = tiny_vae(), beta_tcvae(6.0, kl_penalty=Linear(10))
    for step, weight in ((0, 0.0), (5, 0.5), (20, 1.0)):
        terms = terms_of(objective, model, x, step)
        total = terms["reconstruction"] + weight * terms["kl"] + terms["total_correlation_penalty"]
        assert torch.allclose(terms["loss"], total, rtol=1e-12)
        assert terms["beta"].item() == pytest.approx(weight)
        assert terms["total_correlation_weight"].item() == pytest.approx(5 + weight)


@every_estimator
def test_two_processes_are_one(tiny_vae, x, estimator, monkeypatch):
    """Each with its rows and the components of both: mean loss and its gradient."""
    model, objective, whole = tiny_vae(), beta_tcvae(6.0, estimator), []

    def record(rows):
        whole.append(rows)
        return rows

    monkeypatch.setattr("vaelab.objectives.beta_tcvae.all_gather_batch", record)
    one = terms_of(objective, model, x)
    shares = []
    for rank in (0, 1):
        gathered = iter(whole)
        monkeypatch.setattr(
            "vaelab.objectives.beta_tcvae.all_gather_batch", lambda rows, g=gathered: next(g)
        )
        with split_over_processes(rank, 2):
            shares.append(terms_of(objective, model, x.chunk(2)[rank]))
    assert len(whole) == 2
    for name in ("loss", "total_correlation_penalty", "total_correlation"):
        assert not torch.isclose(shares[0][name], shares[1][name])
        mean = (shares[0][name] + shares[1][name]) / 2
        assert torch.allclose(mean, one[name], rtol=1e-10), name
    loss = (shares[0]["loss"] + shares[1]["loss"]) / 2
    alone = torch.autograd.grad(one["loss"], list(model.parameters()), retain_graph=True)
    alone = torch.cat([g.flatten() for g in alone])
    assert torch.allclose(gradient(loss, model), alone, rtol=1e-8, atol=1e-12)


def test_config_reaches_the_objective(compose):
    objective = build_objective(compose("objective=beta_tcvae", "objective.estimator=mss"), 123)
    assert (objective.num_train, objective.estimator) == (123, "mss")
    assert dict(objective.named_buffers())["beta"] == 6.0


class Heavy(Gaussian):
    """Independent latents that are not normal."""

    def distribution(self, raw):
        mu, log_scale = raw.chunk(2, -1)
        return torch.distributions.Independent(Laplace(mu, log_scale.exp()), 1)


def test_other_posteriors_are_rejected(tiny_vae):
    model = tiny_vae()
    beta_tcvae().check_model(model)
    model.posterior = Heavy(3)
    with pytest.raises(
        UserError, match=r"^BetaTCVAE expects a diagonal normal .* got the posterior Heavy"
    ):
        beta_tcvae().check_model(model)


def test_arguments():
    with pytest.raises(UserError, match=r"^beta expects a number of at least 0, got -1\.0; try 6"):
        beta_tcvae(-1.0)
    with pytest.raises(
        UserError,
        match=r"^estimator expects one of constant_free, mss, mws, got 'msw'; did you mean m[sw]s",
    ):
        beta_tcvae(estimator="msw")

"""DIP-VAE I and II: the covariance of the batch, its penalty, and that both hold for any batch."""

import pytest
import torch

from vaelab.build import build_objective
from vaelab.distributed import split_over_processes
from vaelab.distributions import DiagonalNormal
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, Linear
from vaelab.objectives import DIPVAEI, DIPVAEII, BetaVAE
from vaelab.objectives.dip_vae import covariance_of_means, distance_from_identity
from vaelab.posteriors import FullCovariance

F64 = torch.float64
both = pytest.mark.parametrize("kind", [DIPVAEI, DIPVAEII])


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def terms_of(objective, model, x, step=0, seed=1):
    torch.manual_seed(seed)
    return objective(model, x, step)


def gradient(loss, model):
    weights = list(model.parameters())
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, retain_graph=True)])


def slow_covariance(mu, sigma, second):
    """By loops over images and pairs of latents, in plain numbers."""
    mu, sigma = mu.tolist(), sigma.tolist()
    num, latents = len(mu), len(mu[0])
    mean = [sum(row[i] for row in mu) / num for i in range(latents)]
    c = [[0.0] * latents for _ in range(latents)]
    for i in range(latents):
        for j in range(latents):
            c[i][j] = sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in mu) / num
        if second:
            c[i][i] += sum(row[i] ** 2 for row in sigma) / num
    return c


@both
@pytest.mark.parametrize("batch", [2, 3, 5, 12])
@pytest.mark.parametrize("factor", [10.0, 1.0, 0.0])
def test_loss_equals_loops_for_batches_below_and_above_the_latents(tiny_vae, kind, batch, factor):
    """disent's and two others' DIP-VAE-II take the diagonal of a (batch, latent) matrix."""
    model, x = tiny_vae(latent_dim=5), torch.rand(batch, 1, 4, 4, dtype=F64).round()
    terms = terms_of(kind(3.0, factor, Constant()), model, x)
    torch.manual_seed(1)
    elbo = elbo_terms(model, x)
    c = slow_covariance(elbo.q_z.mean, elbo.q_z.stddev, kind is DIPVAEII)
    off = sum(c[i][j] ** 2 for i in range(5) for j in range(5) if i != j)
    diagonal = sum((c[i][i] - 1) ** 2 for i in range(5))
    assert terms["covariance_off_diagonal"].item() == pytest.approx(off, rel=1e-10)
    assert terms["covariance_diagonal"].item() == pytest.approx(diagonal, rel=1e-10)
    penalty = 3.0 * off + 3.0 * factor * diagonal
    expected = (elbo.reconstruction + elbo.kl).mean().item() + penalty
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-10)
    assert terms["covariance_penalty"].item() == pytest.approx(penalty, rel=1e-10)


@both
def test_lambda_0_is_the_vae_in_loss_and_gradients(tiny_vae, x, kind):
    model = tiny_vae()
    own = terms_of(kind(0.0, 10.0, Constant()), model, x)
    vae = terms_of(BetaVAE(1.0, Constant()), model, x)
    for name in ("loss", "reconstruction", "kl", "elbo"):
        assert torch.equal(own[name], vae[name]), name
    assert torch.equal(gradient(own["loss"], model), gradient(vae["loss"], model))


def test_identity_covariance_has_no_penalty():
    """Columns of a Hadamard matrix have mean 0 and covariance I; half of it, 1/4 I + 3/4 I."""
    h2 = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=F64)
    mu = torch.kron(h2, torch.kron(h2, h2))[:, 1:4]
    tiny, half = torch.full_like(mu, 1e-30), torch.full_like(mu, 0.75**0.5)
    first, second = DIPVAEI(1.0, 10.0, Constant()), DIPVAEII(1.0, 1.0, Constant())
    for objective, q_z in (
        (first, DiagonalNormal(mu + 5, half)),
        (second, DiagonalNormal(mu, tiny)),
        (second, DiagonalNormal(mu / 2 - 3, half)),
    ):
        off, diagonal = distance_from_identity(objective.covariance(q_z))
        assert off < 1e-25
        assert diagonal < 1e-25
    off, diagonal = distance_from_identity(second.covariance(DiagonalNormal(mu, half)))
    assert off < 1e-25
    assert diagonal.item() == pytest.approx(3 * 0.75**2)


def test_the_second_is_the_covariance_of_samples():
    """The law of total covariance, against a million draws."""
    torch.manual_seed(0)
    q_z = DiagonalNormal(torch.randn(4, 2, dtype=F64), torch.rand(4, 2, dtype=F64) + 0.3)
    z = q_z.sample((250_000,)).flatten(0, 1)
    c = DIPVAEII(1.0, 1.0, Constant()).covariance(q_z)
    assert torch.allclose(c, z.T.cov(correction=0), atol=0.01)
    assert torch.allclose(covariance_of_means(q_z), q_z.mean.T.cov(correction=0), rtol=1e-12)


def test_variances_enter_the_second_alone(tiny_vae, x):
    model = tiny_vae()
    for kind, reached in ((DIPVAEI, False), (DIPVAEII, True)):
        penalty = terms_of(kind(1.0, 1.0, Constant()), model, x)["covariance_penalty"]
        log_variance = torch.autograd.grad(penalty, model.encoder.head.bias)[0][3:]
        assert bool((log_variance != 0).all()) == reached


@both
def test_penalty_is_the_same_for_renamed_latents_and_images(kind):
    objective = kind(1.0, 10.0, Constant())
    mu, sigma = torch.randn(7, 4, dtype=F64), torch.rand(7, 4, dtype=F64)
    before = distance_from_identity(objective.covariance(DiagonalNormal(mu, sigma)))
    rows, order = torch.randperm(7), torch.tensor([3, 1, 0, 2])
    other = DiagonalNormal(mu[rows][:, order] + 2, sigma[rows][:, order])
    after = distance_from_identity(objective.covariance(other))
    assert torch.allclose(torch.stack(after), torch.stack(before), rtol=1e-10)


@both
def test_kl_penalty_weighs_the_kl_and_not_the_covariance(tiny_vae, x, kind):
    model, objective = tiny_vae(), kind(5.0, 2.0, Linear(10))
    for step, weight in ((0, 0.0), (5, 0.5), (20, 1.0)):
        terms = terms_of(objective, model, x, step)
        total = terms["reconstruction"] + weight * terms["kl"] + terms["covariance_penalty"]
        assert torch.allclose(terms["loss"], total, rtol=1e-12)
        assert terms["beta"].item() == pytest.approx(weight)
        assert all(value.shape == () for value in terms.values())


@both
def test_two_processes_are_one(tiny_vae, x, kind, monkeypatch):
    model, objective, whole = tiny_vae(), kind(5.0, 2.0, Constant()), []

    def patch(function):
        monkeypatch.setattr("vaelab.objectives.dip_vae.all_gather_batch", function)

    def record(rows):
        whole.append(rows)
        return rows

    patch(record)
    one = terms_of(objective, model, x)
    shares = []
    for rank in (0, 1):
        gathered = iter(whole)
        patch(lambda rows, g=gathered: next(g))
        with split_over_processes(rank, 2):
            shares.append(terms_of(objective, model, x.chunk(2)[rank]))
    first, second = (share["covariance_penalty"] for share in shares)
    assert first == second == one["covariance_penalty"]
    loss = (shares[0]["loss"] + shares[1]["loss"]) / 2
    assert torch.allclose(loss, one["loss"], rtol=1e-10)
    assert torch.allclose(
        gradient(loss, model), gradient(one["loss"], model), rtol=1e-8, atol=1e-12
    )


@both
def test_gradient_descent_on_the_penalty_decorrelates(kind):
    mixed = torch.tensor([[1.2, 0.8, 0.0], [0.0, 0.9, -0.7], [0.5, 0.0, 1.0]], dtype=F64)
    mu = torch.randn(30, 3, dtype=F64) @ mixed
    log_sigma = torch.zeros(30, 3, dtype=F64)
    inputs = [mu.requires_grad_(), log_sigma.requires_grad_()]
    objective, optimizer = kind(1.0, 1.0, Constant()), torch.optim.Adam(inputs, 0.05)
    for _ in range(200):
        c = objective.covariance(DiagonalNormal(mu, log_sigma.exp()))
        off, diagonal = distance_from_identity(c)
        optimizer.zero_grad()
        (off + diagonal).backward()
        optimizer.step()
    assert torch.allclose(c, torch.eye(3, dtype=F64), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "kind", "lambda_d"), [("dip_vae_i", DIPVAEI, 20.0), ("dip_vae_ii", DIPVAEII, 2.0)]
)
def test_a_sweep_over_lambda_od_moves_lambda_d_as_the_study_does(compose, name, kind, lambda_d):
    objective = build_objective(compose(f"objective={name}", "objective.lambda_od=2"), 100)
    assert type(objective) is kind
    buffers = dict(objective.named_buffers())
    assert buffers["lambda_od"] == 2.0
    assert buffers["lambda_od"] * buffers["lambda_d_factor"] == lambda_d


@both
def test_other_posteriors_are_rejected(tiny_vae, kind):
    model = tiny_vae()
    kind(1.0, 1.0, Constant()).check_model(model)
    model.posterior = FullCovariance(3)
    with pytest.raises(UserError, match=r"diagonal normal .* posterior FullCovariance"):
        kind(1.0, 1.0, Constant()).check_model(model)


@both
def test_arguments(kind):
    with pytest.raises(UserError, match=r"^lambda_od expects .* at least 0, got -1"):
        kind(-1.0, 1.0, Constant())
    with pytest.raises(UserError, match=r"^lambda_d_factor expects .* got nan"):
        kind(1.0, float("nan"), Constant())

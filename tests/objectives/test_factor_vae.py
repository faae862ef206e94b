"""FactorVAE: what each network learns from, and that the density ratio gives the TC."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal
from torch.nn.functional import cross_entropy, softplus

from vaelab import build
from vaelab.distributed import split_over_processes
from vaelab.distributions import DiagonalNormal
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, Linear
from vaelab.objectives import BetaVAE, FactorVAE
from vaelab.objectives.factor_vae import permute_latents

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def factor_vae(gamma=10.0, kl_penalty=None, latent_dim=3, hidden=(16, 16), **options):
    return FactorVAE(gamma, latent_dim, kl_penalty, hidden, **options).double()


def terms_of(objective, model, x, step=0):
    torch.manual_seed(1)
    return objective(model, x, step)


def gradients(loss, module):
    return torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)


def test_gamma_0_is_the_vae(tiny_vae, x):
    model = tiny_vae()
    ours, plain = (terms_of(o, model, x) for o in (factor_vae(0.0), BetaVAE(1.0, Constant())))
    assert ours["loss"] == plain["loss"]
    for a, b in zip(*(gradients(t["loss"], model) for t in (ours, plain)), strict=True):
        assert torch.equal(a, b)
        assert a.abs().max() > 0


@pytest.mark.parametrize("gamma", [0.0, 10.0, 1000.0])
def test_each_network_has_the_gradient_of_its_own_loss_alone(tiny_vae, x, gamma):
    model, objective = tiny_vae(), factor_vae(gamma)
    loss = terms_of(objective, model, x)["loss"]
    torch.manual_seed(1)
    terms = elbo_terms(model, x)
    logits = objective.discriminator(terms.z)
    of_vae = (terms.reconstruction + terms.kl + gamma * (logits[:, 0] - logits[:, 1])).mean()
    z = terms.z.detach()
    both = torch.cat([z, permute_latents(z)])  # after the noise of z, as in the objective
    classes = torch.tensor([0] * 6 + [1] * 6)
    of_discriminator = cross_entropy(objective.discriminator(both), classes)

    torch.testing.assert_close(loss, of_vae, rtol=1e-12, atol=0)
    for module, alone in ((model, of_vae), (objective.discriminator, of_discriminator)):
        for ours, theirs in zip(gradients(loss, module), gradients(alone, module), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
            assert ours.abs().max() > 0
    cross = torch.autograd.grad(
        of_discriminator, list(model.parameters()), allow_unused=True, retain_graph=True
    )
    assert set(cross) == {None}


def test_discriminator_loss_is_reported_as_it_is_learned_from(tiny_vae, x):
    model, objective = tiny_vae(), factor_vae()
    terms = terms_of(objective, model, x)
    torch.manual_seed(1)
    z = elbo_terms(model, x).z.detach()
    p = objective.discriminator(z).softmax(-1)
    p_permuted = objective.discriminator(permute_latents(z)).softmax(-1)
    expected = -(p[:, 0].log().mean() + p_permuted[:, 1].log().mean()) / 2
    torch.testing.assert_close(terms["discriminator_loss"], expected, rtol=1e-12, atol=0)
    right = torch.cat([p[:, 0] > 0.5, p_permuted[:, 1] >= 0.5]).double().mean()
    assert terms["discriminator_accuracy"].item() == pytest.approx(right.item())


def test_discriminator_is_that_of_the_study(compose):
    objective = build.build_objective(compose("objective=factor_vae", "latent_dim=10"), 100)
    layers = list(objective.discriminator)
    assert sum(p.numel() for p in objective.discriminator.parameters()) == 5_018_002
    assert [layer.out_features for layer in layers[::2]] == [1000] * 6 + [2]
    assert {layer.negative_slope for layer in layers[1::2]} == {0.2}
    assert all((layer.bias == 0).all() for layer in layers[::2])  # init=glorot reaches it
    with torch.no_grad():
        logits = objective.discriminator(torch.randn(64, 10))
    assert 1e-3 < logits.std() < 3  # seven layers neither die nor blow up


def test_discriminator_has_its_own_adam(compose, tiny_vae):
    cfg = compose("objective=factor_vae", "objective.hidden=[8]", "optimizer.lr=0.01")
    model, objective = tiny_vae(), build.build_objective(cfg, 100)
    groups = [{"params": list(model.parameters())}, *objective.parameter_groups()]
    of_model, of_discriminator = build.build(cfg.optimizer)(groups).param_groups
    assert (of_model["lr"], tuple(of_model["betas"])) == (0.01, (0.9, 0.999))
    assert (of_discriminator["lr"], tuple(of_discriminator["betas"])) == (1e-4, (0.5, 0.9))
    assert {id(p) for p in of_discriminator["params"]} == {id(p) for p in objective.parameters()}


def test_permutation_keeps_each_latent_and_breaks_the_joint():
    z = torch.randn(20000, 1).repeat(1, 4)
    mixed = permute_latents(z)
    assert torch.equal(mixed.sort(0).values, z.sort(0).values)
    correlation = torch.corrcoef(torch.cat([mixed, z[:, :1]], 1).T)
    off_diagonal = correlation[~torch.eye(5, dtype=bool)]
    assert off_diagonal.abs().max() < 4.5 / math.sqrt(20000)


def test_every_permutation_is_as_likely():
    orders = torch.stack([permute_latents(torch.arange(3.0)[:, None]) for _ in range(6000)])
    counts = torch.unique(orders[..., 0], dim=0, return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # chi squared of 5 degrees, p = 0.001


def test_processes_permute_the_whole_batch(monkeypatch):
    whole = torch.randn(8, 3)
    torch.manual_seed(5)
    expected = permute_latents(whole)
    monkeypatch.setattr("vaelab.objectives.factor_vae.all_gather_batch", lambda z: whole)
    for rank in range(2):
        torch.manual_seed(5)
        with split_over_processes(rank, 2):
            rows = slice(4 * rank, 4 * rank + 4)
            assert torch.equal(permute_latents(whole[rows]), expected[rows])


def test_total_correlation_of_gaussians_is_learned():
    """q(z) = N(0, S): TC = (sum_j log S_jj - log det S) / 2."""
    sigma, rho = 0.5, 0.9
    objective = factor_vae(latent_dim=2, hidden=(32, 32), lr=3e-3).float()
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]])
    root = torch.linalg.cholesky(covariance)
    model = SimpleNamespace(
        encode=lambda x: DiagonalNormal(x, torch.full_like(x, sigma)),
        prior=lambda: DiagonalNormal(torch.zeros(2), torch.ones(2)),
        decode=lambda z: SimpleNamespace(log_prob=lambda x: torch.zeros(len(x))),
    )
    optimizer = torch.optim.Adam(objective.parameter_groups())
    history = []
    for step in range(600):
        terms = objective(model, torch.randn(512, 2) @ root.T, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        history.append([terms[n].item() for n in ("total_correlation", "discriminator_loss")])
    of_z = covariance + sigma**2 * torch.eye(2)
    learned = torch.tensor(history[-200:]).mean(0)
    # One estimate has the standard deviation of the log ratio, 0.7, over the root of 512 images.
    exact = (of_z.diagonal().log().sum() - of_z.logdet()).item() / 2
    assert learned[0].item() == pytest.approx(exact, abs=0.03)

    joint, product = MultivariateNormal(torch.zeros(2), of_z), Normal(0, of_z.diagonal().sqrt())

    def log_ratio(z):
        return joint.log_prob(z) - product.log_prob(z).sum(-1)

    z, permuted = joint.sample((20000,)), product.sample((20000,))
    best = (softplus(-log_ratio(z)).mean() + softplus(log_ratio(permuted)).mean()).item() / 2
    assert history[0][1] == pytest.approx(math.log(2), abs=0.05)
    assert learned[1].item() == pytest.approx(best, abs=0.01)
    assert best < math.log(2) - 0.05


def test_log_ratio_is_float32_in_mixed_precision():
    objective = factor_vae().float()
    with torch.autocast("cpu", torch.bfloat16):
        assert objective.discriminator(torch.randn(4, 3)).dtype == torch.bfloat16
        assert objective.log_ratio(torch.randn(4, 3)).dtype == torch.float32


def test_compiles_in_one_graph(tiny_vae, x):
    model, objective = tiny_vae(), factor_vae()
    eager = terms_of(objective, model, x)
    expected = gradients(eager["loss"], model), gradients(eager["loss"], objective.discriminator)
    objective.compile(backend="eager", fullgraph=True)
    compiled = terms_of(objective, model, x)
    torch.testing.assert_close(compiled, eager)
    for module, theirs in zip((model, objective.discriminator), expected, strict=True):
        torch.testing.assert_close(gradients(compiled["loss"], module), theirs)


def test_kl_penalty_weighs_the_kl_alone(tiny_vae, x):
    terms = terms_of(factor_vae(2.0, Linear(10)), tiny_vae(), x, step=5)
    assert terms["beta"] == 0.5
    parts = terms["reconstruction"] + 0.5 * terms["kl"] + 2 * terms["total_correlation"]
    torch.testing.assert_close(terms["loss"], parts, rtol=1e-12, atol=0)
    torch.testing.assert_close(terms["elbo"], -(terms["reconstruction"] + terms["kl"]))


def test_terms_are_scalars_and_gamma_is_a_buffer(tiny_vae, x):
    objective = factor_vae(40.0)
    terms = terms_of(objective, tiny_vae(), x)
    assert all(value.shape == () for value in terms.values())
    assert dict(objective.named_buffers())["gamma"] == 40.0
    assert not terms["elbo"].requires_grad


@pytest.mark.parametrize(
    "options",
    [{"gamma": -1.0}, {"gamma": math.nan}, {"lr": 0.0}, {"betas": [0.5]}, {"betas": [0.5, 1.0]}],
)
def test_bad_settings_are_rejected(options):
    with pytest.raises(UserError, match=rf"^{next(iter(options))} expects"):
        factor_vae(**options)

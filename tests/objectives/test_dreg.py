"""DReG: the loss of the IWAE, its gradient for the decoder, and a better one for the encoder."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from vaelab.distributions import log_mean_weight
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import IWAE, DReG
from vaelab.posteriors import IAF, FullCovariance, Gaussian, Posterior
from vaelab.priors import Flow, Mixture, Prior, StandardNormal, Vamp

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def gradients(objective, model, x, seed=1):
    """name -> gradient of the loss, and the loss."""
    torch.manual_seed(seed)
    loss = objective(model, x, 0)["loss"]
    names, parameters = zip(*model.named_parameters(), strict=True)
    parts = torch.autograd.grad(loss, parameters)
    return dict(zip(names, parts, strict=True)), loss


@pytest.fixture
def independent_gradients(tiny_vae, monkeypatch):
    """objective, N -> N independent gradients of one image's loss in mu and log sigma^2, (N, 2L).

    All encoder gradients are linear in these. sigma > 1, so that w^4 has a mean and the moments of
    the gradients exist.
    """
    model = tiny_vae()
    image = torch.rand(1, 1, 4, 4, dtype=F64).round()
    raw = torch.tensor([0.8, -0.6, 0.3, 0.1, 0.4, 0.2], dtype=F64)

    def draw(objective, num):
        rows = raw.expand(num, 6).clone().requires_grad_()
        monkeypatch.setattr(model.encoder, "forward", lambda x: rows)
        loss = objective(model, image.expand(num, 1, 4, 4), 0)["loss"]
        return num * torch.autograd.grad(loss, rows)[0]

    return draw


def test_loss_and_decoder_gradient_are_those_of_the_iwae(tiny_vae, x):
    model = tiny_vae()
    (dreg, loss), (iwae, same) = (gradients(o(5), model, x) for o in (DReG, IWAE))
    torch.testing.assert_close(loss, same, rtol=1e-12, atol=0)
    decoder = [name for name in dreg if name.startswith("decoder")]
    assert len(decoder) == 4
    for name in decoder:
        torch.testing.assert_close(dreg[name], iwae[name], rtol=1e-10, atol=1e-14)
    assert not torch.allclose(dreg["encoder.head.weight"], iwae["encoder.head.weight"], rtol=0.01)


@pytest.mark.parametrize("num_samples", [1, 4])
def test_encoder_gradient_equals_the_formula(tiny_vae, x, num_samples):
    """sum_k v_k^2 (d log w_k / d z_k) (d z_k / d phi), the parts computed one after the other."""
    model = tiny_vae()
    dreg, _ = gradients(DReG(num_samples), model, x)
    torch.manual_seed(1)
    noise = torch.randn(num_samples, 6, 3, dtype=F64)
    mu, log_variance = model.encoder(x).chunk(2, -1)
    sigma = (log_variance / 2).exp()
    z = (mu + sigma * noise).detach().requires_grad_()
    log_q = Independent(Normal(mu.detach(), sigma.detach()), 1).log_prob(z)
    log_w = model.decode(z).log_prob(x) + model.prior().log_prob(z) - log_q
    (slope,) = torch.autograd.grad(log_w.sum(), z)
    factor = log_w.detach().softmax(0).square()[..., None] * slope
    names, parameters = zip(*model.encoder.named_parameters(), strict=True)
    expected = torch.autograd.grad(-(factor * (mu + sigma * noise)).sum() / 6, parameters)
    for name, value in zip(names, expected, strict=True):
        torch.testing.assert_close(dreg[f"encoder.{name}"], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_samples", [1, 2, 8])
def test_encoder_gradient_has_the_mean_of_the_iwaes(independent_gradients, num_samples):
    num = 40_000
    dreg, iwae = (independent_gradients(o(num_samples), num) for o in (DReG, IWAE))
    error = ((dreg.var(0) + iwae.var(0)) / num).sqrt()
    assert ((dreg.mean(0) - iwae.mean(0)).abs() < 5 * error).all()
    assert (dreg.mean(0).abs() > 30 * error).any()  # enough repeats to tell


def test_weights_to_the_first_power_have_another_mean(independent_gradients):
    """Roeder et al. 2017 drop the same term but keep v_k: biased, as these repeats can tell."""

    class Dropped(IWAE):
        def forward(self, model, x, step):
            q_z = model.encode(x)
            z, fixed = q_z.rsample([8]), q_z.base_dist
            log_q = Independent(Normal(fixed.loc.detach(), fixed.scale.detach()), 1).log_prob(z)
            log_w = model.decode(z).log_prob(x) + model.prior().log_prob(z) - log_q
            return {"loss": -log_mean_weight(log_w, 0).mean()}

    num = 40_000
    dreg, dropped = (independent_gradients(o(8), num) for o in (DReG, Dropped))
    error = ((dreg.var(0) + dropped.var(0)) / num).sqrt()
    assert ((dreg.mean(0) - dropped.mean(0)).abs() > 8 * error).any()


def test_signal_to_noise_rises_with_samples_where_the_iwaes_falls(independent_gradients):
    """As sqrt(K), and as 1 / sqrt(K): Tucker et al. 2019, Rainforth et al. 2018, theorem 1."""
    ratios = {DReG: [], IWAE: []}
    for num_samples in (4, 64):
        draws = {o: independent_gradients(o(num_samples), 3000) for o in ratios}
        signal = draws[DReG].mean(0).norm()  # of both; the IWAE's drowns in its noise
        for objective, values in draws.items():
            ratios[objective].append(signal / values.var(0).sum().sqrt())
    (few, many), (iwae_few, iwae_many) = ratios.values()
    assert 2.5 < many / few < 6  # 4 for large K
    assert 2.5 < iwae_few / iwae_many < 6
    assert few > iwae_few


def test_gradient_of_the_exact_posterior_is_zero(linear_gaussian):
    model, x, _ = linear_gaussian
    (dreg, _), (iwae, _) = (gradients(o(5), model, x) for o in (DReG, IWAE))
    for name in ("encoder.head.weight", "encoder.head.bias"):
        assert dreg[name].abs().max() < 1e-12
        assert iwae[name].abs().max() > 0.01
    assert dreg["decoder.head.weight"].abs().max() > 0.01


class Moved(Posterior):
    """A Gaussian with parameters of its own."""

    def __init__(self, latent_dim):
        super().__init__()
        self.num_params = 2 * latent_dim
        self.gaussian = Gaussian(latent_dim)
        self.offset = nn.Parameter(torch.zeros(2 * latent_dim, dtype=F64))

    def distribution(self, raw):
        return self.gaussian.distribution(raw + self.offset)


def test_parameters_of_the_posterior_count_as_the_encoders(linear_gaussian, tiny_vae, x):
    model, images, _ = linear_gaussian
    model.posterior = Moved(2)
    (dreg, _), (iwae, _) = (gradients(o(5), model, images) for o in (DReG, IWAE))
    assert dreg["posterior.offset"].abs().max() < 1e-12
    assert iwae["posterior.offset"].abs().max() > 0.01
    model = tiny_vae()
    model.posterior = Moved(3)
    dreg, _ = gradients(DReG(5), model, x)
    torch.testing.assert_close(dreg["posterior.offset"], dreg["encoder.head.bias"])


POSTERIORS = {
    "gaussian": Gaussian,
    "full_covariance": FullCovariance,
    "iaf": partial(IAF, num_transforms=2, hidden=(4,), context_size=2, gate_bias=1.0),
}
PRIORS = {
    "standard_normal": StandardNormal,
    "mixture": partial(Mixture, num_components=3),
    "vamp": partial(Vamp, num_components=3),
    "maf": partial(Flow, flow="maf", num_transforms=2, hidden=(4,)),
    "nsf": partial(Flow, flow="nsf", num_transforms=2, hidden=(4,)),
    "realnvp": partial(Flow, flow="realnvp", num_transforms=2, hidden=(4,)),
}
PAIRS = [(q, p) for q in POSTERIORS for p in PRIORS if (q, p) != ("iaf", "vamp")]  # rejected


def vae(posterior, prior="standard_normal"):
    """A VAE of 3 latents over images 1 x 4 x 4 whose flows are far from the identity."""
    model = VAE(
        (1, 4, 4),
        3,
        partial(MLPEncoder, hidden=(8,), activation="tanh"),
        partial(MLPDecoder, hidden=(8,), activation="tanh"),
        POSTERIORS[posterior],
        PRIORS[prior],
        Bernoulli(),
    ).double()
    with torch.no_grad():
        for parameter in [*model.posterior.parameters(), *model.latent_prior.parameters()]:
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def gradients_by_a_frozen_copy(model, x, num_samples, seed=1):
    """The formula in two passes, with log q(z|x) of a copy of the posterior without gradient."""
    torch.manual_seed(seed)
    raw = model.encoder(x)
    z = model.posterior(raw).rsample([num_samples])
    frozen = copy.deepcopy(model.posterior).requires_grad_(False)
    fixed = z.detach().requires_grad_()
    log_q = frozen(raw.detach()).log_prob(fixed)
    log_w = model.decode(fixed).log_prob(x) + model.prior().log_prob(fixed) - log_q
    v = log_w.detach().softmax(0)
    (slope,) = torch.autograd.grad(log_w.sum(), fixed, retain_graph=True)
    through_z = (v.square()[..., None] * slope * z).sum()
    names, parameters = zip(*model.named_parameters(), strict=True)
    parts = torch.autograd.grad(-(through_z + (v * log_w).sum()) / len(x), parameters)
    return dict(zip(names, parts, strict=True))


@pytest.mark.parametrize("num_samples", [1, 5, 20])
@pytest.mark.parametrize(("posterior", "prior"), PAIRS)
def test_every_gradient_equals_that_with_a_frozen_posterior(x, posterior, prior, num_samples):
    model = vae(posterior, prior)
    dreg, _ = gradients(DReG(num_samples), model, x)
    expected = gradients_by_a_frozen_copy(model, x, num_samples)
    assert any(name.startswith("posterior") for name in dreg) == (posterior == "iaf")
    for name, value in expected.items():
        torch.testing.assert_close(dreg[name], value, rtol=1e-10, atol=1e-10)
        assert dreg[name].abs().max() > 1e-6, name


def test_posterior_of_a_flow(monkeypatch):
    """The loss is the IWAE's, and so is the mean gradient of every parameter of the posterior."""
    model, num, num_blocks = vae("iaf"), 2000, 40
    raw = torch.tensor([0.8, -0.6, 0.3, 1.5, 1.5, 1.5, 0.5, -0.5], dtype=F64).requires_grad_()
    monkeypatch.setattr(model.encoder, "forward", lambda x: raw.expand(len(x), 8))
    images = torch.rand(1, 1, 4, 4, dtype=F64).round().expand(num, 1, 4, 4)

    def draws(objective):
        """The losses, and the gradients (num_blocks, ...), of the same noise at each call."""
        torch.manual_seed(1)
        losses = [objective(model, images, 0)["loss"] for _ in range(num_blocks)]
        inputs = [raw, *model.posterior.parameters()]
        rows = [torch.autograd.grad(loss, inputs) for loss in losses]
        return torch.stack(losses), [torch.stack(blocks) for blocks in zip(*rows, strict=True)]

    (losses, dreg), (same, iwae) = (draws(objective) for objective in (DReG(4), IWAE(4)))
    torch.testing.assert_close(losses, same, rtol=1e-9, atol=0)
    informative = []
    for one, other in zip(dreg, iwae, strict=True):
        error = (one - other).std(0) / num_blocks**0.5
        assert ((one - other).mean(0).abs() <= 5 * error + 1e-12).all()  # masked weights have 0
        informative.append((one.mean(0).abs() > 10 * error + 1e-12).any())
    assert all(informative)


def test_gradient_of_a_flow_is_the_slope_of_the_loss():
    """Against differences of the IWAE's loss along directions in the posterior's parameters."""
    model, num, num_blocks, step = vae("iaf"), 500, 40, 1e-4
    images = torch.rand(1, 1, 4, 4, dtype=F64).round().expand(num, 1, 4, 4)
    parameters = list(model.posterior.parameters())
    for seed in range(3):
        torch.manual_seed(seed)
        direction = [torch.randn_like(parameter) for parameter in parameters]

        def loss(shift, block, direction=direction):
            with torch.no_grad():
                for parameter, part in zip(parameters, direction, strict=True):
                    parameter += shift * part
                torch.manual_seed(block)
                value = IWAE(5)(model, images, 0)["loss"]
                for parameter, part in zip(parameters, direction, strict=True):
                    parameter -= shift * part
            return value

        slopes, differences = [], []
        for block in range(num_blocks):
            torch.manual_seed(1000 + block)
            parts = torch.autograd.grad(DReG(5)(model, images, 0)["loss"], parameters)
            slopes.append(sum((p * d).sum() for p, d in zip(parts, direction, strict=True)))
            differences.append((loss(step, block) - loss(-step, block)) / (2 * step))
        slope, difference = torch.stack(slopes), torch.stack(differences)
        error = ((slope.var() + difference.var()) / num_blocks).sqrt()
        assert (slope.mean() - difference.mean()).abs() < 4 * error
        assert slope.mean().abs() > 20 * error  # enough repeats to tell


class OfOneImage(Prior):
    """p(z) = q(z|u), with a learned image u; `learned` says whether the encoder sees a gradient."""

    def __init__(self, learned):
        super().__init__()
        self.u = nn.Parameter(torch.full((1, 1, 4, 4), 0.5, dtype=F64))
        self.learned = learned

    def forward(self, encode):
        normal = encode(self.u).base_dist
        mu, sigma = normal.loc[0], normal.scale[0]
        if not self.learned:
            mu, sigma = mu.detach() + 0 * self.u.sum(), sigma.detach()
        return Independent(Normal(mu, sigma), 1)


def test_a_prior_made_of_posteriors_has_the_gradient_of_the_iwae(tiny_vae, x):
    """The encoder's gradient is DReG's with the prior held fixed and the IWAE's of the prior."""
    model, found = tiny_vae(), {}
    for objective in (DReG, IWAE):
        for learned in (True, False):
            model.latent_prior = OfOneImage(learned)
            found[objective, learned], _ = gradients(objective(5), model, x)
    u = "latent_prior.u"
    torch.testing.assert_close(found[DReG, True][u], found[IWAE, True][u], rtol=1e-9, atol=1e-12)
    assert found[DReG, True][u].abs().max() > 1e-3
    for name in (name for name in found[DReG, True] if name.startswith("encoder")):
        parts = [found[o, True][name] - found[o, False][name] for o in (DReG, IWAE)]
        torch.testing.assert_close(*parts, rtol=1e-8, atol=1e-12)
        assert parts[0].abs().max() > 1e-3

"""DReG: the loss of the IWAE, its gradient for the decoder, and a better one for the encoder."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from vaelab.distributions import log_mean_weight
from vaelab.objectives import IWAE, DReG
from vaelab.posteriors import IAF, Gaussian, Posterior
from vaelab.priors import Prior

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


def test_posterior_of_a_flow(tiny_vae, monkeypatch):
    """log q of a flow has no closed gradient in z; the loss and the mean gradient are the IWAE's.

    The encoder's output holds the context of the flow, so that its gradient tests those within.
    """
    model, num = tiny_vae(), 20_000
    model.posterior = IAF(3, num_transforms=2, hidden=(4,), context_size=2, gate_bias=1.0).double()
    rows = torch.tensor([0.8, -0.6, 0.3, 1.5, 1.5, 1.5, 0.5, -0.5], dtype=F64)
    rows = rows.expand(num, 8).clone().requires_grad_()
    monkeypatch.setattr(model.encoder, "forward", lambda x: rows)
    images = torch.rand(1, 1, 4, 4, dtype=F64).round().expand(num, 1, 4, 4)
    losses, draws = [], []
    for objective in (DReG(4), IWAE(4)):
        torch.manual_seed(1)
        losses.append(objective(model, images, 0)["loss"])
        draws.append(num * torch.autograd.grad(losses[-1], rows)[0])
    torch.testing.assert_close(*losses, rtol=1e-9, atol=0)
    error = (draws[0] - draws[1]).std(0) / num**0.5  # the same noise
    assert ((draws[0] - draws[1]).mean(0).abs() < 5 * error).all()
    assert (draws[0].mean(0).abs() > 10 * error)[6:].any()


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

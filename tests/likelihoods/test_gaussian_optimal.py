import pytest
import torch
from torch.distributions import Normal

from vaelab.errors import UserError
from vaelab.likelihoods import GaussianOptimal
from vaelab.objectives import IWAE, BetaVAE


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(4, 3, 2, 2, dtype=torch.float64), torch.rand(4, 3, 2, 2).double()


def test_training_uses_the_root_mean_squared_error_of_the_batch(batch):
    raw, x = batch
    sigma = (x - raw).square().mean().sqrt()
    expected = Normal(raw, sigma).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(GaussianOptimal().train()(raw).log_prob(x), expected)


def test_no_other_sigma_is_more_likely(batch):
    raw, x = batch
    best = GaussianOptimal().train()(raw).log_prob(x).sum()
    sigma = (x - raw).square().mean().sqrt()
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert Normal(raw, factor * sigma).log_prob(x).sum() < best


def test_gradient_is_that_with_sigma_differentiated(batch):
    """Envelope theorem: sigma* is detached, yet log MSE / 2 has the same gradient."""
    raw, x = batch
    raw.requires_grad_()
    GaussianOptimal().train()(raw).log_prob(x).mean().backward()
    detached, raw.grad = raw.grad, None
    (-0.5 * 12 * (x - raw).square().mean().log()).backward()
    torch.testing.assert_close(detached, raw.grad)


@pytest.mark.parametrize(
    ("objective", "is_the_slope"), [(BetaVAE(4.0, num_samples=3), True), (IWAE(3), False)]
)
def test_gradient_is_the_slope_of_a_loss_with_equal_weights(tiny_vae, objective, is_the_slope):
    """Of the loss with sigma* fitted again; of an importance-weighted one it is not."""
    model, x, step = tiny_vae(likelihood=GaussianOptimal()), torch.rand(4, 1, 4, 4).double(), 1e-5
    parameters = list(model.decoder.parameters())
    direction = [torch.randn_like(parameter) for parameter in parameters]

    def loss_after(shift):
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter, part in zip(parameters, direction, strict=True):
                parameter += shift * part
        return objective(model, x, 0)["loss"]

    parts = torch.autograd.grad(loss_after(0.0), parameters)
    slope = sum((p * d).sum() for p, d in zip(parts, direction, strict=True))
    difference = (loss_after(step) - loss_after(-2 * step)) / (2 * step)
    assert (abs(slope - difference) < 1e-6 * abs(difference)) == is_the_slope


def test_evaluation_uses_the_average_of_training_and_changes_nothing(batch):
    raw, x = batch
    likelihood = GaussianOptimal().double().train()
    likelihood(raw).log_prob(x)
    likelihood(raw + 1).log_prob(x)
    variance = 0.5 * ((x - raw).square().mean() + (x - raw - 1).square().mean())
    torch.testing.assert_close(likelihood.variance, variance)
    p_x = likelihood.eval()(raw)
    expected = Normal(raw, variance.sqrt()).log_prob(x + 2).sum((1, 2, 3))
    torch.testing.assert_close(p_x.log_prob(x + 2), expected)
    torch.testing.assert_close(likelihood.variance, variance)
    each = torch.cat([likelihood(raw[i : i + 1]).log_prob(x[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(each, p_x.log_prob(x))  # images don't depend on their batch


def test_state_is_the_sigma_of_evaluation(batch):
    raw, x = batch
    likelihood = GaussianOptimal().double().train()
    likelihood(raw).log_prob(x)
    torch.testing.assert_close(likelihood.state(), {"sigma": likelihood.variance.sqrt()})


def test_average_forgets():
    likelihood = GaussianOptimal(decay=0.9).train()
    for _ in range(200):
        likelihood(torch.zeros(1, 1, 2, 2)).log_prob(torch.full((1, 1, 2, 2), 3.0))
    for _ in range(200):
        likelihood(torch.zeros(1, 1, 2, 2)).log_prob(torch.full((1, 1, 2, 2), 0.5))
    torch.testing.assert_close(likelihood.variance, torch.tensor(0.25))


def test_perfect_reconstructions_leave_the_least_sigma(batch):
    _, x = batch
    likelihood = GaussianOptimal(min_sigma=0.1).double().train()
    assert likelihood(x).log_prob(x).isfinite().all()
    assert likelihood.variance.item() == pytest.approx(0.01)


def test_processes_share_one_sigma(batch, monkeypatch):
    raw, x = batch
    other = (x[2:] - raw[2:]).square().mean()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda variance: variance.add_(other))
    sigma = GaussianOptimal().double().fit(x[:2], raw[:2])
    torch.testing.assert_close(sigma, (x - raw).square().mean().sqrt())


def test_stacked_runs_keep_their_own_sigma(batch):
    raw, x = batch
    likelihood = GaussianOptimal().double().train()
    raws = torch.stack([raw, raw + 1])
    buffers = {name: value.repeat(2) for name, value in likelihood.named_buffers()}

    class LogProb(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.likelihood = likelihood

        def forward(self, raw):
            return self.likelihood(raw).log_prob(x)

    def log_prob(buffers, raw):
        named = {f"likelihood.{name}": value for name, value in buffers.items()}
        return torch.func.functional_call(LogProb(), named, (raw,))

    stacked = torch.func.vmap(log_prob)(buffers, raws)
    for i in range(2):
        alone = GaussianOptimal().double().train()
        torch.testing.assert_close(stacked[i], alone(raws[i]).log_prob(x))
        torch.testing.assert_close(buffers["variance"][i], alone.variance)


def test_arguments():
    with pytest.raises(
        UserError, match=r"^decay expects a number of at least 0 and below 1, got 1"
    ):
        GaussianOptimal(decay=1)
    with pytest.raises(UserError, match=r"^min_sigma expects a number above 0 .*, got 0"):
        GaussianOptimal(min_sigma=0)

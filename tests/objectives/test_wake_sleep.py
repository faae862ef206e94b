"""Wake-sleep: who learns from what, dreams, and its optimum by enumeration."""

import pytest
import torch
from torch.nn.functional import one_hot

from vaelab.distributed import split_over_processes
from vaelab.distributions import one_hot as one_hot_distribution
from vaelab.objectives import IWAE, ReweightedWakeSleep, WakeSleep
from vaelab.objectives.wake_sleep import draw, dream

F64 = torch.float64
OBJECTIVES = [WakeSleep(2), ReweightedWakeSleep(4), ReweightedWakeSleep(4, delta=0.2)]


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=["ws", "rws", "delta"])
def test_each_network_learns_from_its_own_loss(
    objective, kind, bernoulli_mixture, tiny_vae, gradients_of, of_encoder, x
):
    model = bernoulli_mixture if kind == "discrete" else tiny_vae()
    objective.check_model(model)
    torch.manual_seed(1)
    whole = gradients_of(model, objective(model, x, 0)["loss"])
    q_z = model.encode(x)
    torch.manual_seed(1)
    z = draw(q_z, objective.num_samples)
    log_weights = model.decode(z).log_prob(x) + model.prior().log_prob(z) - q_z.log_prob(z).detach()
    theta = gradients_of(model, -log_weights.logsumexp(0).mean())
    for name, gradient in whole.items():
        if name in of_encoder(whole):
            assert theta[name] is None, name
            assert gradient.abs().max() > 0, name
        else:
            assert torch.allclose(gradient, theta[name], rtol=1e-10, atol=1e-13), name


@pytest.mark.parametrize("objective", [WakeSleep(4), ReweightedWakeSleep(4)], ids=["ws", "rws"])
def test_theta_has_the_gradient_of_the_iwae_at_the_same_samples(
    objective, tiny_vae, gradients_of, of_encoder, x
):
    """Decoder and prior: the IWAE's samples carry no gradient for them."""
    model = tiny_vae()
    torch.manual_seed(3)
    terms = objective(model, x, 0)
    torch.manual_seed(3)
    iwae = IWAE(4)(model, x, 0)
    assert terms["bound"].item() == pytest.approx(iwae["bound"].item(), rel=1e-12)
    ours, theirs = (gradients_of(model, one["loss"]) for one in (terms, iwae))
    for name in ours:
        if name not in of_encoder(ours):
            assert torch.allclose(ours[name], theirs[name], rtol=1e-10, atol=1e-13), name


def test_the_loss_is_the_sum_of_two_and_no_bound(tiny_vae, x):
    for objective, other in ((WakeSleep(2), "sleep_phi"), (ReweightedWakeSleep(2), "wake_phi")):
        terms = objective(tiny_vae(), x, 0)
        total = terms["wake_theta"] + terms[other]
        assert terms["loss"].item() == pytest.approx(total.item(), rel=1e-12)
        assert terms["bound"].item() == pytest.approx(-terms["wake_theta"].item(), rel=1e-12)
        assert not terms["wake_theta"].requires_grad
        assert 1 <= terms["effective_sample_size"] <= 2


def test_dreams_are_of_the_model_and_without_gradient(bernoulli_mixture):
    torch.manual_seed(0)
    images, z = dream(bernoulli_mixture, 20_000)
    assert not images.requires_grad
    prior = bernoulli_mixture.prior().probs
    assert torch.allclose(z.mean(0), prior, atol=0.015)
    for k in range(3):
        mean = bernoulli_mixture.decode(torch.eye(3, dtype=F64)[k : k + 1]).mean[0]
        assert torch.allclose(images[z[:, k] == 1].mean(0), mean, atol=0.04)


def test_sleep_has_no_gradient_on_average_where_q_is_exact(bernoulli_mixture, make_exact):
    """E_p(x,z) d log q(z|x) = 0 at q = p(z|x); over many dreams the mean is within its noise."""
    make_exact(bernoulli_mixture)
    torch.manual_seed(0)
    images, z = dream(bernoulli_mixture, 5000)
    scores = bernoulli_mixture.encode(images).probs - z  # of the logits, minus the score
    error = scores.std(0) / len(scores) ** 0.5
    assert (scores.mean(0).abs() < 4 * error).all()
    wrong = bernoulli_mixture.encode(images.flip(-1)).probs - z
    assert (wrong.mean(0).abs() > 4 * error).any()


def test_two_processes_draw_what_one_draws(bernoulli_mixture, x):
    q_z = bernoulli_mixture.encode(x)
    torch.manual_seed(0)
    whole, dreams = draw(q_z, 3), dream(bernoulli_mixture, 6)
    parts = []
    for rank in range(2):
        torch.manual_seed(0)
        with split_over_processes(rank, 2):
            own = one_hot_distribution(q_z.logits.chunk(2)[rank])
            parts.append((draw(own, 3), *dream(bernoulli_mixture, 3)))
    assert torch.equal(torch.cat([part[0] for part in parts], 1), whole)
    for i in range(2):
        assert torch.equal(torch.cat([part[1 + i] for part in parts]), dreams[i])


def test_draws_of_a_discrete_z_have_its_probabilities():
    probs = torch.tensor([[0.05, 0.6, 0.35], [1.0, 0.0, 0.0]], dtype=F64)
    torch.manual_seed(0)
    z = draw(one_hot_distribution(probs.log()), 40_000)
    assert z.dtype == F64
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(z.mean(0), probs, atol=0.01)
    assert torch.equal(z[:, 1], one_hot(torch.zeros(40_000, dtype=torch.long), 3).double())

"""Reweighted wake-sleep: its weights, its fixed point, K = 1, and the defensive mixture."""

import itertools

import pytest
import torch

from vaelab.errors import UserError
from vaelab.objectives import ReweightedWakeSleep
from vaelab.objectives.wake_sleep import draw

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def enumerated_gradient(model, x, num_samples):
    """E over z_1..z_K ~ q of minus sum_k v_k (score of z_k), by summing over all K-tuples.

    Written for one image: in terms of the logits of q, whose score is z - q.
    """
    q = model.encode(x).probs[0].detach()
    log_joint = model.log_joint(x)[:, 0].detach()
    states = torch.eye(3, dtype=F64)
    total = torch.zeros(3, dtype=F64)
    for tuple_ in itertools.product(range(3), repeat=num_samples):
        index = list(tuple_)
        v = (log_joint[index] - q[index].log()).softmax(0)
        total -= q[index].prod() * (v[:, None] * (states[index] - q)).sum(0)
    return total


def test_q_at_the_posterior_is_a_fixed_point(bernoulli_mixture, make_exact, x):
    """With exact weights, by enumeration: E[d wake_phi] = 0 for every K, and else it is not."""
    for k in (1, 2, 3):
        before = enumerated_gradient(bernoulli_mixture, x[:1], k)
        assert k == 1 or before.abs().max() > 1e-3
    make_exact(bernoulli_mixture)
    log_joint = bernoulli_mixture.log_joint(x)
    assert torch.allclose(bernoulli_mixture.encode(x).probs, log_joint.T.softmax(1), atol=1e-12)
    for k in (1, 2, 3):
        assert enumerated_gradient(bernoulli_mixture, x[:1], k).abs().max() < 1e-14


def test_with_one_sample_q_learns_nothing_on_average(bernoulli_mixture, x):
    """The weight is 1 whatever the model: the expected gradient is that of E_q log q's score, 0."""
    assert enumerated_gradient(bernoulli_mixture, x[:1], 1).abs().max() < 1e-14
    torch.manual_seed(0)
    terms = ReweightedWakeSleep(1)(bernoulli_mixture, x, 0)
    torch.manual_seed(0)
    q_z = bernoulli_mixture.encode(x)
    expected = -q_z.log_prob(draw(q_z, 1)).mean()
    assert terms["wake_phi"].item() == pytest.approx(expected.item(), rel=1e-12)


def test_gradient_of_q_approaches_that_of_the_forward_divergence(
    bernoulli_mixture, gradients_of, of_encoder, x
):
    """With many samples: the gradient of KL(p(z|x) || q) in the logits, q - p, by enumeration."""
    exact = bernoulli_mixture.log_joint(x).T.softmax(1)
    log_q = bernoulli_mixture.encode(x).logits
    cross_entropy = -(exact.detach() * log_q).sum(1).mean()
    expected = gradients_of(bernoulli_mixture, cross_entropy)
    torch.manual_seed(0)
    for delta in (0.0, 0.3):
        loss = ReweightedWakeSleep(20_000, delta)(bernoulli_mixture, x, 0)["loss"]
        found = gradients_of(bernoulli_mixture, loss)
        for name in of_encoder(found):
            assert torch.allclose(found[name], expected[name], atol=0.01), (name, delta)
    largest = max(expected[name].abs().max() for name in of_encoder(expected))
    assert largest > 0.05


def test_wake_phi_is_written_out(tiny_vae, gradients_of, of_encoder, x):
    model = tiny_vae()
    torch.manual_seed(2)
    found = gradients_of(model, ReweightedWakeSleep(3)(model, x, 0)["loss"])
    torch.manual_seed(2)
    q_z = model.encode(x)
    z = draw(q_z, 3)
    with torch.no_grad():
        log_w = model.decode(z).log_prob(x) + model.prior().log_prob(z) - q_z.log_prob(z)
        w = log_w.exp()
    expected = gradients_of(model, -(w / w.sum(0) * q_z.log_prob(z)).sum(0).mean())
    for name in of_encoder(found):
        assert torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-13), name


def test_delta_finds_values_that_q_never_draws(bernoulli_mixture, gradients_of, x):
    """q has all its mass at z = 0, where the model has almost none."""
    with torch.no_grad():
        bernoulli_mixture.latent_prior.logits.copy_(torch.tensor([-30.0, 0, 0]))
        bernoulli_mixture.encoder.head.weight.zero_()
        bernoulli_mixture.encoder.head.bias.copy_(torch.tensor([30.0, 0, 0]))
    bias = "encoder.head.bias"
    torch.manual_seed(0)
    stuck, saved = (
        gradients_of(bernoulli_mixture, objective(bernoulli_mixture, x, 0)["loss"])[bias]
        for objective in (ReweightedWakeSleep(10), ReweightedWakeSleep(10, delta=0.5))
    )
    assert stuck.abs().max() < 1e-9
    assert saved[0] > 0.5


def test_defensive_samples_are_drawn_from_the_mixture(bernoulli_mixture, x, monkeypatch):
    """And weighted by its density: sum_z r(z) w(z) = p(x) by enumeration."""
    objective, seen = ReweightedWakeSleep(20_000, delta=0.4), []
    q_z = bernoulli_mixture.encode(x)
    original = type(q_z).log_prob

    def record(self, value):
        if self is q_z:
            seen.append(value)
        return original(self, value)

    monkeypatch.setattr(type(q_z), "log_prob", record)
    torch.manual_seed(0)
    _, log_weights = objective._defensive_samples(bernoulli_mixture, x, q_z)
    monkeypatch.undo()
    r = 0.6 * q_z.probs + 0.4 / 3
    assert torch.allclose(seen[0].mean(0), r, atol=0.015)
    log_p = bernoulli_mixture.log_joint(x).logsumexp(0)
    ours = log_weights.logsumexp(0) - torch.tensor(20_000.0).log()
    assert torch.allclose(ours, log_p, atol=0.03)


@pytest.mark.parametrize("delta", [-0.1, 1.0])
def test_delta_is_a_weight_below_one(delta):
    with pytest.raises(UserError, match="delta expects a number of at least 0 and below 1"):
        ReweightedWakeSleep(2, delta)

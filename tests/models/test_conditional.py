"""A conditional VAE against closed forms, the unconditional one, and enumeration."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from vaelab.build import build_model
from vaelab.distributions import kl_divergence
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.models.mlp import ConditionalLinear
from vaelab.objectives import BetaVAE
from vaelab.objectives.importance_weights import weighted_samples
from vaelab.posteriors import Categorical, Delta, Exact, FullCovariance, Gaussian
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.priors import ConditionalNormal, Mixture, StandardNormal, Vamp

F64 = torch.float64
SIGMA = 0.5
W = torch.tensor([(2.0, 0.5), (0.0, 1.1), (0.4, 0.0), (0.0, 0.0), (1.0, 0.2), (0.0, 0.3)]).double()
V = torch.tensor(
    [(0.3, -1, 0.5), (1, 0, 2), (0, 0.2, -1), (-2, 1, 0), (0, 0, 1), (1, 1, 1)]
).double()
B = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.5, -1.0]).double()
M = torch.eye(2).double() + W.T @ W / SIGMA**2


@pytest.fixture
def make():
    """Options -> a conditional model of 1 x 4 x 4 images in float64, its weights far from zero."""

    def build(
        sizes=(3,),
        *,
        posterior=Gaussian,
        prior=StandardNormal,
        hidden=(8,),
        latent_dim=3,
        encoder=True,
        decoder=True,
        likelihood=None,
    ):
        torch.manual_seed(4)
        networks = (partial(n, hidden=hidden, activation="tanh") for n in (MLPEncoder, MLPDecoder))
        model = VAE(
            (1, 4, 4),
            latent_dim,
            *networks,
            posterior,
            prior,
            likelihood or Bernoulli(),
            condition=Condition(sizes, encoder=encoder, decoder=decoder),
        ).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        return model

    return build


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


@pytest.fixture
def linear_gaussian():
    """posterior -> the model p(x|y, z) = N(W z + V y + b, s^2 I) with the best q of that kind."""

    def build(posterior):
        networks = (partial(MLPEncoder, hidden=()), partial(MLPDecoder, hidden=()))
        model = VAE(
            (1, 2, 3),
            2,
            *networks,
            posterior,
            StandardNormal,
            GaussianPixels(SIGMA),
            condition=Condition((3,)),
        ).double()
        gain = torch.linalg.solve(M, W.T) / SIGMA**2
        spread = -M.diagonal().log()  # log variances of the best diagonal normal
        if posterior is FullCovariance:
            root = torch.linalg.cholesky(torch.linalg.inv(M))
            spread = torch.cat([2 * root.diagonal().log(), root[1, :1]])
        of_x = torch.cat([gain, torch.zeros(len(spread), 6, dtype=F64)])
        with torch.no_grad():
            model.encoder.head.weight.copy_(torch.cat([of_x, -of_x @ V], 1))
            model.encoder.head.bias.copy_(torch.cat([-gain @ B, spread]))
            model.decoder.head.weight.copy_(torch.cat([W, V], 1))
            model.decoder.head.bias.copy_(B)
        return model

    return build


def exact_density(x, y):
    """log N(x; V y + b, W W^T + s^2 I)."""
    covariance = W @ W.T + SIGMA**2 * torch.eye(6, dtype=F64)
    return MultivariateNormal(V.T[y] + B, covariance).log_prob(x.flatten(1))


def exact_elbo(model, x):
    """The ELBO of a quadratic log p(x|y, z), whose expectation 2 L points have exactly."""
    q_z = model.encode(x)
    root = torch.diag_embed(q_z.stddev)
    if hasattr(q_z, "scale_tril"):
        root = q_z.scale_tril
    steps = math.sqrt(2) * torch.cat([root, -root], -1)  # (B, L, 2L)
    points = q_z.mean + steps.movedim(-1, 0)
    return model.decode(points).log_prob(x).mean(0) - kl_divergence(q_z, model.prior())


def test_full_covariance_of_a_linear_gaussian_model_has_the_exact_density(linear_gaussian):
    model, y, x = (
        linear_gaussian(FullCovariance),
        torch.arange(3).repeat(5),
        torch.randn(15, 1, 2, 3),
    )
    view, x = model.given(y), 2 * x.double()
    log_p = exact_density(x, y)
    assert torch.allclose(exact_elbo(view, x), log_p, rtol=0, atol=1e-5)
    # q(z|x, y) is p(z|x, y) where every weight p(x, z|y) / q(z|x, y) is p(x|y).
    weights = weighted_samples(view, x, 7).log_weights
    assert torch.allclose(weights, log_p.expand(7, -1), rtol=0, atol=1e-9)
    mean = torch.linalg.solve(M, W.T @ (x.flatten(1) - V.T[y] - B).T).T / SIGMA**2
    assert torch.allclose(view.encode(x).mean, mean)


def test_diagonal_posterior_costs_what_the_closed_form_says(linear_gaussian):
    model, y = linear_gaussian(Gaussian), torch.tensor([0, 2, 1, 1])
    x = torch.randn(4, 1, 2, 3).double()
    cost = 0.5 * (M.diagonal().log().sum() - M.logdet())
    assert cost > 0.05
    elbo = exact_elbo(model.given(y), x)
    assert torch.allclose(exact_density(x, y) - elbo, cost.expand(4), rtol=0, atol=1e-9)


NETWORKS = {
    "mlp": ("model=mlp", "model.hidden=[8]"),
    "two layers": ("model=mlp", "model.hidden=[8,5]"),
    "linear": ("model=mlp", "model.hidden=[]"),
    "glu": ("model=mlp", "model.hidden=[8]", "model.activation=glu"),
    "conv": ("model=conv", "model.channels=[4,4]", "model.hidden=[8]"),
    "conv linear": ("model=conv", "model.channels=[4,4]", "model.hidden=[]"),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_of_the_class_at_zero_make_the_unconditional_model(network, compose):
    words = (*NETWORKS[network], "latent_dim=3")
    plain = build_model(compose(*words), (1, 16, 16)).double()
    model = build_model(compose(*words, "condition=label"), (1, 16, 16), (4,)).double()
    of_plain, shared = dict(plain.named_parameters()), {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            source = of_plain[name]
            columns = (slice(None), slice(source.shape[1])) if source.ndim == 2 else (...,)
            shared[name] = columns
            parameter.zero_()
            parameter[columns] = source
    assert sum(isinstance(m, ConditionalLinear) for m in model.modules()) == 2
    x = torch.rand(5, 1, 16, 16, dtype=F64).round()
    results = []
    for each in (plain, model.given(torch.tensor([0, 1, 3, 3, 2]))):
        torch.manual_seed(0)
        loss = BetaVAE(1.0)(each, x, 0)["loss"]
        results.append((loss, torch.autograd.grad(loss, list(each.parameters()))))
    (before, expected), (after, gradients) = results
    assert after.item() == pytest.approx(before.item(), rel=1e-12)
    for (name, columns), gradient, plain_one in zip(
        shared.items(), gradients, expected, strict=True
    ):
        assert torch.allclose(gradient[columns], plain_one, rtol=1e-9, atol=1e-12), name
        if gradient.shape != plain_one.shape:
            assert gradient[:, plain_one.shape[1] :].abs().max() > 0, name


def test_conditional_layer_is_that_of_both_vectors_in_a_row():
    layer, x, c = ConditionalLinear(5, 3, 4).double(), torch.randn(6, 5).double(), torch.randn(6, 3)
    expected = nn.Linear.forward(layer, torch.cat([x, c.double()], 1))
    assert torch.allclose(layer(x, c.double()), expected)
    every = layer(x, c.double()[:, None])  # each c with each x
    assert every.shape == (6, 6, 4)
    assert torch.allclose(every.diagonal().T, expected)
    with pytest.raises(UserError, match=r"expects a condition beside its input, got none; use"):
        layer(x)


@pytest.mark.parametrize(("encoder", "decoder"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("hidden", [(8,), ()])
def test_gradients_reach_the_weights_of_either_path(make, x, encoder, decoder, hidden):
    model = make((3, 2), encoder=encoder, decoder=decoder, hidden=hidden)
    terms = elbo_terms(model.given(torch.arange(6)), x)
    (terms.reconstruction + terms.kl).mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name
    layers = {
        side: [m for m in getattr(model, side).modules() if isinstance(m, ConditionalLinear)]
        for side in ("encoder", "decoder")
    }
    assert [len(found) for found in layers.values()] == [encoder, decoder]
    for [layer] in filter(None, layers.values()):
        of_class = layer.weight.grad[:, layer.num_inputs :]
        assert of_class.shape[1] == 5
        assert (of_class != 0).any(0).all()  # of every value of both factors


FAMILIES = {
    "normal": {},
    "normal per class": {"prior": ConditionalNormal},
    "full covariance": {"posterior": FullCovariance},
    "mixture": {"prior": partial(Mixture, num_components=3)},
    "vamp": {"prior": partial(Vamp, num_components=2), "encoder": False},
    "encoder alone": {"decoder": False},
    "decoder alone": {"encoder": False, "prior": ConditionalNormal},
    "no hidden layers": {"hidden": ()},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_at_once_is_each_class_alone(family, make, x):
    model = make((2, 2), **FAMILIES[family])
    z = torch.randn(4, 6, 3, dtype=F64)
    every = model.each_class()
    q_z, p_z = every.encode(x), every.prior()
    together = [q_z.mean.expand(4, 6, 3), q_z.log_prob(z), every.decode(z).log_prob(x)]
    together.append(p_z.log_prob(z))
    for y in range(4):
        for rows in (torch.full((6,), y), torch.tensor([y])):
            one = model.given(rows)
            q_z, p_z = one.encode(x), one.prior()
            alone = [q_z.mean, q_z.log_prob(z[y]), one.decode(z[y]).log_prob(x)]
            alone.append(p_z.log_prob(z[y]))
            for both, single in zip(together, alone, strict=True):
                assert torch.allclose(both[y], single, rtol=1e-12, atol=1e-12)


def test_terms_of_every_class_have_a_row_per_class(make, x, fix_noise):
    model = make((4,))
    fix_noise(torch.zeros(4, 6, 3))
    terms = elbo_terms(model.each_class(), x)
    assert terms.kl.shape == terms.reconstruction.shape == (4, 6)
    fix_noise(torch.zeros(6, 3))
    for y in range(4):
        one = elbo_terms(model.given(torch.full((6,), y)), x)
        assert torch.allclose(terms.kl[y], one.kl)
        assert torch.allclose(terms.reconstruction[y], one.reconstruction)


@pytest.mark.parametrize("posterior", [Exact, Categorical])
def test_enumerated_classes_make_a_mixture_of_all_their_components(make, x, posterior):
    """log p(x) = logsumexp_y log p(x|y) - ln C, exactly, against Bernoulli products by hand."""
    model = make((3,), posterior=posterior, prior=CategoricalPrior, hidden=(), latent_dim=4)
    log_p_y = model.each_class().log_joint(x).logsumexp(0)  # (C, B)
    weights, means = model.latent_prior.logits.softmax(0), []
    for y in range(3):
        columns = model.decoder.head.weight[:, :4] + model.decoder.head.weight[:, 4 + y, None]
        means.append((columns + model.decoder.head.bias[:, None]).T.sigmoid())
    means, pixels = torch.stack(means), x.flatten(1)
    products = (means[:, :, None] ** pixels * (1 - means[:, :, None]) ** (1 - pixels)).prod(-1)
    by_hand = (weights[:, None] * products).sum(1)
    assert torch.allclose(log_p_y, by_hand.log())
    log_p = log_p_y.logsumexp(0) - math.log(3)
    assert torch.allclose(log_p, by_hand.mean(0).log())
    y = torch.tensor([0, 1, 2, 2, 1, 0])
    own = model.given(y).log_joint(x).logsumexp(0)
    assert torch.allclose(own, log_p_y[y, torch.arange(6)])
    assert (own - log_p).max() <= math.log(3)


def test_a_class_that_the_image_tells_is_worth_ln_num_classes(make):
    """log p(x|y) - log p(x) = ln C where the classes show different images, 0 where the same."""
    model = make((3,), posterior=Exact, prior=CategoricalPrior, hidden=(), latent_dim=2)
    y = torch.arange(3)
    for logit, expected in ((50.0, math.log(3)), (0.0, 0.0)):
        with torch.no_grad():
            model.decoder.head.weight.zero_()
            model.decoder.head.bias.zero_()
            for c in range(3):  # a row of its own is white, the others are black
                model.decoder.head.weight[:, 2 + c] = -logit
                model.decoder.head.weight[4 * c : 4 * c + 4, 2 + c] = logit
        x = torch.zeros(3, 1, 4, 4, dtype=F64)
        x[y, :, y] = 1
        log_p_y = model.each_class().log_joint(x).logsumexp(0)
        gain = log_p_y[y, y] - (log_p_y.logsumexp(0) - math.log(3))
        assert torch.allclose(gain, torch.full((3,), expected, dtype=F64))


def test_prior_of_each_class_has_the_closed_form(make, x):
    model = make((3,), prior=ConditionalNormal)
    y = torch.tensor([0, 1, 2, 2, 1, 0])
    view = model.given(y)
    q_z, p_z = view.encode(x), view.prior()
    mu, log_variance = model.latent_prior.weight[y].chunk(2, 1)
    assert torch.allclose(p_z.mean, mu)
    assert torch.allclose(p_z.variance, log_variance.exp())
    kl = kl_divergence(q_z, p_z)
    s, t = q_z.stddev, p_z.stddev
    by_hand = ((t / s).log() + (s**2 + (q_z.mean - mu) ** 2) / (2 * t**2) - 0.5).sum(1)
    assert torch.allclose(kl, by_hand)
    with torch.no_grad():
        z = q_z.sample(torch.Size([40_000]))
        ratio = q_z.log_prob(z) - p_z.log_prob(z)
    error = ratio.std(0) / 200
    assert ((ratio.mean(0) - kl).abs() < 5 * error).all()


def test_prior_of_each_class_starts_as_the_standard_normal():
    prior = ConditionalNormal(3, (1, 4, 4))
    prior.condition_on(5, True)
    p_z = prior(None, torch.eye(5)[:, None])
    assert (p_z.batch_shape, p_z.event_shape) == ((5, 1), (3,))
    assert (p_z.mean == 0).all()
    assert (p_z.stddev == 1).all()


def test_values_of_factors_add_up_in_the_prior(make):
    model = make((2, 3), prior=ConditionalNormal)
    mean = model.given(torch.arange(6)).prior().mean.view(2, 3, 3)
    assert torch.allclose(mean[1, 2] - mean[0, 2], mean[1, 0] - mean[0, 0])


def test_samples_are_of_their_classes(make):
    model = make((3,), prior=ConditionalNormal)
    with torch.no_grad():
        model.latent_prior.weight[:, :3] = torch.tensor([-100.0, 0.0, 100.0])[:, None]
    y = torch.tensor([2, 0, 1, 0])
    z = model.given(y).sample_prior(5, 4)
    assert z.shape == (5, 4, 3)
    assert torch.equal((z / 100).round().mean(-1), (y - 1.0).expand(5, 4).double())
    assert model.given(torch.tensor([1])).sample_prior(7).shape == (7, 3)
    assert model.given(torch.tensor([1])).sample(7).shape == (7, 1, 4, 4)


@pytest.mark.parametrize("one_class", [False, True])
def test_parts_are_of_the_first_images(make, x, one_class):
    model = make((3,))
    y = torch.tensor([1]) if one_class else torch.tensor([0, 1, 2, 2, 1, 0])
    whole = model.given(y).encode(x).mean
    for num, size in ((6, 4), (5, 2), (2, 4)):
        views, parts = model.given(y).split(size, num), x[:num].split(size)
        means = [view.encode(part).mean for view, part in zip(views, parts, strict=True)]
        assert torch.allclose(torch.cat(means), whole[:num])


def test_prior_over_classes_follows_laplace():
    condition = Condition((2, 2)).double()
    assert torch.allclose(condition.log_prior.exp(), torch.full((4,), 0.25, dtype=F64))
    condition.set_prior(torch.tensor([0, 0, -1, 3, -1]))
    expected = torch.tensor([3, 1, 1, 2], dtype=F64) / 7
    assert torch.allclose(condition.log_prior.exp(), expected)


def test_vectors_put_the_factors_side_by_side():
    vectors = Condition((2, 3))(torch.arange(6).view(2, 3))
    assert vectors.shape == (2, 3, 5)
    for a in range(2):
        for b in range(3):
            assert vectors[a, b].nonzero().flatten().tolist() == [a, 2 + b]


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((), {}, "sizes expects a number of values per factor, each at least 1, got"),
        ((2, 0), {}, "sizes expects a number of values per factor"),
        ((2,), {"encoder": False, "decoder": False}, "at least one that sees the class"),
    ],
)
def test_conditions_without_sense(sizes, options, message):
    with pytest.raises(UserError, match=message):
        Condition(sizes, **options)


def test_models_without_sense(make, tiny_vae, x):
    with pytest.raises(UserError, match=r"^Vamp expects a posterior q\(z\|x\), of images without"):
        make(prior=partial(Vamp, num_components=2))
    with pytest.raises(UserError, match=r"^decoder of a condition expects true for the posterior"):
        make(posterior=Exact, prior=CategoricalPrior, decoder=False)
    with pytest.raises(UserError, match=r"^given expects a conditional model, got one without"):
        tiny_vae().given(torch.tensor([0]))
    with pytest.raises(UserError, match=r"expects classes, got none; use model\.given\(y\)"):
        make().encode(x)
    networks = (partial(n, hidden=()) for n in (MLPEncoder, MLPDecoder))
    with pytest.raises(UserError, match=r"^ConditionalNormal expects a conditional model, got"):
        VAE((1, 4, 4), 2, *networks, Gaussian, ConditionalNormal, Bernoulli())


def test_codes_need_no_density(make, x):
    view = make(posterior=Delta).given(torch.arange(3).repeat(2))
    assert view.reconstruct(x).shape == x.shape

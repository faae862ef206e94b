"""With a condition every objective, prior, likelihood and network trains, or says why not."""

import copy

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed
from torch._dynamo.utils import counters

from vaelab.build import build_model, build_objective, compile_objective
from vaelab.cli.hydra_app import CONF
from vaelab.distributed import split_over_processes
from vaelab.errors import UserError

from .conftest import gradients_of_all

OBJECTIVES = sorted(path.stem for path in (CONF / "objective").glob("*.yaml"))
SMALL = {
    "factor_vae": ["objective.hidden=[16,16]", "objective.lr=1e-3"],
    "enumerated": ["posterior=categorical", "prior=categorical"],
    "em": ["posterior=exact", "prior=categorical"],
    "semi_amortised": ["objective.num_steps=2"],
    "reweighted_wake_sleep": ["objective.delta=0.3"],
}
FIXED_PRIOR = {n for n in OBJECTIVES if n.endswith("autoencoder")}
MMD = {"info_vae", "wae_mmd"}
TRAINS_NO_DECODER = {"kl_only"}
# A prior per class and a likelihood that fits sigma to the batch have sentences of their own.
TRAINS_NO_PRIOR_PER_CLASS = FIXED_PRIOR | MMD | {"em", "enumerated"}
Y = torch.tensor([0, 1, 2, 3, 3, 1, 0, 2])


@pytest.fixture
def parts(compose):
    """(objective, overrides) -> a float64 model of 4 classes of 8 x 8 images, and the objective."""

    def build(name, *overrides):
        network = ("model=mlp", "model.hidden=[16]", "model.activation=tanh")
        if name == "em":
            network = ("model=linear",)
        cfg = compose(
            *(f"objective={name}", *network, *SMALL.get(name, [])),
            *("latent_dim=3", "condition=label", *overrides),
        )
        torch.manual_seed(0)
        model = build_model(cfg, (1, 8, 8), (4,)).double()
        with torch.no_grad():  # some layers of a flow start at zero
            for parameter in model.latent_prior.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        objective = build_objective(cfg, num_train=100).double()
        objective.check_model(model)
        return model, objective

    return build


def step(model, objective, x, y=Y, seed=1):
    """Terms, and the gradient of every parameter."""
    torch.manual_seed(seed)
    terms = objective(model.given(y), x, 3)
    return terms, gradients_of_all(model, objective, terms["loss"])


def require_trained(name, model, objective, x):
    terms, gradients = step(model, objective, x)
    assert all(value.isfinite() and value.shape == () for value in terms.values())
    for parameter, gradient in gradients.items():
        assert gradient is not None, parameter
        assert gradient.isfinite().all(), parameter
        if name in TRAINS_NO_DECODER and parameter.startswith(("decoder", "likelihood")):
            continue
        assert gradient.abs().max() > 0, parameter


def takes_views(name, compose):
    """Whether the objective is one of those that need not know of classes."""
    target = compose(f"objective={name}", *SMALL.get(name, [])).objective._target_
    module, _, cls = target.rpartition(".")
    return not getattr(__import__(module, fromlist=[cls]), cls).needs_labels


@pytest.fixture
def of_views(compose):
    def skip(name):
        if not takes_views(name, compose):
            pytest.skip("gets the classes itself, and has tests of its own")

    return skip


@pytest.mark.parametrize("where", ["both", "encoder", "decoder"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_or_says_why(name, where, parts, x, of_views):
    of_views(name)
    words = {"encoder": ["condition.decoder=false"], "decoder": ["condition.encoder=false"]}
    if name == "em":
        with pytest.raises(UserError, match=r"^(EM expects a model without classes|decoder of a)"):
            parts(name, *words.get(where, []))
        return
    require_trained(name, *parts(name, *words.get(where, [])), x)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_with_a_prior_per_class(name, parts, x, of_views):
    of_views(name)
    if name not in TRAINS_NO_PRIOR_PER_CLASS:
        require_trained(name, *parts(name, "prior=conditional_normal"), x)
        return
    message = {True: "expects a fixed prior", False: "expects one prior for all images"}
    if name in ("em", "enumerated"):
        message[False] = "expects a discrete prior"
    with pytest.raises(UserError, match=message[name in FIXED_PRIOR]):
        parts(name, "prior=conditional_normal")


@pytest.mark.parametrize("posterior", ["gaussian", "full_covariance", "iaf"])
@pytest.mark.parametrize(
    "prior", ["standard_normal", "mixture", "flow", "vamp", "conditional_normal"]
)
def test_every_posterior_with_every_prior(posterior, prior, parts, x):
    words = [f"posterior={posterior}", f"prior={prior}"]
    if prior == "vamp":
        with pytest.raises(UserError, match=r"Vamp expects a (posterior q|normal posterior)"):
            parts("vae", *words, "prior.num_components=3")
        words += ["condition.encoder=false", "prior.num_components=3"]
        if posterior == "iaf":
            return
    require_trained("vae", *parts("vae", *words), x)


@pytest.mark.parametrize("likelihood", sorted(p.stem for p in (CONF / "likelihood").glob("*.yaml")))
def test_every_likelihood(likelihood, parts, x):
    model, objective = parts("vae", f"likelihood={likelihood}", "prior=conditional_normal")
    model.likelihood.initialize(x)
    require_trained("vae", model, objective, x)


@pytest.mark.parametrize("network", sorted(p.stem for p in (CONF / "model").glob("*.yaml")))
def test_every_network(network, compose):
    words = (f"model={network}", "objective=vae", "condition=factors", "latent_dim=3")
    model = build_model(compose(*words), (1, 64, 64), (2, 2)).double()
    objective = build_objective(compose(*words), num_train=100).double()
    require_trained("vae", model, objective, torch.rand(8, 1, 64, 64, dtype=torch.float64).round())


@pytest.mark.parametrize("posterior", ["categorical", "exact"])
@pytest.mark.parametrize("decoder", ["true", "false"])
def test_discrete_latents(posterior, decoder, parts, x):
    words = (f"posterior={posterior}", "prior=categorical", f"condition.decoder={decoder}")
    if (posterior, decoder) == ("exact", "false"):
        with pytest.raises(UserError, match="decoder of a condition expects true"):
            parts("enumerated", *words)
        return
    model, objective = parts("enumerated", *words)
    require_trained("enumerated", model, objective, x)
    terms, _ = step(model, objective, x)
    exact = model.given(Y).log_joint(x).logsumexp(0).mean()
    assert terms["log_p"].item() == pytest.approx(exact.item(), rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_is_the_mean_over_the_classes(name, parts, x, of_views, fix_noise):
    """With all noise at zero, for objectives that are means over images."""
    of_views(name)
    if name not in {"vae", "beta_vae", "iwae", "contractive_autoencoder", "semi_amortised"}:
        pytest.skip("has other noise, or a statistic of the batch")
    model, objective = parts(name)
    losses = []
    for rows in (torch.arange(8), *(torch.nonzero(c == Y).flatten() for c in range(4))):
        fix_noise(torch.zeros(*([5] if name == "iwae" else []), len(rows), 3))
        losses.append(objective(model.given(Y[rows]), x[rows], 3)["loss"].item())
    assert losses[0] == pytest.approx(sum(losses[1:]) / 4, rel=1e-12)


COMPILED = ("vae", "iwae", "dreg", "factor_vae", "contractive_autoencoder", "wake_sleep")


@pytest.mark.parametrize("name", [*COMPILED, "reweighted_wake_sleep", "semi_amortised"])
def test_compiled_once_and_equal_to_eager(name, parts, x):
    """A view is a new object at each step, which must not be traced again."""
    prior = "prior=conditional_normal" if name not in FIXED_PRIOR else "prior=standard_normal"
    eager, (model, objective) = parts(name, prior), parts(name, prior)
    torch.compiler.reset()
    counters.clear()
    compile_objective(objective, model, backend="aot_eager", fullgraph=True)
    for seed, y in enumerate((Y, Y.flip(0), Y.roll(1))):
        expected, expected_gradients = step(*eager, x, y, seed)
        compiled, gradients = step(model, objective, x, y, seed)
        for term, value in expected.items():
            assert compiled[term].item() == pytest.approx(value.item(), rel=1e-9, abs=1e-9), term
        for parameter, gradient in expected_gradients.items():
            same = torch.allclose(gradients[parameter], gradient, rtol=1e-7, atol=1e-9)
            assert same, parameter
    assert counters["stats"]["unique_graphs"] == 1


def _one_of_two(rank, folder, cases, x):
    """In a process: this rank's part of the batch, gradients averaged as ddp averages them."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    results = []
    for model, objective in copy.deepcopy(cases):
        with split_over_processes(rank, 2):
            terms, gradients = step(model, objective, x.chunk(2)[rank], Y.chunk(2)[rank])
        averages = {}
        for parameter, value in {"loss": terms["loss"], **gradients}.items():
            averages[parameter] = value.detach().clone()
            distributed.all_reduce(averages[parameter])
            averages[parameter] /= 2
        results.append(averages)
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_gradients_of_one(parts, x, tmp_path, of_views, compose):
    """Each has the classes of its own images, also where a model dreams of them."""
    names = [n for n in OBJECTIVES if n != "em" and takes_views(n, compose)]
    settings = [(n,) for n in names]
    settings += [
        (n, "prior=conditional_normal") for n in ("vae", "wake_sleep", "reweighted_wake_sleep")
    ]
    cases = [parts(*setting) for setting in settings]
    mp.start_processes(_one_of_two, args=(str(tmp_path), cases, x), nprocs=2, start_method="spawn")
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    for setting, averages in zip(settings, results, strict=True):
        terms, expected = step(*parts(*setting), x)
        assert averages["loss"].item() == pytest.approx(terms["loss"].item(), rel=1e-10), setting
        for parameter, gradient in expected.items():
            same = torch.allclose(averages[parameter], gradient, rtol=1e-8, atol=1e-10)
            assert same, (setting, parameter)

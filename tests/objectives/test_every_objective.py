"""What holds for every objective in conf/objective: terms, gradients, precision, compile, ddp."""

import copy
import math

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed

from vaelab.build import build_model, build_objective, compile_objective
from vaelab.cli.hydra_app import CONF
from vaelab.distributed import split_over_processes
from vaelab.kl_penalties import Constant
from vaelab.objectives import DIPVAEI, DIPVAEII, BetaTCVAE, BetaVAE, FactorVAE, InfoVAE

from .conftest import gradients_of_all

# Of em, whose steps are no gradients, test_enumerated.
NAMES = sorted({path.stem for path in (CONF / "objective").glob("*.yaml")} - {"em"})
KL_PENALTIES = sorted(path.stem for path in (CONF / "kl_penalty").glob("*.yaml"))
every_objective = pytest.mark.parametrize("name", NAMES)

# Networks of a test's size, where the default's are large.
SMALL = {
    "factor_vae": ["objective.hidden=[16,16]", "objective.lr=1e-3"],
    "enumerated": ["posterior=categorical", "prior=categorical"],
    "m2": ["condition=label", "condition.classifier=true"],
}
# Settings with which eight images can be memorised in a few hundred steps.
WEAK = {
    "beta_vae": ["objective.beta=1"],
    "factor_vae": ["objective.gamma=1"],
    "annealed_capacity": ["objective.capacity=12", "objective.gamma=10", "objective.num_steps=0"],
    "annealed_capacity_per_image": [
        *("objective.capacity=12", "objective.gamma=10", "objective.num_steps=0"),
    ],
    "dip_vae_i": ["objective.lambda_od=0.1"],
    "dip_vae_ii": ["objective.lambda_od=0.1"],
    "denoising_autoencoder": ["objective.level=0.02"],
    "contractive_autoencoder": ["objective.weight=0.001"],
    "sparse_autoencoder": ["objective.weight=0.1"],
    "beta_tcvae": ["objective.beta=1.5"],
    "semi_amortised": ["objective.num_steps=2"],  # of the decoder, at the encoder's own q(z|x)
}
TRAINS_NO_DECODER = {"kl_only"}
# K samples per image in a dimension of their own.
NUM_SAMPLES = {"iwae": 5, "dreg": 5, "ciwae": 5, "miwae": 64, "reweighted_wake_sleep": 5, "m2": 3}
NUM_CLASSES = 3
# Settings at which the statistics of half the batch give another loss than those of the whole: the
# halves lie on both sides of a capacity or a floor, a controller is inside of its bounds.
KINKED = {
    "annealed_capacity": ["objective.capacity=0.1", "objective.num_steps=0"],
    "capacity": ["kl_penalty.capacity=0.1", "kl_penalty.num_steps=0"],
    "free_bits": ["kl_penalty.nats_per_latent=0.035"],
    "pi_control": ["kl_penalty.target=0.05", "kl_penalty.ki=0.1"],
    "geco": ["kl_penalty.target=30", "kl_penalty.rate=0.01"],
}


@pytest.fixture
def parts(compose):
    """(name, overrides) -> a float64 model of 3 latents for 8 x 8 images, and the objective."""

    def build(name, *overrides):
        cfg = compose(
            *(f"objective={name}", *SMALL.get(name, []), "model=mlp", "model.hidden=[16]"),
            *("model.activation=tanh", "latent_dim=3", "init=pytorch", *overrides),
        )
        torch.manual_seed(0)
        classes = (NUM_CLASSES,) if cfg.condition else ()
        model = build_model(cfg, (1, 8, 8), classes).double()
        objective = build_objective(cfg, num_train=100, num_labelled=40).double()
        objective.check_model(model)
        return model, objective

    return build


def evaluate(model, objective, x, step):
    """The terms; where labels are needed, by the number of white pixels, and some are unknown."""
    if not objective.needs_labels:
        return objective(model, x, step)
    y = x.sum((1, 2, 3)).long() % NUM_CLASSES
    return objective(model, x, step, torch.where(x[:, 0, 0, 0] == 1, -1, y))


def loss_and_gradients(model, objective, x, seed=1):
    """Terms, and the gradient of every parameter of model and objective, None where it has none."""
    torch.manual_seed(seed)
    terms = evaluate(model, objective, x, 3)
    return terms, gradients_of_all(model, objective, terms["loss"])


def two_steps(model, objective, x):
    """As at the second of two steps: a controller has responded to the first."""
    torch.manual_seed(0)
    evaluate(model, objective, x, 2)
    return loss_and_gradients(model, objective, x)


@every_objective
def test_terms_are_finite_scalars_and_the_loss_is_one_of_them(name, parts, x):
    model, objective = parts(name)
    terms, _ = loss_and_gradients(model, objective, x)
    assert all(value.shape == () for value in terms.values())
    assert all(math.isfinite(value.item()) for value in terms.values())
    if {"reconstruction", "kl"} <= terms.keys():
        total = terms["reconstruction"] + terms["kl"]
        assert terms["elbo"].item() == pytest.approx(-total.item(), rel=1e-12)
        assert not terms["elbo"].requires_grad


@every_objective
def test_gradients_reach_every_parameter(name, parts, x):
    model, objective = parts(name)
    _, gradients = loss_and_gradients(model, objective, x)
    for parameter, gradient in gradients.items():
        if name in TRAINS_NO_DECODER and parameter.startswith("decoder"):
            assert gradient.abs().max() == 0, parameter  # and not None, which ddp would wait for
        else:
            assert gradient.isfinite().all(), parameter
            assert gradient.abs().max() > 0, parameter


@every_objective
def test_the_same_noise_gives_the_same_loss(name, parts, x):
    (first, _), (second, _) = (loss_and_gradients(*parts(name), x) for _ in range(2))
    assert {n: v.item() for n, v in first.items()} == {n: v.item() for n, v in second.items()}


@every_objective
def test_order_of_the_images_does_not_matter_without_noise(name, parts, x, fix_noise):
    """A batch is a set: with all noise at zero any order of its images has the same loss."""
    if name in {"factor_vae", "info_vae", "wae_mmd", "denoising_autoencoder", "wake_sleep"}:
        pytest.skip("draws more noise than that of z")
    model, objective = parts(name)
    objective.eval()
    samples = NUM_SAMPLES.get(name)
    fix_noise(torch.zeros(*([samples] if samples else []), 8, 3))
    before, after = (evaluate(model, objective, y, 3)["loss"].item() for y in (x, x.flip(0)))
    assert before == pytest.approx(after, rel=1e-12)


@every_objective
def test_names_of_the_latents_do_not_matter(name, parts, x, fix_noise):
    """Latents renamed in encoder and decoder alike, with the noise of z at zero."""
    if name in {"factor_vae", "info_vae", "wae_mmd", "wake_sleep"}:
        pytest.skip("has a network of its own on the latents, or noise for each of them")
    model, objective = parts(name)
    samples = NUM_SAMPLES.get(name)
    fix_noise(torch.zeros(*([samples] if samples else []), 8, 3))
    before, gradients = loss_and_gradients(model, objective, x)
    order = torch.tensor([2, 0, 1])
    rows = torch.cat([order + 3 * head for head in range(model.posterior.num_heads)])
    with torch.no_grad():
        head, first = model.encoder.head, model.decoder.layers[0]
        head.weight.copy_(head.weight[rows])
        head.bias.copy_(head.bias[rows])
        classes = torch.arange(3, first.weight.shape[1])  # columns of a conditional model
        first.weight.copy_(first.weight[:, torch.cat([order, classes])])
    after, renamed = loss_and_gradients(model, objective, x)
    for term, value in before.items():
        assert after[term].item() == pytest.approx(value.item(), rel=1e-9, abs=1e-12), term
    expected = gradients["encoder.head.weight"][rows]
    assert torch.allclose(renamed["encoder.head.weight"], expected, rtol=1e-9, atol=1e-12)


@every_objective
def test_eight_images_are_memorised(name, parts, x):
    if name == "enumerated":
        pytest.skip("two images that share a component stay there, a local optimum of any mixture")
    model, objective = parts(name, "model.hidden=[64]", *WEAK.get(name, []))
    groups = [{"params": list(model.parameters())}, *objective.parameter_groups()]
    optimizer = torch.optim.Adam(groups, 5e-3)
    for step in range(600):
        torch.manual_seed(step)
        loss = evaluate(model, objective, x, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        if name in TRAINS_NO_DECODER:
            assert loss.item() < 1e-3
        else:
            known = model
            if model.classifier is not None:
                known = model.given(model.classify(x).logits.argmax(-1))
            assert -known.decode(known.encode(x).mean).log_prob(x).mean() < 4  # of 44 at first


@every_objective
def test_bfloat16_gives_nearly_the_loss_of_float32(name, parts, x):
    model, objective = parts(name)
    model, objective, x = model.float(), objective.float(), x.float()
    exact, _ = loss_and_gradients(model, objective, x)
    with torch.autocast("cpu", torch.bfloat16):
        rough, gradients = loss_and_gradients(model, objective, x)
    assert rough["loss"].dtype == torch.float32
    size = sum(abs(value.item()) for value in exact.values()) / len(exact)
    assert rough["loss"].item() == pytest.approx(exact["loss"].item(), rel=0.02, abs=0.02 * size)
    assert all(g.isfinite().all() for g in gradients.values() if g is not None)


@every_objective
def test_compiled_equals_eager(name, parts, x):
    """One graph, traced with its gradients; what inductor makes of it is torch's business."""
    eager, eager_gradients = loss_and_gradients(*parts(name), x)
    model, objective = parts(name)
    torch.compiler.reset()
    torch.distributions.kl._KL_MEMOIZE.clear()  # as in a new process
    compile_objective(objective, model, backend="aot_eager", fullgraph=True)
    compiled, gradients = loss_and_gradients(model, objective, x)
    for term, value in eager.items():
        assert compiled[term].item() == pytest.approx(value.item(), rel=1e-9, abs=1e-9), term
    for parameter, gradient in eager_gradients.items():
        if gradient is not None:
            assert torch.allclose(gradients[parameter], gradient, rtol=1e-7, atol=1e-9), parameter


def _one_of_two(rank, folder, cases, x):
    """In a process: this rank's part of the batch, gradients averaged as ddp averages them."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    results = []
    for model, objective in copy.deepcopy(cases):  # what came from the parent is shared memory
        with split_over_processes(rank, 2):
            terms, gradients = two_steps(model, objective, x.chunk(2)[rank])
        averages = {}
        for parameter, value in {"loss": terms["loss"], **gradients}.items():
            if value is not None:
                averages[parameter] = value.detach().clone()
                distributed.all_reduce(averages[parameter])
                averages[parameter] /= 2
        results.append(averages)
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_gradients_of_one(parts, x, tmp_path):
    """Statistics of a batch are those of the batch of all processes, for each objective."""
    settings = [(name, *KINKED.get(name, ())) for name in NAMES]
    settings += [("reweighted_wake_sleep", "objective.delta=0.3")]
    settings += [("beta_vae", f"kl_penalty={p}", *KINKED.get(p, ())) for p in KL_PENALTIES]
    cases = [parts(*setting) for setting in settings]
    mp.start_processes(_one_of_two, args=(str(tmp_path), cases, x), nprocs=2, start_method="spawn")
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    assert len(results) == len(settings)
    for setting, averages in zip(settings, results, strict=True):
        terms, expected = two_steps(*parts(*setting), x)
        assert averages["loss"].item() == pytest.approx(terms["loss"].item(), rel=1e-10), setting
        for parameter, gradient in expected.items():
            same = torch.allclose(averages[parameter], gradient, rtol=1e-8, atol=1e-10)
            assert same, (setting, parameter)


def test_kl_penalties_are_constant_unless_chosen(parts):
    kl_penalties = [getattr(parts(name)[1], "kl_penalty", None) for name in NAMES]
    named = [s for n, s in zip(NAMES, kl_penalties, strict=True) if "annealed" not in n]
    assert all(kl_penalty is None or isinstance(kl_penalty, Constant) for kl_penalty in named)


def test_kl_penalties_are_constant_by_default_in_python():
    objectives = [
        *(BetaVAE(4.0), DIPVAEI(1.0, 1.0), DIPVAEII(1.0, 1.0), InfoVAE(0.0, 10.0)),
        *(BetaTCVAE(6.0, "mss", num_train=100), FactorVAE(10.0, latent_dim=3, hidden=(4,))),
    ]
    assert all(type(objective.kl_penalty) is Constant for objective in objectives)
    assert len({id(objective.kl_penalty) for objective in objectives}) == len(objectives)

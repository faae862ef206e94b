"""Incompatible parts, and settings of the wrong type, are rejected before training."""

import pytest

from vaelab import build
from vaelab.config_checks import warn_of_unreached_steps
from vaelab.errors import UserError

AUTOENCODERS = (
    "autoencoder",
    "denoising_autoencoder",
    "sparse_autoencoder",
    "contractive_autoencoder",
)
WAKE_SLEEP = ("wake_sleep", "reweighted_wake_sleep")


@pytest.fixture
def check(compose):
    """Overrides -> the check of the objective and the model that they choose."""

    def run(*overrides):
        cfg = compose("model=mlp", "model.hidden=[8]", "latent_dim=3", *overrides)
        model = build.build_model(cfg, (1, 4, 4))
        build.build_objective(cfg, num_train=100).check_model(model)

    return run


@pytest.mark.parametrize("prior", ["mixture", "flow"])
@pytest.mark.parametrize("objective", AUTOENCODERS)
def test_a_prior_without_gradient(check, objective, prior):
    check(f"objective={objective}")
    with pytest.raises(UserError, match=r"expects a fixed prior, .* use StandardNormal"):
        check(f"objective={objective}", f"prior={prior}")


@pytest.mark.parametrize("objective", ["info_vae", "wae_mmd"])
def test_a_prior_whose_samples_have_no_gradient(check, objective):
    check(f"objective={objective}", "prior=flow")
    with pytest.raises(UserError, match="got Mixture, which the MMD gives no gradient; use"):
        check(f"objective={objective}", "prior=mixture")


@pytest.mark.parametrize("objective", ["iwae", "miwae", "ciwae", "dreg", *WAKE_SLEEP])
def test_a_likelihood_whose_sigma_is_not_the_optimum_of_the_loss(check, objective):
    for likelihood in ("gaussian", "gaussian_learned", "gaussian_per_pixel"):
        check(f"objective={objective}", f"likelihood={likelihood}")
    message = (
        r"^\w+ expects a likelihood whose parameters are learned or fixed, got GaussianOptimal"
    )
    with pytest.raises(UserError, match=message):
        check(f"objective={objective}", "likelihood=gaussian_optimal")


@pytest.mark.parametrize("objective", WAKE_SLEEP)
def test_a_posterior_with_nothing_to_learn(check, objective):
    check(f"objective={objective}", "prior=categorical", "posterior=categorical")
    with pytest.raises(UserError, match="expects a posterior with an encoder to train, got Exact"):
        check(f"objective={objective}", "prior=categorical", "posterior=exact")
    with pytest.raises(UserError, match="expects a posterior with a density, got Delta"):
        check(f"objective={objective}", "posterior=delta")


@pytest.mark.parametrize("objective", WAKE_SLEEP)
def test_a_prior_made_of_posteriors(check, objective):
    check(f"objective={objective}", "prior=mixture")
    with pytest.raises(UserError, match=r"shares no parameters with q\(z\|x\), got Vamp"):
        check(f"objective={objective}", "prior=vamp", "prior.num_components=3")


@pytest.mark.parametrize("objective", ["vae", "beta_vae"])
def test_samples_of_equal_weight_allow_the_optimal_sigma(check, objective):
    """The loss averages log p(x|z) over images and samples, of which sigma* is the optimum."""
    check(f"objective={objective}", "likelihood=gaussian_optimal", "objective.num_samples=3")


@pytest.mark.parametrize("overrides", [("prior=mixture",), ("posterior=iaf",)])
def test_free_bits_without_a_kl_of_each_latent(check, overrides):
    check("kl_penalty=free_bits")
    with pytest.raises(UserError, match="FreeBits expects a posterior and a prior"):
        check("kl_penalty=free_bits", *overrides)


@pytest.mark.parametrize(
    "overrides",
    [("objective=iwae",), ("objective=wae_mmd",), ("objective=annealed_capacity",)],
)
def test_a_kl_penalty_without_a_kl(check, overrides):
    with pytest.raises(UserError, match="kl_penalty expects an objective with a KL term"):
        check("kl_penalty=linear", *overrides)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (("objective.beta=abc",), "objective.beta"),
        (("objective=factor_vae", "objective.gamma=abc"), "objective.gamma"),
        (("kl_penalty=pi_control", "kl_penalty.target=abc"), "kl_penalty.target"),
        (("prior=mixture", "prior.num_components=many"), "prior.num_components"),
    ],
)
def test_text_for_a_number(check, overrides, name):
    with pytest.raises(UserError, match=rf"{name} expects a(n integer| finite number), got '\w+'"):
        check(*overrides)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (("kl_penalty=linear", "kl_penalty.num_steps=200"), "kl_penalty.num_steps"),
        (("objective=annealed_capacity",), "objective.num_steps"),
        (("lr_scheduler=multi_step",), "lr_scheduler.milestones"),
    ],
)
def test_what_ends_after_the_run_is_reported(compose, caplog, overrides, name):
    warn_of_unreached_steps(compose("num_steps=100", *overrides))
    assert f"{name} reaches to step" in caplog.text
    assert "num_steps=100" in caplog.text


def test_what_ends_with_the_run_is_not_reported(compose, caplog):
    warn_of_unreached_steps(
        compose("kl_penalty=linear", "kl_penalty.num_steps=100", "num_steps=100")
    )
    assert caplog.text == ""

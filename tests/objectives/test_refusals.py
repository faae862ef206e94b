"""Parts that do not go together, and settings of the wrong kind, are refused before training."""

import pytest

from vaelab import build
from vaelab.errors import UserError

AUTOENCODERS = (
    "autoencoder",
    "denoising_autoencoder",
    "sparse_autoencoder",
    "contractive_autoencoder",
)


@pytest.fixture
def check(compose):
    """Words -> the check of the objective and the model that they choose."""

    def chosen(*words):
        cfg = compose("model=mlp", "model.hidden=[8]", "latent_dim=3", *words)
        model = build.build_model(cfg, (1, 4, 4))
        build.build_objective(cfg, num_train=100).check_model(model)

    return chosen


@pytest.mark.parametrize("prior", ["mixture", "flow"])
@pytest.mark.parametrize("objective", AUTOENCODERS)
def test_a_prior_that_nothing_teaches(check, objective, prior):
    check(f"objective={objective}")
    with pytest.raises(UserError, match=r"expects a fixed prior, .* use prior=standard_normal"):
        check(f"objective={objective}", f"prior={prior}")


@pytest.mark.parametrize("objective", ["info_vae", "wae_mmd"])
def test_a_prior_whose_samples_have_no_gradient(check, objective):
    check(f"objective={objective}", "prior=flow")
    with pytest.raises(UserError, match="got Mixture, which the MMD would not teach"):
        check(f"objective={objective}", "prior=mixture")


@pytest.mark.parametrize("words", [("prior=mixture",), ("posterior=iaf",)])
def test_free_bits_without_a_kl_of_each_latent(check, words):
    check("kl_penalty=free_bits")
    with pytest.raises(UserError, match="FreeBits expects a posterior and a prior"):
        check("kl_penalty=free_bits", *words)


@pytest.mark.parametrize(
    "words",
    [("objective=iwae",), ("objective=wae_mmd",), ("objective=annealed_capacity",)],
)
def test_a_schedule_without_a_cost_to_move(check, words):
    with pytest.raises(UserError, match="kl_penalty= moves the cost of the KL"):
        check("kl_penalty=linear", *words)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("objective.beta=abc",), "objective.beta"),
        (("objective=factor_vae", "objective.gamma=abc"), "objective.gamma"),
        (("kl_penalty=pi_control", "kl_penalty.target=abc"), "kl_penalty.target"),
        (("prior=mixture", "prior.num_components=many"), "prior.num_components"),
    ],
)
def test_text_for_a_number(check, words, name):
    with pytest.raises(UserError, match=rf"{name} expects a number, got '\w+'"):
        check(*words)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("kl_penalty=linear", "kl_penalty.num_steps=200"), "kl_penalty.num_steps"),
        (("objective=annealed_capacity",), "objective.num_steps"),
        (("lr_scheduler=multi_step",), "lr_scheduler.milestones"),
    ],
)
def test_what_ends_after_the_run_is_said(compose, caplog, words, name):
    build.warn_of_unfinished(compose("num_steps=100", *words))
    assert f"{name} reaches to step" in caplog.text
    assert "num_steps=100" in caplog.text


def test_what_ends_with_the_run_is_not(compose, caplog):
    build.warn_of_unfinished(
        compose("kl_penalty=linear", "kl_penalty.num_steps=100", "num_steps=100")
    )
    assert caplog.text == ""

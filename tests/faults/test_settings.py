"""Settings that make no sense are rejected in one sentence before training, whatever they are."""

import functools
import time

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vaelab import build
from vaelab.cli.error_messages import error_message
from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.runs.folder import RunFolder

NUM_EXAMPLES = 400  # of which over 300 differ, beside the 190 values below
MAX_SECONDS = 3.0  # of the processor, for each
# What is never a value, of whichever setting.
NEVER = ("nan", "inf", "-inf", "''", "1e999", "{a:1}")
# What is none for the settings that hold a number.
NO_NUMBER = (*NEVER, "abc", "O1", "true", "[1]", "1.5x")
NO_COUNT = (*NO_NUMBER, "-1", "1.5", "-3.0")
GROUPS = {
    "objective": ("beta_vae", "factor_vae", "beta_tcvae", "dip_vae_i", "iwae", "info_vae"),
    "kl_penalty": ("constant", "linear", "cyclic", "capacity", "free_bits", "geco", "pi_control"),
    "prior": ("standard_normal", "mixture", "vamp", "flow"),
    "posterior": ("gaussian", "full_covariance", "iaf"),
    "likelihood": ("bernoulli", "gaussian", "gaussian_learned", "discretized_logistic"),
    "lr_scheduler": ("constant", "multi_step", "cosine"),
    "callbacks": ("[checkpoints,figures,progress]", "[checkpoints,ema]"),
}  # fmt: skip
# Numbers that mean nothing to the run: names, places, and what another setting decides.
FREE = ("name", "output_root", "data_root", "resume", "target", "data.root", "data.url")


@pytest.fixture(scope="module", autouse=True)
def _hydra(tiny, tmp_path_factory):
    register_resolvers()
    # What is imported at first use is no time of a setting.
    set_up(config(list(tiny)), RunFolder(tmp_path_factory.mktemp("first")))


def config(overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra_compose("train", overrides)


@functools.cache
def composed(*overrides):
    """`config`, once for all that is tried beside these."""
    return config(list(overrides))


def override(cfg, text):
    """Hydra's own way to apply an override, without composing all else again."""
    (one,) = OverridesParser.create().parse_overrides([text])
    OmegaConf.update(cfg, one.key_or_group, one.value(), merge=True, force_add=True)


def set_up(cfg, folder):
    """All that happens before the first step of training."""
    build.build_run(cfg)
    build.build_trainer(cfg, build.build_all(cfg.callbacks, folder), [])


def attempt(overrides, folder, wrong=None):
    """(whether it was accepted, the message, the exception); `wrong` beside known overrides."""
    before = time.process_time()
    try:
        if wrong:
            cfg = composed(*overrides).copy()
            override(cfg, wrong)
        else:
            cfg = config(overrides)
        set_up(cfg, folder)
    except Exception as error:
        return False, error_message(error, CONF, "train"), error
    finally:
        assert time.process_time() - before < MAX_SECONDS, (overrides, wrong)
    return True, None, None


def flatten(tree, prefix=""):
    """{dotted name: value}, which keeps 10.0 a float."""
    flat = {}
    for name, value in tree.items():
        inner = isinstance(value, dict) and value
        flat |= flatten(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


@functools.cache
def leaves(*overrides):
    """{setting: value} that an override may change."""
    flat = flatten(OmegaConf.to_container(composed(*overrides), resolve=True))
    return {
        name: value
        for name, value in flat.items()
        if name not in FREE and not name.rpartition(".")[2].startswith("_")
    }


@st.composite
def nonsense(draw, tiny):
    """Options of every group, one setting of theirs, and a value that it can't have."""
    chosen = [f"{group}={draw(st.sampled_from(options))}" for group, options in GROUPS.items()]
    group = draw(st.sampled_from(sorted(GROUPS)))
    # One group moves at a time, so that what is wrong is the setting and not the combination.
    base = [*tiny, *(one for one in chosen if one.startswith(f"{group}="))]
    known = leaves(*base)
    inside = [name for name in known if name.startswith(f"{group}.")]
    name = draw(st.sampled_from(sorted(inside or known)))
    value = known[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        bad = draw(st.sampled_from(NEVER))
    else:
        bad = draw(st.sampled_from(NO_COUNT if isinstance(value, int) and value > 1 else NO_NUMBER))
    return base, f"++{name}={bad}"


def test_generated_nonsense_is_one_sentence(tiny, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("settings"))
    tried, accepted, traced = set(), set(), set()

    @settings(
        max_examples=NUM_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(nonsense(tiny))
    def check(example):
        base, wrong = example
        tried.add((*base, wrong))
        ok, message, error = attempt(base, folder, wrong)
        if ok:
            accepted.add(wrong)
        elif message is None:
            traced.add((wrong, repr(error)))

    check()
    assert len(tried) >= 300
    assert traced == set()
    assert accepted == set()
    assert not folder.status_file.exists()


RUN_SETTINGS = (
    "seed", "latent_dim", "batch_size", "eval_batch_size", "num_steps", "val_every_n_steps",
    "metrics_every_n_steps", "num_threads", "optimizer.lr", "optimizer.eps", "trainer.max_steps",
    "trainer.log_every_n_steps", "trainer.gradient_clip_val",
)  # fmt: skip


@pytest.mark.parametrize("name", RUN_SETTINGS)
def test_every_bad_value_of_the_settings_of_a_run(name, tiny, tmp_path):
    values = {"seed": (*NO_NUMBER, "1.5")}.get(
        name, (*NO_NUMBER, "-1", "-2" if name.startswith("optimizer") else "0")
    )
    kept = [one for one in tiny if not one.startswith(f"{name}=")]
    for value in values:
        ok, message, error = attempt(kept, RunFolder(tmp_path), f"{name}={value}")
        assert not ok, (name, value)
        assert message is not None, (name, value, repr(error))
        assert name.rpartition(".")[2] in message or "max_steps" in message, (name, value, message)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["optimizer.betas=[0.9]"], "optimizer.betas expects a list of 2 numbers"),
        (["optimizer.betas=[2,3]"], "optimizer.betas expects a number of at least 0 and below 1"),
        (["lr_scheduler=multi_step", "lr_scheduler.milestones=[b]"], "lr_scheduler.milestones"),
        (["lr_scheduler=cosine", "lr_scheduler.T_max=0"], "lr_scheduler.T_max expects"),
        (["model.hidden=16"], "model.hidden expects a list, each an integer"),
        (["model.hidden=[1.5]"], "model.hidden expects a list, each an integer"),
        (["model.encoder=null"], "model.encoder expects a class to build"),
        (["init=null"], "init expects one of glorot, kaiming, pytorch"),
        (["replacement=maybe"], "replacement expects true or false"),
        (["channels_last=7"], "channels_last expects true or false"),
        (["trainer.precision=bf16-true"], "trainer.precision expects one of 32-true"),
        (["float32_matmul=low"], "float32_matmul expects one of highest, high, medium"),
        (["name=../../x"], "name expects a folder below output_root"),
        (["name=/abs"], "name expects a folder below output_root"),
        (["batch_size=1000000"], "batch_size expects at most the"),
        (["+posterior.x=1"], "posterior.x is not a setting of Gaussian"),
        (["logger=null"], "a group expects the name of an option"),
        (["callbacks=[ema]", "callbacks.ema.decay=nan"], "callbacks.ema.decay expects"),
        (["optimizer._target_=torch.optim.SGD"], "optimizer expects settings that torch.optim.SGD"),
        (["data._target_=mylib.Blobs"], "check its spelling, and name the folder of your own"),
        (["seed="], "seed expects an integer, got ''"),
        (["++evaluation={a:1}"], "evaluation.a expects the settings of an option, got 1"),
        (["++callbacks={a:1}"], "callbacks.a expects the settings of an option, got 1"),
        (["data.root="], "data.root expects a value, got empty text"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_known_mistakes_name_the_setting(overrides, sentence, tiny, tmp_path):
    keys = {one.lstrip("+").partition("=")[0] for one in overrides}
    kept = [one for one in tiny if one.partition("=")[0] not in keys]
    ok, message, error = attempt([*kept, *overrides], RunFolder(tmp_path))
    assert not ok
    assert message is not None, repr(error)
    assert sentence in message
    assert "\n" not in message

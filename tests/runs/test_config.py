"""Which options of conf/ a config was composed of."""

import pytest

from vaelab.runs.config import CONF, OPTION_GROUPS, option_names, to_container

AMBIGUOUS = ("data", "model", "objective", "lr_scheduler")  # options that share classes, or none
OPTIONS = [(group, file.stem) for group in AMBIGUOUS for file in (CONF / group).glob("*.yaml")]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_is_recognised_in_a_config(compose, group, option):
    own = ["data.root=there"] if option in ("array", "image_folder") else []
    config = to_container(compose(f"{group}={option}", *own))
    assert option_names(config)[group] == option


def test_settings_of_an_option_may_differ_from_it(compose):
    config = to_container(
        compose("data=dsprites_small", "data.num_val=7", "data.split=random", "objective.beta=1.5")
    )
    names = option_names(config)
    assert list(names) == list(OPTION_GROUPS)
    assert (names["data"], names["objective"]) == ("dsprites_small", "beta_vae")


def test_the_command_line_decides_and_foreign_classes_have_their_name(compose):
    config = to_container(compose("optimizer={_target_: torch.optim.RMSprop, _partial_: true}"))
    config["data"] = {"_target_": "mylib.Blobs"}
    names = option_names(config, ["seed=3", "objective.beta=2", "likelihood=laplace"])
    assert (names["likelihood"], names["data"]) == ("laplace", "Blobs")
    config["optimizer"] = {"_target_": "torch.optim.RMSprop", "_partial_": True}
    assert option_names(config)["optimizer"] == "RMSprop"

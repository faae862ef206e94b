"""Run folders written by hand, so that a report is tested without training."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from vaelab import build
from vaelab.runs.checkpoint import save_checkpoint
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder

from . import synthetic

SIZE = 16
PROVENANCE = {
    "command": ["scripts/train.py", "objective.beta=4"],
    "overrides": ["objective.beta=4"],
    "versions": {"torch": "2.6.0", "python": "3.12.0"},
    "git": {"commit": "0123abc", "changed": []},
    "machine": {"platform": "Linux", "cpu": "a processor", "num_threads": 2, "gpus": []},
    "data_checksum": "feed" * 16,
}
CURVES = """step,metric,value
5,train/loss,30.5
5,train/elbo,-29.0
10,train/loss,20.5
10,val/elbo,-21.5
10,val/kl_latent/0,0.5
10,val/kl_latent/1,2.25
10,val/kl_latent/2,0.001
15,train/lo"""


def final_metrics(elbo=-21.5):
    """metrics.json of a finished run of three latents, of which one has collapsed."""
    return {
        "val/elbo": elbo,
        "val/reconstruction": 18.75,
        "val/kl": 2.75,
        "val/active_units": 2.0,
        "val/kl_latent/0": 0.5,
        "val/kl_latent/1": 2.25,
        "val/kl_latent/2": 0.001,
        "num_steps": 10,
        "seconds": 75.0,
        "num_parameters": 1234,
        "target": {"val/elbo": True},
    }


SCORES = {
    "metrics/mig": 0.125,
    "metrics/dci": 0.5,
    "scores": {
        "mig": {
            "interval": [0.1, 0.15],
            "breakdown": {"shape": 0.05, "scale": 0.2},
            "details": {"num_samples": 10000, "codes": "mean", "step": 10, "num_bins": 20},
        },
        "dci": {"interval": None, "breakdown": {}, "details": {"num_train": 50}},
    },
    "evaluations": {"mig": {"seconds": 1.5}},
}


@pytest.fixture(scope="session")
def image_file(tmp_path_factory):
    """Channels -> the file of 60 images for data=array."""

    @cache
    def file(channels, size):
        path = tmp_path_factory.mktemp("images") / "images.npy"
        shape = (60, size, size) if channels == 1 else (60, size, size, channels)
        np.save(path, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        return path

    return file


@pytest.fixture
def write_run(compose, image_file, tmp_path):
    """Overrides -> a run folder of an untrained model with every file."""

    def write(
        *overrides,
        name="run",
        state="finished",
        metrics=None,
        channels=1,
        size=SIZE,
        class_sizes=(),
        **facts,
    ):
        torch.manual_seed(0)
        file = image_file(channels, size)
        cfg = compose("data=array", f"data.root={file}", "latent_dim=3", "init=pytorch", *overrides)
        folder = RunFolder(tmp_path / name)
        folder.claim(OmegaConf.to_yaml(cfg, resolve=True))
        folder.set_status(state, **facts)
        folder.add_metrics(final_metrics() if metrics is None else metrics)
        folder.curves.write_text(CURVES)
        folder.provenance.write_text(json.dumps([PROVENANCE]))
        folder.figures.mkdir()
        for figure in ("samples", "traversals", "zebra"):
            Image.fromarray(np.full((4, 4), 99, np.uint8)).save(folder.figures / f"{figure}.png")
        _write_checkpoint(folder, cfg, (channels, size, size), class_sizes)
        return folder

    return write


def _write_checkpoint(folder, cfg, image_shape, class_sizes):
    model = build.build_model(cfg, image_shape, class_sizes)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight *= 2.5  # an untrained decoder is grey everywhere
        for weight in model.latent_prior.parameters():
            weight.normal_(0, 0.5)  # a p(z|y) of every class starts as N(0, I)
    folder.last_checkpoint.parent.mkdir()
    content = {
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
        "config": to_container(cfg),
        "global_step": 10,
        "image_shape": image_shape,
        "class_sizes": list(class_sizes),
    }
    save_checkpoint(content, folder.last_checkpoint)


@pytest.fixture
def write_sweep(compose, tmp_path):
    """Options of `synthetic.write_sweep` -> the folder of such a sweep, and its runs."""

    def write(**options):
        runs = synthetic.write_sweep(tmp_path / "mine", compose, figures=False, **options)
        return tmp_path / "mine", runs

    return write

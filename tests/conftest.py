"""What all tests share: one thread, configs, fixed noise, a small VAE in float64, programs."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from torch.distributions import MultivariateNormal

from vaelab.cli.hydra_app import CONF, register_resolvers
from vaelab.likelihoods import Bernoulli
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import Categorical, Gaussian
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.priors import StandardNormal
from vaelab.sweep.launchers import processes
from vaelab.sweep.parent_watchdog import PARENT_VARIABLE

from .warm_program import Server

SCRIPT = Path(__file__).parents[1] / "scripts" / "train.py"

# What starts processes and waits for them, in the order in which workers take it.
FIRST = ("sweep/launchers", "sweep", "whole_runs", "faults")


def pytest_collection_modifyitems(config, items):
    """Of several workers, none waits at the end for another's file of minutes."""
    if not hasattr(config, "workerinput"):
        return
    tests = Path(__file__).parent

    def turn(item):
        places = enumerate(FIRST)
        return next((i for i, room in places if item.path.is_relative_to(tests / room)), len(FIRST))

    items.sort(key=turn)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _programs_hear_control_c():
    """Which a shell that runs the tests by "&" has them ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _close_logs():
    """Hydra leaves train.log open until the program ends, which is after all tests."""
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and handler.baseFilename.endswith("train.log"):
            root.removeHandler(handler)
            handler.close()


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def compose():
    """overrides -> the config that the command line would give."""

    def config(*overrides):
        register_resolvers()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra_compose("train", list(overrides))

    return config


@pytest.fixture
def fix_noise(monkeypatch):
    """noise -> from now on every posterior sample is mu + sigma * noise."""

    def fix(noise):
        def given(shape, batch_dim, like):
            assert tuple(shape) == tuple(noise.shape)
            return noise.to(like)

        monkeypatch.setattr("vaelab.distributions.diagonal_normal.standard_normal_noise", given)

    return fix


@pytest.fixture
def tiny_vae():
    """Options -> an MLP VAE of 3 latents over images 1 x 4 x 4, in float64."""

    def build(latent_dim=3, likelihood=None, hidden=(8,), init="pytorch"):
        return VAE(
            (1, 4, 4),
            latent_dim,
            lambda *shapes: MLPEncoder(*shapes, hidden=hidden, activation="tanh"),
            lambda *shapes: MLPDecoder(*shapes, hidden=hidden, activation="tanh"),
            Gaussian,
            StandardNormal,
            likelihood or Bernoulli(),
            init,
        ).double()

    return build


@pytest.fixture
def bernoulli_mixture():
    """3 components over 1 x 4 x 4 images and a linear encoder, in float64."""
    model = VAE(
        (1, 4, 4),
        3,
        lambda *shapes: MLPEncoder(*shapes, hidden=()),
        lambda *shapes: MLPDecoder(*shapes, hidden=()),
        Categorical,
        CategoricalPrior,
        Bernoulli(),
    ).double()
    with torch.no_grad():
        model.latent_prior.logits.copy_(torch.tensor([0.5, -0.2, 0.0]))
        model.decoder.head.weight.mul_(4)
    return model


@pytest.fixture
def gradients_of():
    """model, loss -> the gradient of every parameter by name, None where it has none."""

    def gradients(model, loss):
        names, parameters = zip(*model.named_parameters(), strict=True)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return dict(zip(names, found, strict=True))

    return gradients


@pytest.fixture
def linear_gaussian():
    """(model, x, log p(x)): z ~ N(0, I), x = W z + b + noise, with the exact posterior.

    The columns of W are orthogonal, so that the posterior is a diagonal normal.
    """
    sigma, f64 = 0.5, torch.float64
    model = VAE(
        (1, 2, 3),
        2,
        lambda *shapes: MLPEncoder(*shapes, hidden=()),
        lambda *shapes: MLPDecoder(*shapes, hidden=()),
        Gaussian,
        StandardNormal,
        GaussianPixels(sigma),
    ).double()
    w = torch.linalg.qr(torch.randn(6, 2, dtype=f64))[0] * torch.tensor([2.0, 0.7])
    b = torch.randn(6, dtype=f64)
    variance = 1 / (1 + (w**2).sum(0) / sigma**2)
    gain = variance[:, None] * w.T / sigma**2
    with torch.no_grad():
        model.decoder.head.weight.copy_(w)
        model.decoder.head.bias.copy_(b)
        model.encoder.head.weight.copy_(torch.cat([gain, torch.zeros(2, 6)]))
        model.encoder.head.bias.copy_(torch.cat([-gain @ b, variance.log()]))
    p_x = MultivariateNormal(b, w @ w.T + sigma**2 * torch.eye(6, dtype=f64))
    x = p_x.sample((5,))
    return model.eval(), x.view(-1, 1, 2, 3), p_x.log_prob(x)


@pytest.fixture
def spoil():
    """model -> the linear Gaussian with a posterior too wide and in the wrong place."""

    def spoiled(model):
        with torch.no_grad():
            model.encoder.head.bias.add_(torch.tensor([0.3, -0.3, 0.7, 0.7]))

    return spoiled


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The command line of a run of 12 steps that validates and saves every 4."""
    file = tmp_path_factory.mktemp("images") / "grey.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (240, 8, 8), dtype=np.uint8))
    return (
        *("data_root=unused", "data=array", f"data.root={file}"),
        *("model=mlp", "model.hidden=[16]", "latent_dim=3"),
        *("batch_size=16", "num_steps=12", "val_every_n_steps=4", "num_threads=1"),
        *("trainer.log_every_n_steps=3", "trainer.enable_progress_bar=false"),
        *("callbacks=[checkpoints]", "logger=[csv]"),
    )


@pytest.fixture(scope="session")
def _warm():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def command(tmp_path, _warm, _started):
    """Words -> the started process of a script with them, in an empty directory.

    Torch is imported there already; see warm_program.py.
    """

    def start(*words, script=SCRIPT, **environment):
        _started.append(_warm.program([str(script), *words], tmp_path, os.environ | environment))
        return _started[-1]

    return start


@pytest.fixture
def warm_jobs(monkeypatch, tmp_path, _warm):
    """The processes of a sweep's jobs start as those of `command`, where their start is not tested.

    Their parent is not the sweep, so they are not told of one.
    """
    script = tmp_path / "job.py"
    script.write_text("from vaelab.sweep.job import main\nmain()\n")

    def start(command, *, cwd, env, stdin, stdout, stderr, start_new_session):
        assert command[:-1] == [*processes.COMMAND]
        assert stdout == stderr
        environment = {name: env[name] for name in env if name != PARENT_VARIABLE}
        return _warm.program([str(script), command[-1]], cwd or os.getcwd(), environment, stdout)

    patched = SimpleNamespace(**vars(subprocess) | {"Popen": start})
    monkeypatch.setattr(processes, "subprocess", patched)


@pytest.fixture
def cold_command(tmp_path, _started):
    """The same as a program of its own, where it is tested how that starts."""

    def start(*words, script=SCRIPT, **environment):
        process = subprocess.Popen(
            [sys.executable, str(script), *words],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _started.append(process)
        return process

    return start


@pytest.fixture
def _started():
    """The processes of the two above, which end with the test."""
    processes = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def finish():
    """A process of `command` -> (exit code, standard output, standard error)."""

    def wait(process):
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return wait

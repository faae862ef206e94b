"""Imports go one way, and the mathematics needs torch alone."""

import ast
import functools
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import vaelab

SRC = Path(vaelab.__file__).parent

# Each part of the package, after all those that it may import: the whole of it in one order ...
ORDER = (
    *("errors", "files", "seeding", "terminal", "distributed"),
    *("distributions", "likelihoods", "posteriors", "priors", "models", "elbo", "elbo_statistics"),
    *(
        "mixtures",
        "bayes",
        "kl_fits",
        "kl_penalties",
        "objectives",
        "data",
        "metrics",
        "figures",
        "visualize",
    ),
    *("runs", "training", "config_checks", "build", "loaded_run", "load", "codes"),
    *("train", "evaluate", "run"),
    *("report", "sweep", "reproduction", "cli"),
)
# ... but these import no more than this.
ONLY = {
    "distributed": {"errors"},
    "distributions": {"distributed", "errors"},
    "likelihoods": {"errors", "distributions", "distributed"},
    "posteriors": {"errors", "distributions", "distributed"},
    "priors": {"errors", "distributions"},
    "models": {"errors", "distributions", "likelihoods", "posteriors", "priors"},
    "elbo": {"distributions", "models"},
    "elbo_statistics": {"elbo", "distributions"},
    "kl_penalties": {"errors", "distributed", "distributions", "elbo"},
    "mixtures": {"errors"},
    "bayes": {"errors", "mixtures"},
    "kl_fits": {"errors"},
    "objectives": {"errors", "distributed", "distributions", "models", "elbo", "kl_penalties"}
    | {"likelihoods", "mixtures", "priors"},
    "metrics": {"errors", "seeding", "files", "distributions", "models", "elbo", "data"}
    | {"elbo_statistics", "posteriors", "bayes"},
    "data": {"errors", "files", "seeding"},
    "figures": {"files"},
    "visualize": {"errors", "seeding", "distributions", "models", "data", "metrics", "figures"}
    | {"elbo_statistics", "bayes"},
}
# Who imports what the mathematics does without; `data.datamodule` is a module of a part.
FRAMEWORKS = {
    "hydra": {"runs.config_types", "build", "runs.resume", "sweep", "reproduction", "cli"},
    "omegaconf": {
        "runs.config",
        "runs.config_types",
        "runs.resume",
        "config_checks",
        "build",
        "train",
        "loaded_run",
        "load",
        "evaluate",
        "run",
    }
    | {"sweep", "reproduction", "cli"},
    "pytorch_lightning": {"data.datamodule", "runs.loggers", "training", "build", "train"},
    "sklearn": {"metrics", "reproduction.conditional"},
    "matplotlib": {"figures"},
    "zuko": {"distributions"},
    "jinja2": {"report"},
    "tensorboard": {"runs.loggers"},
    "optuna": {"training.callbacks.pruning", "sweep"},
}


def module_name(path):
    return ".".join(("vaelab", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


MODULES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}
del MODULES["vaelab"]  # imports nothing until it is asked


@functools.cache
def nodes(module):
    """The syntax of a file, which is read once for all tests."""
    return tuple(ast.walk(ast.parse(MODULES[module].read_text())))


@functools.cache
def imports(module):
    """The modules that a file names anywhere, those of vaelab as far as they are files."""
    found = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in MODULES else node.module for one in inner}
    return found


def part(module):
    return module.split(".")[1]


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_what_is_below(module):
    parts = {part(name) for name in imports(module) if name in MODULES} - {part(module)}
    below = set(ORDER[: ORDER.index(part(module))])
    assert parts <= ONLY.get(part(module), below)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_frameworks_stay_outside_the_mathematics(framework):
    users = {m for m in MODULES if framework in {name.split(".")[0] for name in imports(m)}}
    allowed = FRAMEWORKS[framework]
    assert {m for m in users if not {part(m), m.removeprefix("vaelab.")} & allowed} == set()


def test_no_import_cycle():
    """Between files; a package's __init__ counts as importing its files and not the reverse."""
    graph = {m: {name for name in imports(m) if name in MODULES} for m in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_record_of_a_job_is_named_in_one_place():
    """A file name in the text of another room is an import that no test sees."""
    found = {m for m in MODULES for node in nodes(m) if getattr(node, "value", None) == "job.json"}
    assert found == {"vaelab.runs.folder"}


def test_no_drawer_for_everything():
    names = {word for module in MODULES for word in module.split(".")}
    assert not names & {"utils", "util", "common", "core", "helpers", "misc"}


def test_mathematics_imports_torch_alone():
    others = {"pytorch_lightning", "hydra", "omegaconf", "torchvision", "matplotlib", "zuko"}
    code = f"import sys, vaelab.objectives, vaelab.metrics; print(*({others} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

"""The command line. Torch is imported inside the jobs, so that --help and typos answer at once."""

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vaelab.cli.error_messages import explain
from vaelab.errors import UserError
from vaelab.terminal import as_typed, beside_python, sibling_program, this_program

if TYPE_CHECKING:
    from vaelab.reproduction.command_line import Asked
    from vaelab.reproduction.verdict import Outcome

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parents[1]
# A wheel carries conf/ inside the package, a checkout has it at its top level.
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else CHECKOUT / "conf"
TARGETS = "experiment/reproduce"
RECORD = CHECKOUT / "docs" / "reproduction.md"
STARTED = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def train() -> None:
    """Train as the command line says: scripts/train.py, vaelab-train."""
    _run(_train_job, "train")


def reproduce() -> None:
    """Measure targets and say whether they are reached: scripts/reproduce.py, vaelab-reproduce."""
    from vaelab.reproduction.command_line import read_command
    from vaelab.reproduction.record import listing, read_table

    with _sentences():
        asked = read_command(sys.argv[1:], CONF / TARGETS)
    if asked.listing:
        rows = read_table(RECORD.read_text()) if RECORD.exists() else {}
        print(listing(asked.known, rows))
        return
    codes = [_reproduce_one(name, asked) for name in asked.names]
    if any(codes):
        sys.exit(max(codes))


def _reproduce_one(name: str, asked: "Asked") -> int:
    """The exit code of one target, which stops no other."""
    sys.argv = [sys.argv[0], *asked.hydra_words(name)]
    codes = [0]  # also where Hydra only shows the settings

    def job(cfg: DictConfig) -> None:
        codes.append(_reproduce_job(cfg, asked).exit_code)

    return codes[-1] if _told(job, "train") else 2


def evaluate() -> None:
    """Score finished runs: scripts/evaluate.py, vaelab-evaluate."""
    failed: list[str] = []

    def job(cfg: DictConfig) -> None:
        _evaluate_job(cfg, failed)

    try:
        _run(job, "evaluate")
    except KeyboardInterrupt:
        print(
            "stopped: what was computed is in metrics.json; the same command goes on from there.",
            file=sys.stderr,
        )
        sys.exit(130)
    if failed:
        sys.exit(2)


def report() -> None:
    """Make one HTML page of a run or a folder of runs: scripts/report.py, vaelab-report."""
    _use_data_of_checkout()
    from vaelab.report import main

    with _sentences():
        main(sys.argv[1:])


def sweep() -> None:
    """What has become of the jobs of a sweep: scripts/sweep.py, vaelab-sweep."""
    from vaelab.sweep.status import main

    with _sentences():
        sys.exit(main(sys.argv[1:]))


def benchmark() -> None:
    """Measure speed against a plain PyTorch loop: scripts/benchmark.py, vaelab-benchmark."""
    _use_data_of_checkout()
    from vaelab.benchmark.table import main

    with _sentences():
        main()


@contextmanager
def _sentences() -> Iterator[None]:
    """A mistake ends the program with its sentence and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _use_data_of_checkout() -> None:
    """Data lies in $VAELAB_DATA_DIR, else in the checkout's data/, wherever we are called from."""
    if (CHECKOUT / "conf").is_dir():
        os.environ.setdefault("VAELAB_DATA_DIR", str(CHECKOUT / "data"))


def _run(job: Callable[[DictConfig], Any], config_name: str) -> None:
    """Hydra's main around a job; the program ends with exit code 2 if it fails."""
    if not _told(job, config_name):
        sys.exit(2)


def _told(job: Callable[[DictConfig], Any], config_name: str) -> bool:
    """Hydra's main around a job, its errors turned into sentences; whether there were none."""
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then raises instead of printing its own trace
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")  # Lightning's hints, which don't apply
    _use_data_of_checkout()
    failures: list[str] = []

    @functools.wraps(job)
    def told(cfg: DictConfig) -> Any:
        # A job that the user can mend is told here and not raised: hydra would print the whole
        # command before the sentence, and a sweep goes on with its next job.
        try:
            return job(cfg)
        except Exception as error:
            sentence = explain(error, CONF, config_name)
            if sentence is None:
                raise
            log.error(sentence)  # on the terminal and in the run folder's train.log
            failures.append(sentence)
            return float("nan")

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(told)()
    except Exception as error:
        sentence = explain(error, CONF, config_name)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return False
    return not failures


def register_resolvers() -> None:
    """Make `${run_folder:...}` known to OmegaConf."""
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)


def run_folder(resume: str | None, output_root: str, name: str) -> str:
    """The run to resume, or a folder that does not exist yet: <output_root>/<name>/<time>."""
    if resume:
        # Here, because hydra makes the folder before the job gets to look at it.
        if not (Path(resume) / "status.json").exists():
            raise UserError(
                f"resume expects the folder of a run, got {resume}, which holds none; name the "
                "folder that the run printed, such as outputs/main/<time>."
            )
        return resume
    folder = Path(output_root) / name / STARTED
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{STARTED}-{number}")
        number += 1
    return str(folder)


def _train_job(cfg: DictConfig) -> float:
    """One run; returns val/elbo, or -val/reconstruction of an autoencoder, for sweepers."""
    from vaelab.run import train_and_evaluate
    from vaelab.runs.process import is_main_process
    from vaelab.runs.resume import resumed_config

    overrides = list(HydraConfig.get().overrides.task)
    if cfg.resume:
        cfg = resumed_config(cfg.resume, overrides)
    folder = _output_dir()
    metrics = train_and_evaluate(cfg, folder, overrides)
    if is_main_process():
        print(summary(folder, metrics, cfg.output_root))
    return metrics.get("val/elbo", -metrics.get("val/reconstruction", float("nan")))


def _reproduce_job(cfg: DictConfig, asked: "Asked") -> "Outcome":
    """One target, its verdict printed and, if asked, recorded."""
    from vaelab.reproduction.record import record, row_of
    from vaelab.reproduction.target import reproduce
    from vaelab.runs.provenance import machine
    from vaelab.sweep.run import build_launcher

    hydra_cfg = HydraConfig.get()
    choice = hydra_cfg.runtime.choices["experiment"]
    words = [word for word in hydra_cfg.overrides.task if not word.startswith("experiment=")]
    launcher = build_launcher(hydra_cfg.launcher)
    outcome = reproduce(cfg, _output_dir(), choice, words, launcher, smoke=asked.smoke)
    print(outcome)
    if asked.record:
        command = " ".join(["python scripts/reproduce.py", outcome.name, *asked.words])
        record(RECORD, row_of(outcome, machine(), command))
    return outcome


def _evaluate_job(cfg: DictConfig, failed: list[str]) -> None:
    """One path; `failed` gets the metrics that could not be computed."""
    path = None if OmegaConf.is_missing(cfg, "run") else cfg.run
    if path is None or not Path(path).exists():
        raise UserError(
            f"evaluate expects run=<a run folder, a folder of runs, or a checkpoint>, got "
            f"{path or 'none'}; name what a run printed at its end: run=outputs/main/<time>."
        )
    from vaelab.cli.evaluation_table import format_evaluation
    from vaelab.evaluate import evaluate_config

    for evaluation in evaluate_config(cfg, list(HydraConfig.get().overrides.task)):
        print(format_evaluation(evaluation))
        failed.extend(evaluation.failed)


def _output_dir() -> Path:
    """The folder hydra made for this job."""
    return as_typed(Path(HydraConfig.get().runtime.output_dir))


def summary(folder: Path, metrics: dict[str, Any], output_root: str) -> str:
    """What a run printed at its end: where it lies, its figures, what to type next."""
    split = "test" if "test/reconstruction" in metrics else "val"
    names = ("elbo", "reconstruction", "kl", "active_units")
    value = {name: metrics[f"{split}/{name}"] for name in names if f"{split}/{name}" in metrics}
    lines = [f"\nrun       {folder}"]
    if "elbo" in value:
        lines += [
            f"{split:<9} ELBO {value['elbo']:.2f}   reconstruction {value['reconstruction']:.2f}   "
            f"KL {value['kl']:.2f} nats per image   active units {value['active_units']:.0f}",
        ]
    elif "reconstruction" in value:
        lines += [
            f"{split:<9} reconstruction {value['reconstruction']:.2f} nats per image   "
            f"active units {value['active_units']:.0f}   no ELBO, since q(z|x) has no density",
        ]
    if "best/val/reconstruction" in metrics:
        lines += [f"best      step {metrics['best/step']:,}, by the lowest val/reconstruction"]
    lines += [
        f"speed     {metrics['num_steps']:,} steps in {metrics['seconds']:.0f} s, "
        f"{metrics['images_per_second']:,.0f} images/s",
        *([f"pictures  {folder / 'figures'}"] if (folder / "figures").exists() else []),
        "\nnext",
        f"  watch it          {beside_python('tensorboard')} --logdir {output_root}",
        f"  judge it          {sibling_program('evaluate')} run={folder}",
        f"  one page of it    {sibling_program('report')} {folder}",
        f"  another objective {this_program()} objective=factor_vae",
        f"  a sweep of beta   {this_program()} -m objective.beta=1,4,16",
    ]
    return "\n".join(lines)

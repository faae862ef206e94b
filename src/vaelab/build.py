"""From a config to objects: the only caller of hydra's instantiate."""

import inspect
import logging
import os
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig
from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from vaelab.data.datamodule import ImageDataModule
from vaelab.distributions import kl_divergence
from vaelab.errors import UserError, require
from vaelab.metrics import AnyMetric, Metric, MultiRunMetric, require_applicable
from vaelab.models import VAE
from vaelab.objectives import Objective
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder
from vaelab.training.callbacks import AtomicCheckpointIO, Metrics
from vaelab.training.module import TrainingModule

log = logging.getLogger(__name__)

NUM_CHECKED = 1000


def build(node: Any, **known_later: Any) -> Any:
    """Instantiate a node of the config; lists and dicts reach constructors as plain containers.

    Raises:
        UserError: text where a constructor of ours expects a number.
    """
    _check_numbers(node)
    return instantiate(node, _convert_="all", **known_later)


def _check_numbers(node: Any) -> None:
    """Refuse text where the constructor's signature says int or float."""
    if not isinstance(node, DictConfig):
        return
    target = str(node.get("_target_") or "")
    ours = target.startswith("vaelab.")
    parameters = inspect.signature(get_object(target)).parameters if ours else {}
    for key, value in node.items():
        _check_numbers(value)
        expected = parameters[str(key)].annotation if key in parameters else None
        require(
            expected not in (int, float) or not isinstance(value, str),
            f"{node._get_full_key(str(key))} expects a number, got {value!r}; see --cfg job for "
            "what is usual.",
        )


def warn_of_unfinished(cfg: DictConfig) -> None:
    """Say so where the run, or something that moves, ends at another step than typed."""
    if cfg.trainer.max_steps < cfg.num_steps:
        log.warning(
            "trainer.max_steps=%s, as of trainer=quick, ends the run before num_steps=%s",
            f"{cfg.trainer.max_steps:,}", f"{cfg.num_steps:,}",
        )  # fmt: skip
    found = {"objective.num_steps": cfg.objective.get("num_steps", 0)}
    if "kl_penalty" in cfg.objective:
        found["kl_penalty.num_steps"] = cfg.kl_penalty.get("num_steps", 0)
    if cfg.lr_scheduler is not None:
        milestones = cfg.lr_scheduler.get("milestones") or [0]
        found["lr_scheduler.milestones"] = max(milestones)
    for name, steps in found.items():
        if steps > cfg.num_steps:
            log.warning(
                "%s reaches to step %s, but the run ends at num_steps=%s: it will not be finished",
                name, f"{steps:,}", f"{cfg.num_steps:,}",
            )  # fmt: skip


def build_data(cfg: DictConfig) -> ImageDataModule:
    """The data module of a config."""
    return ImageDataModule(
        build(cfg.data),
        batch_size=cfg.batch_size,
        eval_batch_size=cfg.eval_batch_size,
        pixels=cfg.pixels,
        replacement=cfg.replacement,
        seed=cfg.seed,
        num_steps=cfg.trainer.max_steps,
    )


def build_model(cfg: DictConfig, image_shape: tuple[int, int, int]) -> VAE:
    """The VAE of a config for images (C, H, W); draws its weights from torch's generator."""
    return VAE(
        image_shape,
        cfg.latent_dim,
        encoder=build(cfg.model.encoder),
        decoder=build(cfg.model.decoder),
        posterior=build(cfg.posterior),
        prior=build(cfg.prior),
        likelihood=build(cfg.likelihood),
        init=cfg.init,
    )


def build_objective(cfg: DictConfig, num_train: int) -> Objective:
    """The objective of a config, for num_train training images.

    Those that are `_partial_` in the config depend on the number of images and get it here.

    Raises:
        UserError: a kl_penalty was chosen that the objective would not use.
    """
    constant = cfg.kl_penalty._target_.endswith(".Constant")
    name = cfg.objective._target_.rpartition(".")[2]
    require(
        constant or "kl_penalty" in cfg.objective,
        f"kl_penalty= moves the cost of the KL, got it with objective {name}, which has no such cost "
        "to move; leave kl_penalty= out, or use objective=beta_vae.",
    )
    objective = build(cfg.objective)
    return objective(num_train=num_train) if isinstance(objective, partial) else objective


def build_training_module(
    cfg: DictConfig, model: VAE, objective: Objective, data: ImageDataModule
) -> TrainingModule:
    """The training module of a config, its targets checked and itself compiled if asked."""
    check_support(model, data)
    objective.check_model(model)
    module = TrainingModule(
        model,
        objective,
        build(cfg.optimizer),
        lr_scheduler=build(cfg.lr_scheduler),
        seed=cfg.seed,
        channels_last=cfg.channels_last,
        config=to_container(cfg),
    )
    if cfg.compile:
        # The whole objective in one graph, so that the likelihood's arithmetic is fused as well. In
        # place, so that the names in checkpoints stay the same, and with eager's random numbers.
        torch._inductor.config.fallback_random = True
        compile_objective(objective, model)
    return module


def compile_objective(objective: Objective, model: VAE, **options: Any) -> None:
    """Compile the objective in place, with torch.compile's options."""
    # Torch looks for the closed form of a KL at its first use, which can't be traced.
    if model.posterior.has_density:
        kl_divergence(*model.distributions())
    objective.compile(**options)


def build_trainer(cfg: DictConfig, callbacks: list[pl.Callback], loggers: list) -> pl.Trainer:
    """Lightning's Trainer of a config."""
    check_trainer(cfg)
    if cfg.trainer.accelerator == "cpu":
        # Lightning has torch ask NVML whether there is a GPU, and every optimiser step asks: where
        # there is none that is a search of the disk for its library, a quarter of a millisecond.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    torch.set_float32_matmul_precision(cfg.float32_matmul)
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        # Lightning's way of requeueing saves where no resumed run of ours looks.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return build(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers,
        plugins=plugins,
        default_root_dir=None,
    )


def build_all(group: DictConfig | None, folder: RunFolder) -> list[Any]:
    """The members of a group of which many may be chosen (callbacks, loggers).

    Those that are `_partial_` in the config write into the run folder and get it here.
    """
    built = [build(node) for node in (group or {}).values() if node is not None]
    return [item(folder) if isinstance(item, partial) else item for item in built]


def build_metrics(group: DictConfig | None) -> dict[str, AnyMetric]:
    """The chosen metrics by name."""
    return {str(name): build(node) for name, node in (group or {}).items() if node is not None}


def metrics_callback(
    cfg: DictConfig, folder: RunFolder, *, has_factors: bool, has_density: bool
) -> list[Metrics]:
    """The callback that computes `cfg.metrics` during training; none where none are chosen.

    Raises:
        UserError: a metric that the data or the posterior does not allow, or that compares runs.
    """
    metrics = build_metrics(cfg.metrics)
    require_applicable(metrics, has_factors, has_density)
    sweeping = [name for name, metric in metrics.items() if isinstance(metric, MultiRunMetric)]
    require(
        not sweeping,
        f"metrics= of a run in training expects metrics of one model, got {', '.join(sweeping)}, "
        "which compares runs; use it with evaluate on the folder of the sweep.",
    )
    of_a_model = {n: metric for n, metric in metrics.items() if isinstance(metric, Metric)}
    configs = to_container(cfg)["metrics"]
    every = cfg.metrics_every_n_steps
    return [Metrics(folder, of_a_model, configs, every)] if of_a_model else []


def check_trainer(cfg: DictConfig) -> None:
    """Refuse trainer settings that would not do what they say.

    Raises:
        UserError: 16-bit floats on a CPU, accumulated gradients, clipping that AMP can't do.
    """
    trainer = cfg.trainer
    precision, on_cpu = str(trainer.precision), trainer.accelerator == "cpu"
    if on_cpu and precision in ("16", "16-mixed", "16-true"):
        raise UserError(
            f"trainer.precision={precision} expects a GPU, got trainer.accelerator=cpu; use "
            "trainer.precision=bf16-mixed or trainer=gpu."
        )
    mixed = precision in ("16-mixed", "bf16-mixed")
    if mixed and trainer.gradient_clip_val and cfg.optimizer.get("fused"):
        raise UserError(
            f"gradient clipping in {precision} precision expects an unfused optimiser, got "
            "optimizer.fused=true; set optimizer.fused=false."
        )
    accumulate = trainer.get("accumulate_grad_batches") or 1
    require(
        accumulate == 1,
        f"a batch is one optimiser step here, got trainer.accumulate_grad_batches={accumulate}; "
        "use a larger batch_size.",
    )
    if trainer.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("trainer=gpu expects a CUDA device, got none; use trainer=cpu.")


def check_support(model: VAE, data: ImageDataModule) -> None:
    """Refuse targets outside the likelihood's support, seen on training images as trained on."""
    train = data.splits.train
    positions = torch.arange(min(NUM_CHECKED, len(train)))
    x = data.train_batch(0) if data.pixels == "dynamic" else train.take(positions)
    model.likelihood.check_support(x)

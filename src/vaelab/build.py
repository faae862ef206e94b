"""From a config to objects: the only caller of hydra's instantiate."""

import inspect
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from vaelab import config_checks
from vaelab.data.datamodule import ImageDataModule
from vaelab.data.factors import Factors
from vaelab.distributions import kl_divergence
from vaelab.errors import UserError, require
from vaelab.metrics import AnyMetric, Metric, MultiRunMetric, require_applicable
from vaelab.metrics.base import find_inapplicable, require_factors
from vaelab.models import VAE, Condition
from vaelab.objectives import Objective
from vaelab.runs import config_types
from vaelab.runs.config import to_container
from vaelab.runs.folder import RunFolder
from vaelab.seeding import derive_seed
from vaelab.training.callbacks import AtomicCheckpointIO, Metrics
from vaelab.training.module import TrainingModule

log = logging.getLogger(__name__)

NUM_AT_ONCE = 1000  # images that are checked, or taken for the initial sigma, at once


@dataclass(frozen=True)
class RunParts:
    """What a config trains, on which data: the objects of `build_run`."""

    data: ImageDataModule
    model: VAE
    objective: Objective
    module: TrainingModule


def build_run(cfg: DictConfig) -> RunParts:
    """The data, model, objective and training module of a config.

    Weights are drawn from the stream ("init", seed), so that they depend on the config alone. What
    the likelihood takes from the data (its initial sigma) is set here, before training.

    Raises:
        UserError: a setting that is out of range, or settings that can't be combined.
    """
    config_checks.check_settings(cfg)
    evaluation = build_metrics(cfg.get("evaluation"))  # whose mistakes would show too late
    data = build_data(cfg)
    try:
        num_train = len(data.splits.train)  # loads the data
    except UserError as error:
        raise with_path(error, "data", cfg) from error
    if data.splits.factors is not None:
        require_factors(evaluation, data.splits.factors)
    config_checks.check_batch_size(cfg.batch_size, num_train, replacement=cfg.replacement)
    torch.manual_seed(derive_seed("init", cfg.seed))
    model = build_model(cfg, data.image_shape, data.classes.sizes if data.classes else ())
    if model.condition is not None:
        model.condition.set_prior(data.known_classes)
    objective = build_objective(cfg, num_train, data.num_labelled)
    module = build_training_module(cfg, model, objective, data)
    for sentence in find_inapplicable(evaluation, data.splits.factors, model):
        log.warning("after training a metric will be left out: %s", sentence)
    model.likelihood.initialize(data.first_images(NUM_AT_ONCE))
    return RunParts(data, model, objective, module)


def build(node: Any, **known_later: Any) -> Any:
    """Instantiate a node of the config; lists and dicts reach constructors as plain containers.

    Constructors name their bare arguments in errors; here the path in the config is put before
    them: "beta expects ..." becomes "objective.beta expects ...".

    Raises:
        UserError: a value of the wrong type, or one that the constructor rejects.
    """
    config_types.check_types(node)
    try:
        built = instantiate(node, _convert_="all", **known_later)
    except InstantiationException as error:
        path = re.search(r"full_key: (\S+)", str(error))
        if not isinstance(error.__cause__, UserError) or path is None:
            raise
        raise with_path(error.__cause__, path[1], node) from error
    if isinstance(built, partial) and isinstance(node, DictConfig):
        return partial(_build_later, built, node)
    return built


def _build_later(constructor: partial, node: DictConfig, *args: Any, **known: Any) -> Any:
    """Call a `_partial_` constructor, with the same errors as `build`."""
    path = str(node._get_full_key(None))
    try:
        return constructor(*args, **known)
    except UserError as error:
        raise with_path(error, path, node) from error
    except (TypeError, ValueError) as error:
        if node._target_.startswith("vaelab."):
            raise
        raise UserError(
            f"{path} expects settings that {node._target_} accepts, got: {error}; `--cfg job -p "
            f"{path}` shows them."
        ) from error


def with_path(error: UserError, path: str, cfg: DictConfig) -> UserError:
    """The error with `path` before its first word, where that is an argument of what is there."""
    node = OmegaConf.select(cfg._get_root(), path)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return error
    argument, _, rest = str(error).partition(" ")
    if argument not in inspect.signature(get_object(node._target_)).parameters:
        return error
    key = config_types.source_of(node, argument) if argument in node else f"{path}.{argument}"
    return UserError(f"{key} {rest}")


def build_data(cfg: DictConfig) -> ImageDataModule:
    """The data module of a config."""
    objective = get_object(cfg.objective._target_)
    return ImageDataModule(
        build(cfg.data),
        batch_size=cfg.batch_size,
        eval_batch_size=cfg.eval_batch_size,
        pixels=cfg.pixels,
        replacement=cfg.replacement,
        seed=cfg.seed,
        num_steps=cfg.trainer.max_steps,
        condition=None if cfg.condition is None else build(cfg.condition),
        labels=build(cfg.labels),
        semi_supervised=getattr(objective, "uses_unlabelled", False),
    )


def build_model(
    cfg: DictConfig, image_shape: tuple[int, int, int], class_sizes: Sequence[int] = ()
) -> VAE:
    """The VAE of a config for images (C, H, W); draws its weights from torch's generator.

    class_sizes: of a conditional model, numbers of values of the factors of a class.
    """
    chosen, condition = cfg.condition, None
    if chosen is not None:
        condition = Condition(class_sizes, encoder=chosen.encoder, decoder=chosen.decoder)
    return VAE(
        image_shape,
        cfg.latent_dim,
        encoder=build(cfg.model.encoder),
        decoder=build(cfg.model.decoder),
        posterior=build(cfg.posterior),
        prior=build(cfg.prior),
        likelihood=build(cfg.likelihood),
        init=cfg.init,
        condition=condition,
        classifier=chosen is not None and chosen.classifier,
    )


def build_objective(cfg: DictConfig, num_train: int, num_labelled: int = 0) -> Objective:
    """The objective of a config, for num_train training images, of which num_labelled have labels.

    Those that are `_partial_` in the config depend on these numbers and get them here.

    Raises:
        UserError: a kl_penalty was chosen that the objective would not use.
    """
    config_checks.check_kl_penalty(cfg.objective, cfg.kl_penalty)
    objective = build(cfg.objective)
    if not isinstance(objective, partial):
        return objective
    numbers = {"num_train": num_train}
    if getattr(get_object(cfg.objective._target_), "uses_unlabelled", False):
        numbers["num_labelled"] = num_labelled
    return objective(**numbers)


def build_training_module(
    cfg: DictConfig, model: VAE, objective: Objective, data: ImageDataModule
) -> TrainingModule:
    """The training module of a config, its targets checked and itself compiled if asked."""
    for images in data.images_to_check():
        model.likelihood.check_support(images)
    objective.check_model(model)
    optimizer, lr_scheduler = build(cfg.optimizer), build(cfg.lr_scheduler)
    _try_optimizer(optimizer, lr_scheduler)
    module = TrainingModule(
        model,
        objective,
        optimizer,
        lr_scheduler=lr_scheduler,
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


def _try_optimizer(optimizer: Any, lr_scheduler: Any) -> None:
    """Have torch check the settings now, and not when training starts."""
    built = optimizer([torch.nn.Parameter(torch.zeros(1))])
    if lr_scheduler is not None:
        lr_scheduler(built)


def compile_objective(objective: Objective, model: VAE, **options: Any) -> None:
    """Compile the objective in place, with torch.compile's options."""
    # Torch looks for the closed form of a KL at its first use, which can't be traced.
    if model.posterior.has_density:
        kl_divergence(*model.distributions())
    objective.compile(**options)


def build_trainer(cfg: DictConfig, callbacks: list[pl.Callback], loggers: list) -> pl.Trainer:
    """Lightning's Trainer of a config."""
    config_checks.check_trainer(cfg)
    if cfg.trainer.accelerator == "cpu":
        # Lightning has torch ask NVML whether there is a GPU, and every optimiser step asks: where
        # there is none that is a search of the disk for its library, a quarter of a millisecond.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    torch.set_float32_matmul_precision(cfg.float32_matmul)
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        # Lightning's way of requeueing saves where a resumed run does not look.
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
    built = [build(node) for node in _chosen(group).values()]
    return [item(folder) if isinstance(item, partial) else item for item in built]


def build_metrics(group: DictConfig | None) -> dict[str, AnyMetric]:
    """The chosen metrics by name."""
    return {name: build(node) for name, node in _chosen(group).items()}


def _chosen(group: DictConfig | None) -> dict[str, DictConfig]:
    """The members of a group by name, without those set to null."""
    if group is None:
        return {}
    members = {str(name): node for name, node in group.items() if node is not None}
    for name, node in members.items():
        require(
            isinstance(node, DictConfig),
            f"{group._get_full_key(name)} expects the settings of an option, got {node}; choose "
            "options of its group by their names.",
        )
    return members


def metrics_callback(
    cfg: DictConfig, folder: RunFolder, *, factors: Factors | None, model: VAE
) -> list[Metrics]:
    """The callback that computes `cfg.metrics` during training; none where none are chosen.

    Raises:
        UserError: a metric that the data or the posterior does not allow, or that compares runs.
    """
    metrics = build_metrics(cfg.metrics)
    require_applicable(metrics, factors, model)
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

"""Training as Lightning runs it; knows no objective, likelihood or data set by name."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vaelab.distributed import split_over_processes
from vaelab.elbo import elbo_terms
from vaelab.elbo_statistics import ElboStatistics
from vaelab.errors import UserError, require
from vaelab.models import VAE
from vaelab.objectives import Objective
from vaelab.seeding import random_stream, seed_device
from vaelab.training.running_means import RunningMeans

Batch = Tensor | Sequence[Tensor]
OptimizerBuilder = Callable[[Iterable[dict[str, Any]]], Optimizer]


class TrainingModule(pl.LightningModule):
    """Minimises an objective, watches that it stays finite, and evaluates the ELBO.

    Logged: `train/<term>`, every `trainer.log_every_n_steps`, is the mean over the steps since the
    last log of a term of the objective or of the likelihood's state (sigma); with a scheduler,
    `train/lr` is the rate of the last of them. `val/` and `test/` hold `ElboStatistics`, in float32
    whatever the precision of training, with noise that is the same at every evaluation: it is drawn
    batch by batch, so that another size of the batches is another draw of it. Those of a
    conditional model are of log p(x|y). With a classifier there are also `error`, the share of
    images that q(y|x) gets wrong, and `label_log_prob`, the mean log q(y|x) of the label in nats.

    Batches are those of `ImageDataModule` or of any DataLoader: images (B, C, H, W), or a list
    (images, labels, ...), of which a conditional model uses the labels. Every image of a batch has
    the same weight in the loss, and in `val/` every image of the data set. The noise of training is
    a function of the seed and the trainer's step.

    Args:
        model: the VAE.
        objective: what is minimised.
        optimizer: builds the one optimiser from groups of parameters, the model's first.
        lr_scheduler: builds what moves the learning rate at each step; None keeps it.
        seed: of the noise in training.
        channels_last: store convolutions' activations channel by channel (same numbers, faster).
        config: the resolved config as plain containers, kept in every checkpoint.

    Attributes:
        last_checkpoint: the newest checkpoint and its step, as text.
        evaluated: split -> (step, metrics) of its newest evaluation.
    """

    def __init__(
        self,
        model: VAE,
        objective: Objective,
        optimizer: OptimizerBuilder,
        lr_scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        seed: int = 0,
        channels_last: bool = False,
        config: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.model, self.objective = model, objective
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.seed, self.config = seed, config or {}
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.last_checkpoint: str | None = None
        self.evaluated: dict[str, tuple[int, dict[str, float]]] = {}
        self._means = RunningMeans()
        self._restored_means: dict[str, Any] = {}

    def configure_optimizers(self) -> Any:
        groups = [*self.model.parameter_groups(), *self.objective.parameter_groups()]
        optimizer = self.optimizer(groups)
        if self.lr_scheduler is None:
            return optimizer
        scheduler = {"scheduler": self.lr_scheduler(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_fit_start(self) -> None:
        self._means = RunningMeans(self.device)
        self._means.load_state_dict(self._restored_means)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = self._images(batch, batch_idx), self._classes(batch, batch_idx)
        trainer = self.trainer
        step = trainer.global_step
        seed_device(self.device, "noise", self.seed, step)
        with split_over_processes(trainer.global_rank, trainer.world_size):
            if self.objective.needs_labels:
                terms = self.objective(self.model, x, step, y)
            else:
                terms = self.objective(self._model_of(y), x, step)
        self._means.update(terms | self.model.likelihood.state(), step)
        if self.device.type == "cpu":
            self.check_finite()  # nothing to wait for; on a GPU this would stop the queue
        if (step + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.check_finite()
            self._means.sums = trainer.strategy.reduce(self._means.sums, reduce_op="mean")
            values = self._means.compute()
            if self.lr_scheduler is not None:
                values["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
            self._log("train", values, step + 1)
        return terms["loss"]

    def check_finite(self) -> None:
        """Stop the run if a term of any step so far was NaN or infinite.

        Raises:
            UserError: naming the step, the term and the last good checkpoint.
        """
        bad = self._means.first_nonfinite()
        if bad is None:
            return
        step, name, value = bad
        kept = self.last_checkpoint or "none, the run stopped before its first"
        raise UserError(
            f"training expects finite terms, got {name} = {value} at step {step}; last good "
            f"checkpoint: {kept}. Lower optimizer.lr, set trainer.gradient_clip_val, or train with "
            "trainer.precision=32-true."
        )

    def on_validation_epoch_start(self) -> None:
        self._start_evaluation()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, batch_idx, "val")

    def on_validation_epoch_end(self) -> None:
        self._finish_evaluation("val")

    def on_test_epoch_start(self) -> None:
        self._start_evaluation()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, batch_idx, "test")

    def on_test_epoch_end(self) -> None:
        self._finish_evaluation("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.check_finite()
        checkpoint["config"] = self.config
        checkpoint["image_shape"] = list(self.model.image_shape)
        condition = self.model.condition
        checkpoint["class_sizes"] = [] if condition is None else list(condition.sizes)
        checkpoint["train_means"] = self._means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored_means = checkpoint.get("train_means", {})

    def _images(self, batch: Batch, batch_idx: int) -> Tensor:
        """The images of a batch.

        Raises:
            UserError: they have another shape or type than the model's, or the first batch has
                pixels outside the support of the likelihood.
        """
        x: Any = batch[0] if isinstance(batch, list | tuple) and batch else batch
        dtype = next(self.model.parameters()).dtype
        shape = ", ".join(map(str, self.model.image_shape))
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        expected = f"a batch expects images (B, {shape}) of {dtype}, alone or before labels, got"
        require(isinstance(x, Tensor), f"{expected} {got}; have the DataLoader return tensors.")
        require(
            x.ndim == 4 and x.shape[1:] == self.model.image_shape,
            f"{expected} {got}; reshape the images, or build the model for their shape.",
        )
        advice = "divide bytes by 255" if x.dtype == torch.uint8 else f"convert them to {dtype}"
        require(x.dtype == dtype, f"{expected} {got}; {advice}.")
        if batch_idx == 0 and dtype in (torch.float32, torch.float64):
            self.model.likelihood.check_support(x)  # once, since a GPU waits for the answer
        images: Tensor = x
        return images

    def _classes(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """The classes of a batch, of which training may not know all; None if unconditional.

        Raises:
            UserError: a batch without classes, or class numbers that the model doesn't have.
        """
        condition = self.model.condition
        if condition is None:
            return None
        y: Any = batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
        require(
            isinstance(y, Tensor) and y.shape == batch[0].shape[:1],
            "a batch for a conditional model expects images (B, C, H, W) and class numbers (B,), "
            f"got {'no class numbers' if y is None else tuple(getattr(y, 'shape', ()))}; have the "
            "DataLoader return both.",
        )
        if batch_idx == 0 or y.device.type == "cpu":  # not at each step of a GPU, which waits
            known = y[y >= 0] if self.objective.uses_unlabelled and self.training else y
            condition.require_classes(known)
        return y.long()

    def _model_of(self, y: Tensor | None) -> VAE:
        """The model of images of the classes y."""
        return self.model if y is None else self.model.given(y)

    def _start_evaluation(self) -> None:
        self._classified = torch.zeros(3, dtype=torch.float64, device=self.device)
        self._statistics = ElboStatistics(
            self.model.latent_dim,
            self.model.num_pixels,
            self.device,
            has_kl=self.model.posterior.has_density,
        )

    def _evaluate(self, batch: Batch, batch_idx: int, split: str) -> None:
        x, y = self._images(batch, batch_idx), self._classes(batch, batch_idx)
        # Of the whole data set: the same noise for any number of processes.
        number = self.trainer.global_rank + batch_idx * self.trainer.world_size
        with (
            random_stream("evaluation", split, number),
            torch.autocast(self.device.type, enabled=False),
        ):
            self._statistics.update(elbo_terms(self._model_of(y), x))
            if self.model.classifier is not None:
                assert y is not None
                q_y = self.model.classify(x)
                wrong, log_prob = (q_y.logits.argmax(-1) != y).sum(), q_y.log_prob(y).sum()
                self._classified += torch.stack([wrong.new_tensor(len(y)), wrong, log_prob])

    def _finish_evaluation(self, split: str) -> None:
        statistics = self._statistics
        statistics.sums = self.trainer.strategy.reduce(statistics.sums, reduce_op="sum")
        values, step = statistics.compute(), self.trainer.global_step
        if self.model.classifier is not None:
            sums = self.trainer.strategy.reduce(self._classified, reduce_op="sum")
            num, wrong, log_prob = sums.tolist()
            values |= {"error": wrong / num, "label_log_prob": log_prob / num}
        self.evaluated[split] = (step, {f"{split}/{name}": v for name, v in values.items()})
        self._log(split, values, step)

    def _log(self, stage: str, values: dict[str, float], step: int) -> None:
        """To the loggers at the number of steps done, and to the progress bar and callbacks."""
        named = {f"{stage}/{name}": value for name, value in values.items()}
        if self.trainer.is_global_zero:
            for logger in self.trainer.loggers:
                logger.log_metrics(named, step)
        # The loss, or the first of `ElboStatistics`: the ELBO, and where there is none, the
        # reconstruction.
        shown = "train/loss" if stage == "train" else next(iter(named))
        self.log(shown, named.pop(shown), prog_bar=True, logger=False)
        if stage != "train":
            self.log_dict(named, logger=False)

"""The codes of a trained model as data of another: the second half of M1+M2."""

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import require, require_range
from vaelab.load import Run, load_run

BATCH_SIZE = 1000


class Codes:
    """Images x = z ~ q(z|image) of a finished run, drawn again at each step of training.

    The splits, labels and factors are those of the run's data. Validation and test have the means
    of q(z|image). Latents that the run left unused are dropped, since a model of them models noise.
    Kingma et al. 2014, "Semi-supervised learning with deep generative models", sec. 2.1 (number not
    checked), https://arxiv.org/abs/1406.5298, whose M1+M2 is the objective M2 on these.

    Args:
        run: the run folder.
        checkpoint: "last" or "best".
        min_std: smallest standard deviation over the training images of a latent's mean that is
            kept; the paper's code has 0.1.
        run_data_root: where the data of the run is stored now, if it has moved since training.

    Raises:
        UserError: no run, or a negative min_std.
    """

    name: ClassVar[str] = "codes"

    def __init__(
        self,
        run: str | Path | None,
        checkpoint: str = "last",
        min_std: float = 0.1,
        run_data_root: str | None = None,
    ):
        require(run is not None, "run expects the folder of a finished run, got none; set it.")
        require_range("min_std", min_std, at_least=0, example=0.1)
        self.run, self.checkpoint, self.min_std = str(run), checkpoint, min_std
        self.run_data_root = run_data_root

    def load(self) -> Splits:
        """Codes (1, 1, D) of the D latents that are used.

        Raises:
            UserError: the run can't be loaded, its codes are not numbers that vary, or its model
                is conditional.
        """
        run = load_run(self.run, self.checkpoint, data_root=self.run_data_root)
        name = type(run.model.posterior).__name__
        require(
            run.model.posterior.has_density and not run.model.posterior.is_discrete,
            f"run expects a model with continuous latents that have a density, got {name} in "
            f"{self.run}; use a run with posterior=gaussian.",
        )
        require(
            run.model.condition is None,
            f"run expects an unconditional model, got one of p(x|y) in {self.run}; use a run with "
            "condition=none.",
        )
        return encode_splits(run, self.min_std)


def encode_splits(run: Run, min_std: float) -> Splits:
    """The splits of a run's data, with means and standard deviations of q(z|x) in their images.

    Raises:
        UserError: no latent varies by min_std.
    """
    splits = run.data.splits
    encoded: dict[int, tuple[Tensor, Tensor]] = {}
    for part in (splits.train, splits.val, splits.test):
        if part is not None and id(part.images) not in encoded:
            encoded[id(part.images)] = _encode(run, part.images)
    means = encoded[id(splits.train.images)][0]
    used = means if splits.train.index is None else means[splits.train.index]
    kept = (used.std(0) > min_std).nonzero().flatten()
    require(
        len(kept) > 0,
        f"min_std expects latents whose means vary by more, got {used.std(0).max():.3g} at most "
        f"where it is {min_std}; lower it, or use a run that has not collapsed.",
    )
    shape = (1, 1, len(kept))
    images = {
        number: Images(mean[:, kept].contiguous(), shape, deviations=std[:, kept].contiguous())
        for number, (mean, std) in encoded.items()
    }

    def subset(part: Subset) -> Subset:
        return Subset(images[id(part.images)], part.index, part.labels)

    return Splits(
        subset(splits.train),
        subset(splits.val),
        None if splits.test is None else subset(splits.test),
        factors=splits.factors,
        checksum=f"{splits.checksum}-{run.weights_digest}-{min_std}",
        class_names=splits.class_names,
    )


def _encode(run: Run, images: Images) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of q(z|x) of all images: two (N, L)."""
    parts = []
    for rows in torch.arange(len(images)).split(BATCH_SIZE):
        q_z = run.model.encode(images.take(rows))
        parts.append(torch.stack([q_z.mean, q_z.stddev]))
    mean, std = torch.cat(parts, 1)
    return mean, std

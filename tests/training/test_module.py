"""Training on the batches of any DataLoader, as a user of Lightning writes it."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from vaelab.data.datamodule import ImageDataModule
from vaelab.data.images import Images, Splits, Subset
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.objectives import BetaVAE
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal
from vaelab.seeding import random_stream
from vaelab.training.module import TrainingModule

# Hints on worker processes and on what is not given, as Lightning has them for any module.
pytestmark = pytest.mark.filterwarnings(
    "ignore::lightning_fabric.utilities.warnings.PossibleUserWarning"
)

X = torch.randint(256, (50, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
GREY = X.float() / 255
LABELS = torch.arange(50) % 10


def training_module(seed=0):
    torch.manual_seed(0)
    networks = (partial(MLPEncoder, hidden=(8,)), partial(MLPDecoder, hidden=(8,)))
    model = VAE((1, 4, 4), 3, *networks, Gaussian, StandardNormal, Bernoulli())
    objective = BetaVAE(beta=2.0, kl_penalty=Constant())
    return TrainingModule(model, objective, partial(torch.optim.Adam, lr=1e-2), seed=seed)


@pytest.fixture
def trainer(tmp_path):
    def new(**options):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
        quiet |= {"enable_progress_bar": False, "accelerator": "cpu", "max_steps": 12}
        return pl.Trainer(default_root_dir=tmp_path, **quiet | options)

    return new


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.model.parameters()])


def loader(*tensors, batch_size=16):
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size)


def test_a_data_loader_trains_with_and_without_labels(trainer):
    """Epochs of 4 batches, the last of 2 images: the same as a loop by hand."""
    expected = training_module()
    (optimizer,) = [expected.configure_optimizers()]
    for step in range(12):
        x = GREY.split(16)[step % 4]
        with random_stream("noise", 0, step):
            loss = expected.objective(expected.model, x, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for tensors in ((GREY,), (GREY, LABELS)):
        trained = training_module()
        trainer().fit(trained, loader(*tensors))
        assert torch.equal(weights(trained), weights(expected))

    class Bare(TensorDataset):  # x alone, and not in a list
        def __getitem__(self, i):
            return self.tensors[0][i]

    trained = training_module()
    trainer().fit(trained, DataLoader(Bare(GREY), batch_size=16))
    assert torch.equal(weights(trained), weights(expected))


def test_validation_of_a_data_loader_is_the_mean_over_its_images(trainer):
    module = training_module()
    trainer().validate(module, loader(GREY, LABELS), verbose=False)
    _, values = module.evaluated["val"]
    elbo = []
    for number, x in enumerate(GREY.split(16)):
        with random_stream("evaluation", "val", number), torch.no_grad():
            terms = elbo_terms(module.model, x)
        elbo.append(-(terms.reconstruction + terms.kl))
    assert values["val/elbo"] == pytest.approx(torch.cat(elbo).double().mean().item(), rel=1e-6)
    watched = trainer()
    watched.fit(module, loader(GREY), loader(GREY))
    trainer().test(module, loader(GREY), verbose=False)
    assert module.evaluated["val"][0] == 12
    assert watched.callback_metrics["val/elbo"] > values["val/elbo"] + 0.1
    assert module.evaluated["test"][1]["test/elbo"] > values["val/elbo"] + 0.1


def test_a_data_loader_and_the_data_module_give_the_same_validation(trainer):
    images = Images(X.flatten(1), (1, 4, 4))
    splits = Splits(Subset(images), Subset(images))
    data = ImageDataModule(SimpleNamespace(load=lambda: splits), eval_batch_size=16)
    module = training_module()
    trainer().validate(module, datamodule=data, verbose=False)
    _, own = module.evaluated["val"]
    trainer().validate(module, loader(GREY), verbose=False)
    assert module.evaluated["val"][1] == own
    assert "val/elbo" in own


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (X, r"of torch.float32, .* got torch.uint8 \(50, 1, 4, 4\); divide bytes by 255\.$"),
        (GREY.double(), r"got torch.float64 .*; convert them to torch.float32\.$"),
        (GREY[:, 0], r"\(B, 1, 4, 4\) of .* got torch.float32 \(50, 4, 4\); reshape"),
        (GREY[..., :3], r"got torch.float32 \(50, 1, 4, 3\); reshape"),
        ([LABELS, GREY], r"got torch.int64 \(50,\); reshape"),
        ({"image": GREY}, "got dict; have the DataLoader return tensors"),
        ([], "got list; have the DataLoader return tensors"),
        (np.zeros((5, 1, 4, 4)), "got ndarray; have the DataLoader return tensors"),
        (X.float(), r"^Bernoulli expects images in \[0, 1\], got a maximum of 255"),
    ],
)
def test_other_batches_are_rejected_in_a_sentence(batch, message, trainer):
    class Batches:
        def __iter__(self):
            return iter([batch])

    with pytest.raises(UserError, match=message):
        trainer().fit(training_module(), Batches())
    with pytest.raises(UserError, match=message):
        trainer().validate(training_module(), Batches(), verbose=False)


def conditional_module(num_classes=10):
    networks = (partial(n, hidden=[8]) for n in (MLPEncoder, MLPDecoder))
    torch.manual_seed(0)
    model = VAE(
        (1, 4, 4),
        2,
        *networks,
        Gaussian,
        StandardNormal,
        Bernoulli(),
        condition=Condition((num_classes,)),
    )
    return TrainingModule(model, BetaVAE(1.0), partial(torch.optim.Adam, lr=1e-2))


def test_a_data_loader_gives_a_conditional_model_its_classes(trainer):
    trained, expected = conditional_module(), conditional_module()
    optimizer = expected.configure_optimizers()
    y = torch.arange(50) % 10
    for step in range(12):
        part = step % 4
        with random_stream("noise", 0, step):
            model = expected.model.given(y.split(16)[part])
            loss = expected.objective(model, GREY.split(16)[part], step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trainer().fit(trained, loader(GREY, y.int()))
    assert torch.equal(weights(trained), weights(expected))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((GREY,), r"^a batch for a conditional model expects .* got no class numbers; have the"),
        ((GREY, torch.zeros(50)), r"^y expects class numbers from 0 to 9, got torch.float32; give"),
        ((GREY, torch.zeros(50) > 0), r"^y expects class numbers from 0 to 9, got torch.bool"),
        ((GREY, torch.zeros(50, 1).long()), r"and class numbers \(B,\), got \(16, 1\); have the"),
        ((GREY, torch.full((50,), -1)), r"^y expects class numbers from 0 to 9, got -1; count"),
        ((GREY, torch.arange(50)), r"^y expects class numbers from 0 to 9, got 10; count"),
        ((GREY, torch.arange(50).clamp(40) - 39), r"^y expects .*, got 10; count from 0"),
    ],
)
def test_classes_that_a_conditional_model_does_not_have(tensors, message, trainer):
    """The last of them in the fourth batch."""
    with pytest.raises(UserError, match=message):
        trainer().fit(conditional_module(), loader(*tensors))
    with pytest.raises(UserError, match=message):
        trainer().validate(conditional_module(), loader(*tensors), verbose=False)

"""Two networks that learn in one step of one optimiser, in whole runs."""

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

WORDS = ("objective=factor_vae", "objective.hidden=[16,16]", "pixels=dynamic")


def test_step_counts_once_and_each_group_has_its_settings(run):
    calls = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: calls.append(optimizer))
    folder = run(*WORDS, "optimizer.lr=0.01")
    hook.remove()
    assert len(calls) == 12
    checkpoint = torch.load(folder.last_checkpoint, weights_only=True)
    assert checkpoint["global_step"] == 12
    (optimizer,) = checkpoint["optimizer_states"]
    of_model, of_discriminator = optimizer["param_groups"]
    assert (of_model["lr"], tuple(of_model["betas"])) == (0.01, (0.9, 0.999))
    assert (of_discriminator["lr"], tuple(of_discriminator["betas"])) == (1e-4, (0.5, 0.9))
    assert {state["step"].item() for state in optimizer["state"].values()} == {12.0}
    assert len(of_discriminator["params"]) == 6
    curve = folder.read_curve("train/discriminator_loss")
    assert list(curve) == [3, 6, 9, 12]
    assert folder.read_curve("train/total_correlation").keys() == curve.keys()


def test_model_starts_from_the_weights_of_the_vae(run):
    """The discriminator draws its own after it, so that runs of one seed compare."""
    losses = [
        run(*words, "num_steps=1", "trainer.log_every_n_steps=1", "pixels=dynamic", name=words[0])
        for words in (WORDS, ("objective=vae",))
    ]
    curves = [folder.read_curve("train/kl") for folder in losses]
    assert curves[0] == curves[1] != {}

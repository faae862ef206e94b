"""Runs with other priors and posteriors: they train, load as they were, and are shown."""

import numpy as np
import pytest
import torch

from vaelab.elbo import elbo_terms
from vaelab.load import load_run
from vaelab.report.explorer.page import show_explorer
from vaelab.report.run_record import read_run
from vaelab.seeding import random_stream

CHOICES = [
    ("posterior=iaf", "prior=flow", "prior.flow=nsf"),
    ("posterior=full_covariance", "prior=vamp", "prior.num_components=5"),
    ("posterior=gaussian", "prior=mixture"),
]


@pytest.mark.parametrize("words", CHOICES, ids="-".join)
def test_a_loaded_model_has_the_elbo_that_training_measured(words, run):
    folder = run(*words)
    loaded = load_run(folder.path)
    x = loaded.data.splits.val.take(torch.arange(len(loaded.data.splits.val)))
    assert len(x) <= loaded.config.eval_batch_size  # one batch, hence one stream of noise
    with random_stream("evaluation", "val", 0), torch.no_grad():
        terms = elbo_terms(loaded.model, x)
    elbo = -(terms.reconstruction + terms.kl).mean().item()
    assert elbo == pytest.approx(loaded.metrics["val/elbo"], rel=1e-5)
    code = loaded.encode(x.numpy())
    assert code.mean.shape == code.std.shape == (len(x), 3)
    assert (code.std > 0).all()
    assert np.isfinite(loaded.traverse(x[0].numpy(), values=[-1, 1])).all()
    np.testing.assert_array_equal(loaded.sample(4), loaded.sample(4))
    page = show_explorer(read_run(folder)).html
    assert "explorer-weights" in page
    assert "in their order, since no KL was measured" in page

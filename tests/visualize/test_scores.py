"""Figures of scores: drawn where the scores are known, ordered by activity."""

from dataclasses import replace

import pytest

from vaelab import build
from vaelab.data import DSprites
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.visualize.scores import KL_PARTS, draw_score_figures


@pytest.fixture
def encoded(compose, tmp_path):
    """A model of 3 latents on a small grid with factors."""
    splits = DSprites(tmp_path, image_size=16, factor_sizes=(3, 2, 1, 4, 4), num_val=10).load()
    cfg = compose("model=mlp", "model.hidden=[16]", "latent_dim=3")
    return EncodedDataset(build.build_model(cfg, (1, 16, 16)).eval(), splits)


def test_scores_are_drawn_where_they_are_known(encoded):
    names = [name for name, _ in draw_score_figures(encoded, {}, "step 1")]
    assert names == ["mutual_information"]
    scores = dict.fromkeys(KL_PARTS, 1.0)
    names = [name for name, _ in draw_score_figures(encoded, scores, "step 1")]
    assert names == ["mutual_information", "elbo_decomposition"]


def test_heat_map_is_ordered_by_kl_and_shows_the_information(encoded, monkeypatch):
    seen = {}

    def heat_map(mi, latents, factors, caption):
        seen.update(mi=mi, latents=latents, factors=factors)

    monkeypatch.setattr("vaelab.figures.plot_mutual_information", heat_map)
    list(draw_score_figures(encoded, {}, "step 1"))
    assert seen["mi"].shape == (3, 4)
    assert seen["factors"] == ("shape", "scale", "posX", "posY")
    assert sorted(name.partition(",")[0] for name in seen["latents"]) == ["z0", "z1", "z2"]
    kl = [float(name.partition("KL ")[2]) for name in seen["latents"]]
    assert kl == sorted(kl, reverse=True)
    assert (seen["mi"] >= 0).all()


def test_without_factors_there_is_no_heat_map(encoded):
    splits = replace(encoded.splits, factors=None)
    assert list(draw_score_figures(EncodedDataset(encoded.model, splits), {}, "step 1")) == []

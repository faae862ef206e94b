"""Seconds per metric on given codes of the size of dSprites, beside those of a peer if given."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vaelab import metrics
from vaelab.metrics import Metric
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import FactorDataset

from .measure import Row
from .peer import load_peer

SIZES, NAMES = (3, 6, 40, 32, 32), ("shape", "scale", "orientation", "posX", "posY")
METRICS: dict[str, Callable[..., Metric]] = {
    "beta_vae_score": metrics.BetaVAEScore,
    "factor_vae_score": metrics.FactorVAEScore,
    "mig": metrics.MIG,
    "sap": metrics.SAP,
    "modularity": metrics.Modularity,
    "irs": metrics.IRS,
    "unsupervised": metrics.Unsupervised,
    "dci": metrics.DCI,
}
# The score of ours that the peer's function returns, where a metric has several.
FIRST = {"dci": "dci_disentanglement", "unsupervised": "gaussian_total_correlation"}


class GivenCodes:
    """An encoded dataset with codes from a table instead of an encoder."""

    def __init__(self, codes: NDArray[np.float32], factors: NDArray[np.int64]):
        self.table, self.images = codes, range(len(codes))
        self.all = FactorDataset.of(codes, factors, NAMES)
        self.factors, self.factor_names = factors, NAMES

    def factor_dataset(self, codes: str, rng: np.random.Generator) -> FactorDataset:
        return self.all

    def codes(self, rows: NDArray[np.int64], codes: str, rng: np.random.Generator) -> Any:
        return self.table[rows]


def make_entangled_codes() -> GivenCodes:
    """Ten codes on the grid of dSprites: seven mix the factors with noise, three are inactive.

    They are about as entangled as those of a beta-VAE, so that fitting classifiers takes as long.
    """
    rng = np.random.default_rng(0)
    columns = np.unravel_index(np.arange(np.prod(SIZES)), SIZES)
    factors = np.stack(columns, axis=1)
    known = factors / (np.array(SIZES) - 1) * 2.0 - 1
    codes = np.tanh(1.5 * known @ rng.normal(0, 0.7, (5, 7)))
    codes += 0.1 * rng.standard_normal(codes.shape)
    inactive = 0.01 * rng.standard_normal((len(codes), 3))
    return GivenCodes(np.concatenate([codes, inactive], axis=1).astype(np.float32), factors)


def time_metrics(peer: Path | None, repeats: int, names: Sequence[str] = ()) -> list[Row]:
    """Seconds of each metric with and without intervals, and of the peer's, if there is one.

    Medians of `repeats` rounds in which all run in turn; dci, which takes minutes, runs once.

    Args:
        peer: a checkout of disentanglement_lib.
        repeats: rounds.
        names: the metrics, all by default.
    """
    given = make_entangled_codes()
    peers: dict[str, Callable[[], float]] = {} if peer is None else load_peer(peer, given)
    rows = []
    for name, metric in METRICS.items():
        if names and name not in names:
            continue
        bare = {"num_bootstrap": 0} | ({"num_blocks": 0} if name == "dci" else {})
        calls: dict[str, Callable[[], float]] = {
            "": partial(_score, name, metric(), given),
            "bare_": partial(_score, name, metric(**bare), given),
            "peer_": peers.get(name, lambda: math.nan),
        }
        times: dict[str, list[float]] = {who: [] for who in calls}
        row: Row = {"name": name}
        for _ in range(1 if name == "dci" else repeats):
            for who, call in calls.items():
                start = time.perf_counter()
                row[f"{who}value"] = call()
                times[who].append(time.perf_counter() - start)
        row |= {f"{who}seconds": statistics.median(found) for who, found in times.items()}
        rows.append(row)
    return rows


def _score(name: str, metric: Metric, given: GivenCodes) -> float:
    return float(metric(cast(EncodedDataset, given))[FIRST.get(name, name)])

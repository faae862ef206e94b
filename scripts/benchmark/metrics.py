"""Seconds per metric on given codes of the size of dSprites, beside those of a peer if given."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from vaelab import metrics
from vaelab.metrics import PrecomputedCodes, RepeatedMetric

from .measure import Row
from .peer import load_peer

SIZES, NAMES = (3, 6, 40, 32, 32), ("shape", "scale", "orientation", "posX", "posY")
METRICS: dict[str, Callable[..., RepeatedMetric]] = {
    "beta_vae_score": metrics.BetaVAEScore,
    "factor_vae_score": metrics.FactorVAEScore,
    "mig": metrics.MIG,
    "sap": metrics.SAP,
    "modularity": metrics.Modularity,
    "irs": metrics.IRS,
    "unsupervised": metrics.Unsupervised,
    "dci": metrics.DCI,
}
# Our score that the peer's function returns, where a metric has several.
FIRST = {"dci": "dci_disentanglement", "unsupervised": "gaussian_total_correlation"}


def make_entangled_codes() -> PrecomputedCodes:
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
    return PrecomputedCodes(
        np.concatenate([codes, inactive], axis=1).astype(np.float32), factors, NAMES
    )


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
        calls: dict[str, Callable[[], float]] = {
            "": partial(_score, name, metric(), given),
            "bare_": partial(_score, name, metric(num_repeats=0), given),
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


def _score(name: str, metric: RepeatedMetric, given: PrecomputedCodes) -> float:
    return float(metric(given)[FIRST.get(name, name)])

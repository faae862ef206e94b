"""The table of the metrics' seconds."""

import math

from vaelab.benchmark.scoring import METRICS, entangled_codes, scoring
from vaelab.benchmark.table import scoring_table
from vaelab.build import build_metrics


def test_a_row_has_the_value_of_the_metric_and_a_place_for_a_peer(compose):
    (row,) = scoring(None, 1, ["mig"])
    (metric,) = build_metrics(compose("metrics=[mig]").metrics).values()
    assert row["value"] == row["bare_value"] == float(metric(entangled_codes())["mig"])
    assert 0 < row["bare_seconds"] < row["seconds"]
    assert math.isnan(row["peer_value"])
    assert f"| mig | {row['seconds']:.2f} |" in scoring_table("Metrics", [row])


def test_all_metrics_of_the_study_are_measured(compose):
    assert set(compose("metrics=locatello").metrics) <= set(METRICS)

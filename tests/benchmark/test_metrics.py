"""The table of seconds per metric."""

import math

from benchmark.command import format_metric_times
from benchmark.metrics import METRICS, make_entangled_codes, time_metrics

from vaelab.build import build_metrics


def test_a_row_has_the_value_of_the_metric_and_a_place_for_a_peer(compose):
    (row,) = time_metrics(None, 1, ["mig"])
    (metric,) = build_metrics(compose("metrics=[mig]").metrics).values()
    assert row["value"] == row["bare_value"] == float(metric(make_entangled_codes())["mig"])
    assert 0 < row["bare_seconds"] < row["seconds"]
    assert math.isnan(row["peer_value"])
    assert f"| mig | {row['seconds']:.2f} |" in format_metric_times("Metrics", [row])


def test_all_metrics_of_the_study_are_measured(compose):
    assert set(compose("metrics=locatello").metrics) <= set(METRICS)

"""Prints deploy/prometheus/alerts.yaml as a PrometheusRule, for prometheusrule.yaml beside it.

promtool takes nothing but rules, and the Prometheus operator nothing but this: so one of
the two is made from the other, and a test keeps it current.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ALERTS = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yaml"


def prometheus_rule() -> str:
    """The text of ``prometheusrule.yaml``."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "spanmill"},
        "spec": yaml.safe_load(ALERTS.read_text(encoding="utf-8")),
    }
    origin = "# Made by `python scripts/prometheus_rule.py` from alerts.yaml; a test keeps it so.\n"
    return origin + yaml.safe_dump(rule, sort_keys=False, width=98)


if __name__ == "__main__":
    sys.stdout.write(prometheus_rule())

"""The Grafana dashboard, made from a short table of panels."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Row: panels; panel: title, unit, and what each line shows by its legend.
Panels = Sequence[tuple[str, str, Mapping[str, str]]]

ROWS: Mapping[str, Panels] = {
    "What is promised": (
        (
            "Share of the budget used an hour ago to now, 1 being all that is allowed",
            "percentunit",
            {
                "sales in statistics": "secondsight:sales_late:1h / 0.01",
                "listings answered": "secondsight:answers_late:1h / 0.01",
                "dead letters": "secondsight:dead_letters:1h / 0.001",
            },
        ),
        (
            "Lag, the worst partition",
            "s",
            {"{{topic}}": "max by (topic) (secondsight_lag_seconds)"},
        ),
        (
            "Dead letters",
            "cps",
            {
                "{{topic}}": "sum by (topic) (rate(secondsight_dead_letters_total[5m]))",
            },
        ),
    ),
    "Flow": (
        (
            "Read",
            "cps",
            {"{{topic}}": "sum by (topic) (rate(secondsight_records_consumed_total[1m]))"},
        ),
        (
            "Written",
            "cps",
            {"{{topic}}": "sum by (topic) (rate(secondsight_records_produced_total[1m]))"},
        ),
        (
            "Transactions",
            "cps",
            {"{{outcome}}": "sum by (outcome) (rate(secondsight_transactions_total[1m]))"},
        ),
        (
            "From taking a batch to its commit, 99 in 100",
            "s",
            {
                "{{component}}": "histogram_quantile(0.99, sum by (component, le) "
                "(rate(secondsight_transaction_seconds_bucket[5m])))"
            },
        ),
        (
            "Rebalances",
            "short",
            {"{{kind}}": "sum by (kind) (increase(secondsight_rebalances_total[5m]))"},
        ),
    ),
    "Statistics": (
        ("Sales", "cps", {"{{outcome}}": "sum by (outcome) (rate(secondsight_sales_total[1m]))"}),
        ("Listings enriched", "cps", {"": "sum(rate(secondsight_listings_enriched_total[1m]))"}),
        ("Restored", "percentunit", {"{{partition}}": "secondsight_restore_share"}),
        (
            "Checkpoints",
            "short",
            {"{{outcome}}": "sum by (outcome) (increase(secondsight_checkpoints_total[1h]))"},
        ),
    ),
    "Suggestions": (
        (
            "Answers",
            "cps",
            {
                "price": "sum(rate(secondsight_suggestions_total[1m]))",
                "photo: {{reason}}": "sum by (reason) (rate(secondsight_reuploads_total[1m]))",
            },
        ),
        (
            "How busy a stage is, 1 being always",
            "percentunit",
            {"{{stage}}": "sum by (stage) (rate(secondsight_stage_seconds_sum[1m]))"},
        ),
        (
            "Photos waiting or in hand",
            "short",
            {"{{stage}}": "sum by (stage) (secondsight_photos_in_stage)"},
        ),
        (
            "Photos fetched",
            "cps",
            {"{{outcome}}": "sum by (outcome) (rate(secondsight_image_fetches_total[1m]))"},
        ),
        (
            "Models in use",
            "short",
            {"{{role}} {{version}}": "sum by (role, version) (secondsight_model_info)"},
        ),
    ),
    "Processes": (
        ("Memory", "bytes", {"{{pod}}": "process_resident_memory_bytes"}),
        ("Processor", "short", {"{{pod}}": "rate(process_cpu_seconds_total[1m])"}),
    ),
}

_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


def dashboard() -> str:
    """Return the dashboard as the JSON text that Grafana imports."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, of_row in ROWS.items():
        place = {"x": 0, "y": top, "w": _WIDTH * _COLUMNS, "h": 1}
        panels.append({"type": "row", "title": row, "gridPos": place, "collapsed": False})
        top += 1
        for number, (title, unit, lines) in enumerate(of_row):
            place = {
                "x": _WIDTH * (number % _COLUMNS),
                "y": top + _HEIGHT * (number // _COLUMNS),
                "w": _WIDTH,
                "h": _HEIGHT,
            }
            panels.append(_panel(title, unit, lines, place))
        top += _HEIGHT * -(-len(of_row) // _COLUMNS)
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    page = {
        "title": "secondsight",
        "uid": "secondsight",
        "tags": ["secondsight"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }
    return json.dumps(page, indent=1) + "\n"


def _panel(
    title: str, unit: str, lines: Mapping[str, str], place: Mapping[str, int]
) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    targets = [
        {
            "refId": chr(ord("A") + number),
            "expr": query,
            "legendFormat": legend,
            "datasource": source,
        }
        for number, (legend, query) in enumerate(lines.items())
    ]
    return {
        "type": "timeseries",
        "title": title,
        "gridPos": dict(place),
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": targets,
    }

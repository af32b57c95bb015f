"""The alerts: what is promised, with burn rates, and what an operator must look at besides.

A burn rate is how many times faster than allowed the budget of errors is used up. As in Google's
SRE workbook, chapter 5: 14.4 over an hour (2 % of a month's budget) and 6 over six hours (5 %),
each also over a twelfth of that time, so that an alert ends soon after its cause.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

RUNBOOK = "docs/operating.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A promise: at most `budget` of the time or of the records may be bad.

    Attributes:
        name: of its alerts, with Fast or Slow behind it.
        record: the series of the share that is bad.
        bad: its expression, over the time `%s`.
        budget: the share that may be bad.
        summary: what is wrong, for whoever is woken.
    """

    name: str
    record: str
    bad: str
    budget: float
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that an operator must look at: `page` at once, `ticket` in working hours."""

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str


OBJECTIVES = (
    Objective(
        name="SalesLate",
        record="secondsight:sales_late",
        # Of the partitions, those that are more than 5 s behind, over time.
        bad='avg_over_time(avg(secondsight_lag_seconds{topic="transactions"} > bool 5)[%s:15s])',
        budget=0.01,
        summary="Sales are in the statistics later than after 5 s",
    ),
    Objective(
        name="AnswersLate",
        record="secondsight:answers_late",
        bad="avg_over_time(avg(secondsight_lag_seconds"
        '{topic=~"listing.created|listing.enriched"} > bool 2)[%s:15s])',
        budget=0.01,
        summary="Listings are answered later than after 2 s",
    ),
    Objective(
        name="DeadLetters",
        record="secondsight:dead_letters",
        bad="sum(rate(secondsight_dead_letters_total[%s]))"
        " / sum(rate(secondsight_records_consumed_total[%s]))",
        budget=0.001,
        summary="Too many records go to dead-letter topics",
    ),
)

ALERTS = (
    Alert(
        name="WorkerDown",
        expression='up{component=~"stats|suggest|suggest-gpu|outcomes"} == 0',
        lasting="5m",
        severity="page",
        summary="A worker does not answer",
    ),
    Alert(
        name="TransactionsFail",
        expression='sum by (pod) (rate(secondsight_transactions_total{outcome!="committed"}[10m]))'
        " > 0.1 * sum by (pod) (rate(secondsight_transactions_total[10m]))",
        lasting="10m",
        severity="page",
        summary="More than a tenth of the transactions of a worker do not commit",
    ),
    Alert(
        name="RestoreTakesLong",
        expression="min by (pod, partition, source) (secondsight_restore_share) < 1",
        lasting="30m",
        severity="ticket",
        summary="State has been restored for half an hour and is not there yet",
    ),
    Alert(
        name="RebalancesOften",
        expression='sum(increase(secondsight_rebalances_total{kind="revoked"}[1h])) > 20',
        lasting="15m",
        severity="ticket",
        summary="Partitions keep changing hands",
    ),
    Alert(
        name="CheckpointsFail",
        expression='increase(secondsight_checkpoints_total{outcome="failed"}[1h]) > 2',
        lasting="5m",
        severity="ticket",
        summary="Checkpoints cannot be shipped; a lost volume would take long to restore",
    ),
    Alert(
        name="StandbyBehind",
        expression="max by (pod, partition) (secondsight_standby_lag_records) > 100000",
        lasting="15m",
        severity="ticket",
        summary="A standby could not take over soon",
    ),
    Alert(
        name="ModelRefused",
        expression='increase(secondsight_model_loads_total{outcome="refused"}[15m]) > 0',
        lasting="0m",
        severity="ticket",
        summary="An announced model is of no use; the one before it goes on",
    ),
    Alert(
        name="RegistryUnreachable",
        expression='increase(secondsight_model_loads_total{outcome="unreachable"}[15m]) > 3',
        lasting="5m",
        severity="ticket",
        summary="An announced model cannot be fetched",
    ),
    Alert(
        name="PhotosFail",
        expression='sum(rate(secondsight_image_fetches_total{outcome!="fetched"}[15m]))'
        " > 0.2 * sum(rate(secondsight_image_fetches_total[15m]))",
        lasting="15m",
        severity="ticket",
        summary="More than a fifth of the photos cannot be fetched",
    ),
    Alert(
        name="DecodersEnd",
        expression='sum(increase(secondsight_decoder_ends_total{cause=~"crashed|overtime"}[15m]))'
        " > 10",
        lasting="0m",
        severity="ticket",
        summary="Photos crash their decoders: somebody may be trying to break in",
    ),
    Alert(
        name="ReuploadsMany",
        expression="sum(rate(secondsight_reuploads_total[1h])) > 4 * "
        "sum(rate(secondsight_suggestions_total[1h]))",
        lasting="1h",
        severity="ticket",
        summary="Hardly any listing gets a price: photos or prices have changed, or the model has",
    ),
    Alert(
        name="Misrouted",
        expression="sum by (topic) (rate(secondsight_misrouted_total[15m])) > 0",
        lasting="15m",
        severity="ticket",
        summary="A producer chooses partitions otherwise than by murmur2 of the seller",
    ),
)

_WINDOWS = ("5m", "30m", "1h", "6h")


def rule_groups() -> list[dict[str, Any]]:
    """Return the groups of rules as Prometheus reads them."""
    burns = [rule for objective in OBJECTIVES for rule in _burning(objective)]
    shares = [
        {"record": f"{each.record}:{window}", "expr": each.bad.replace("%s", window)}
        for each in OBJECTIVES
        for window in _WINDOWS
    ]
    others = [
        _alert(each.name, each.expression, each.lasting, each.severity, each.summary)
        for each in ALERTS
    ]
    return [
        {"name": "secondsight-objectives", "rules": [*shares, *burns]},
        {"name": "secondsight", "rules": others},
    ]


def prometheus_rule() -> dict[str, Any]:
    """Return the rules as a resource of the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "secondsight"},
        "spec": {"groups": rule_groups()},
    }


def _burning(objective: Objective) -> Iterator[dict[str, Any]]:
    for speed, burn, long, short, severity in (
        ("Fast", 14.4, "1h", "5m", "page"),
        ("Slow", 6, "6h", "30m", "ticket"),
    ):
        limit = f"{burn * objective.budget:g}"
        both = f"{objective.record}:{long} > {limit} and {objective.record}:{short} > {limit}"
        summary = f"{objective.summary}: {burn:g} times more often than is allowed"
        yield _alert(objective.name, both, "2m", severity, summary, speed=speed)


def _alert(
    name: str, expression: str, lasting: str, severity: str, summary: str, *, speed: str = ""
) -> dict[str, Any]:
    return {
        "alert": f"Secondsight{name}{speed}",
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "runbook": f"{RUNBOOK}#{name.lower()}"},
    }

"""`secondsight topics`: creates the topics on the cluster, or says in what they differ."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from workers.errors import ConfigurationError
from workers.runtime.service import client_options
from workers.runtime.settings import Settings
from workers.topics import TopicState, check_topics, create_topics

DAY_MS = 24 * 60 * 60 * 1000


def topics(
    check: Annotated[bool, typer.Option("--check", help="Compare only; create nothing.")] = False,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, help="Partitions of each co-partitioned topic. [default: the setting's]"
        ),
    ] = None,
    keep_all: Annotated[
        bool,
        typer.Option(
            "--keep-all",
            help="Create topics that keep their records for ever: a replay of old events carries "
            "old timestamps, which a retention deletes at once.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Create the topics that are missing, and say in what those on the cluster differ.

    Nothing that exists is changed. Exit code 3 when a topic differs in a way that keeps the
    system from working right (its partitions, its compaction), and with --check when one is
    missing; another retention is told, but may be meant so.
    """
    settings = Settings() if partitions is None else Settings(partitions=partitions)
    options = client_options(settings).common()
    if check:
        states = check_topics(
            options,
            prefix=settings.topic_prefix,
            partitions=settings.partitions,
            replication_factor=settings.replication_factor,
        )
    else:
        states = create_topics(
            options,
            prefix=settings.topic_prefix,
            partitions=settings.partitions,
            replication_factor=settings.replication_factor,
            keep_all=keep_all,
        )
    if as_json:
        typer.echo(json.dumps({"topics": [dataclasses.asdict(state) for state in states]}))
    else:
        Console().print(_table(states))
    conflicts = [f"{state.name}: {each}" for state in states for each in state.conflicts]
    if conflicts:
        raise ConfigurationError("; ".join(conflicts))


def _table(states: Sequence[TopicState]) -> Table:
    table = Table("topic", "state", "partitions", "retention", "compacted", "differs")
    for state in states:
        table.add_row(
            state.name,
            _word(state),
            str(state.partitions or ""),
            _retention(state.config.get("retention.ms")),
            "yes" if "compact" in state.config.get("cleanup.policy", "") else "",
            "\n".join((*state.conflicts, *state.notes)),
        )
    return table


def _word(state: TopicState) -> str:
    if state.partitions == 0:
        return "missing"
    if state.conflicts or state.notes:
        return "differs"
    return "created" if state.created else "as it should be"


def _retention(milliseconds: str | None) -> str:
    if milliseconds is None:
        return ""
    return "for ever" if milliseconds == "-1" else f"{int(milliseconds) / DAY_MS:g} days"

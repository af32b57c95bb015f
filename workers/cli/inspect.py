"""`secondsight inspect`: what is stored, for operators."""

import typer

from workers.cli.inspect_bundle import inspect_bundle
from workers.cli.inspect_stats import inspect_stats

inspect = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
inspect.command("stats")(inspect_stats)
inspect.command("bundle")(inspect_bundle)


@inspect.callback()
def _inspect() -> None:
    """Show what is stored: statistics beside the worker that is at work on them, model bundles."""

"""`secondsight suggest`: the worker that answers listings."""

from pathlib import Path
from typing import Annotated

import typer

from workers.runtime.settings import Settings
from workers.suggest.worker import run_suggest


def suggest(
    bundle: Annotated[
        Path | None,
        typer.Option(help="The model bundle to load. Without it: SECONDSIGHT_BUNDLE."),
    ] = None,
) -> None:
    """Answer each listing with a price or a request for better photos, until SIGTERM or Ctrl-C.

    Needs Kafka with its topics (`secondsight topics`) and a bundle (`secondsight train`).
    """
    run_suggest(Settings() if bundle is None else Settings(bundle=bundle))

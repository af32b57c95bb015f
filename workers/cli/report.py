"""`secondsight report`: a bundle on a dataset, as a page for people."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from models.dataset.reader import read_dataset
from models.extractors.cache import FeatureCache
from models.pricer import Pricer
from models.report.page import report_page
from workers.cli.stages import Stages
from workers.errors import ConfigurationError, WorkersError
from workers.suggest.hints import hint_for


def report(
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    dataset: Annotated[Path, typer.Option(help="Folder with listings.csv and images/.")],
    out: Annotated[
        Path, typer.Option(help="HTML file to write; an older one is replaced.", dir_okay=False)
    ],
    all_listings: Annotated[
        bool, typer.Option("--all", help="Show also the listings that the bundle was trained on.")
    ] = False,
) -> None:
    """Measure a bundle on a dataset and draw the figures into one page that works offline.

    Of the dataset that the bundle was trained on, only the listings that were kept apart from
    training are shown, where these can be told.
    """
    if not out.absolute().parent.is_dir():
        raise ConfigurationError(f"{out} cannot be written: {out.parent} is not a folder")
    with Stages() as stages:
        stages("reading", 0, 1)
        pricer = Pricer.load(bundle)
        rows = read_dataset(dataset)
        stages("reading", 1, 1)
        page = report_page(
            pricer,
            rows,
            seller_hint=hint_for,
            all_listings=all_listings,
            cache=FeatureCache(),
            progress=stages,
        )
    _write(out, page)
    for skipped in rows.skipped:
        typer.echo(f"skipped {skipped}", err=True)
    typer.echo(f"{pricer.version} on {rows.name}: {out}")


def _write(out: Path, page: str) -> None:
    """Write under another name first, so that there is never half a page."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.absolute().parent)
        unfinished = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            unfinished.chmod(0o644)  # it is made private
            unfinished.replace(out)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WorkersError(f"{out} cannot be written: {error.strerror}") from None

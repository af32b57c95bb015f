"""`secondsight evaluate`: a bundle on a dataset."""

import json
from pathlib import Path
from typing import Annotated

import typer

from models.dataset.reader import read_dataset
from models.evaluation.evaluate import evaluate as evaluate_bundle
from models.evaluation.prediction import write_predictions
from models.extractors.cache import FeatureCache
from models.pricer import Pricer
from workers.cli.metrics_table import metrics_table
from workers.cli.stages import Stages

_SEEN = (
    "note: the bundle learnt from a dataset of this name. Listings that it learnt from are "
    "answered better than new ones; `secondsight train` prints the figures of those kept apart."
)


def evaluate(
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    dataset: Annotated[Path, typer.Option(help="Folder with listings.csv and images/.")],
    predictions: Annotated[
        Path | None, typer.Option(help="CSV file to write: one row for each listing.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Answer each listing of a dataset as the live system would, and measure the answers.

    Listings without a price are answered too. Those whose price was irrational in training are
    not measured. No listing sees its own price: its statistics are those of the bundle, and where
    the dataset has times, the sales before it was listed.
    """
    with Stages() as stages:
        stages("reading", 0, 1)
        pricer = Pricer.load(bundle)
        rows = read_dataset(dataset)
        stages("reading", 1, 1)
        found = evaluate_bundle(
            pricer,
            rows,
            cache=FeatureCache(),
            progress=lambda done, total: stages("photos", done, total),
        )
    if rows.name == pricer.bundle.manifest.source.dataset:
        typer.echo(_SEEN, err=True)
    if predictions is not None:
        write_predictions(predictions, found.predictions, pricer.currency)
    for skipped in rows.skipped:
        typer.echo(f"skipped {skipped}", err=True)
    if as_json:
        typer.echo(json.dumps(found.metrics.model_dump(mode="json")))
    else:
        typer.echo(f"{pricer.version} on {rows.name}:\n{metrics_table(found.metrics)}")

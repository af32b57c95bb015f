"""`secondsight schemas`: writes the generated contract, or checks that it is current."""

from pathlib import Path
from typing import Annotated

import typer

import schemas as contract
from schemas.export import stale, write
from workers.errors import FAILED


def schemas(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file is not current.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder that holds json/ and asyncapi.yaml.", file_okay=False)
    ] = Path(contract.__path__[0]),
) -> None:
    """Write the JSON Schemas and the AsyncAPI document from the classes, or check them."""
    if not check:
        write(out)
        return
    if files := stale(out):
        typer.echo(f"not current in {out}: {', '.join(files)}; run `secondsight schemas`", err=True)
        raise typer.Exit(FAILED)

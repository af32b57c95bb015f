"""`secondsight models`: which bundles the workers shall use."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from schemas.model import ModelPublished, ModelRole
from schemas.topics import MODELS
from workers.errors import ConfigurationError
from workers.registry.announcements import Announcements
from workers.registry.announcing import announce, announcements, roll_back
from workers.registry.announcing import withdraw as withdraw_announcement
from workers.registry.storage import ModelRegistry
from workers.runtime.service import client_options
from workers.runtime.settings import Settings

models = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


@models.callback()
def _models() -> None:
    """Announce model bundles to the workers, withdraw them, list them."""


@models.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    canary: Annotated[
        float | None,
        typer.Option(
            min=0.0001, max=1, help="Answer this share of the sellers only.", metavar="SHARE"
        ),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Answer into price.shadow only, beside the others.")
    ] = False,
    other_currency: Annotated[
        bool,
        typer.Option(
            "--other-currency", help="Allow prices in another currency than the live model's."
        ),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Copy a bundle into the registry and announce it, as the live model if nothing else is said.

    Running workers load it beside the one they use, try it, and go over to it. Publishing a
    version that is there already changes its role: a canary is promoted so.
    """
    if canary is not None and shadow:
        raise typer.BadParameter("a model is a canary or runs in the shadow, not both")
    settings = Settings()
    role = ModelRole.SHADOW if shadow else ModelRole.LIVE if canary is None else ModelRole.CANARY
    event = announce(
        bundle,
        _registry(settings),
        client_options(settings),
        topic=settings.topic(MODELS),
        role=role,
        share=canary,
        other_currency=other_currency,
    )
    typer.echo(json.dumps(_row(event)) if as_json else f"{event.model_version} is announced")


@models.command()
def withdraw(
    version: Annotated[str, typer.Argument(help="The model's version.")], as_json: _Json = False
) -> None:
    """Take a model out of use: the one announced for its role before takes over again."""
    settings = Settings()
    withdraw_announcement(version, client_options(settings), topic=settings.topic(MODELS))
    typer.echo(json.dumps({"withdrawn": version}) if as_json else f"{version} is withdrawn")


@models.command()
def rollback(as_json: _Json = False) -> None:
    """Go back: withdraw the live model, so that the one before answers again."""
    settings = Settings()
    options, topic = client_options(settings), settings.topic(MODELS)
    gone, back = roll_back(options, topic=topic)
    if as_json:
        typer.echo(json.dumps({"withdrawn": gone, "live": back}))
    else:
        typer.echo(f"{gone} is withdrawn; {back} answers now")


@models.command("list")
def list_announced(as_json: _Json = False) -> None:
    """List the announced models, and who of them holds which role."""
    settings = Settings()
    found = announcements(client_options(settings), settings.topic(MODELS))
    holders = {event.model_version for role in ModelRole for event in found.of(role)[:1]}
    if as_json:
        rows = [{**_row(e), "holds": e.model_version in holders} for e in found.all()]
        typer.echo(json.dumps({"models": rows}))
    else:
        Console().print(_table(found, holders))


def _registry(settings: Settings) -> ModelRegistry:
    if settings.model_registry is None:
        raise ConfigurationError(
            "SECONDSIGHT_MODEL_REGISTRY is not set; name the folder or address there that the "
            "workers fetch their models from"
        )
    return ModelRegistry(settings.model_registry)


def _row(event: ModelPublished) -> dict[str, object]:
    return event.model_dump(
        mode="json", include={"model_version", "role", "share", "uri", "published_at"}
    )


def _table(found: Announcements, holders: set[str]) -> Table:
    table = Table("version", "role", "sellers", "published", "in force")
    for event in found.all():
        table.add_row(
            event.model_version,
            event.role.value,
            "" if event.share is None else f"{event.share:.2%}",
            f"{event.published_at:%Y-%m-%d %H:%M}",
            "yes" if event.model_version in holders else "",
        )
    return table

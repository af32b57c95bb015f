"""`secondsight price`: one suggestion for the photos of one thing, for people."""

import json
from math import exp
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from models.errors import ModelsError, UnreadableImageError
from models.images.limits import DEFAULT_LIMITS
from models.prepared_photo import PreparedPhoto
from models.pricer import Estimate, Pricer
from schemas.money import minor_unit_digits
from schemas.suggestion import ReuploadReason
from workers.suggest.hints import hint_for


def price(
    photos: Annotated[list[Path], typer.Argument(help="Photos of one thing.", metavar="PHOTO...")],
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    category: Annotated[
        str | None, typer.Option(help="Category path, such as 'Clothing > Shoes'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Suggest a price for one thing from its photos, or say what is wrong with them.

    The statistics are those that the bundle was trained beside.
    """
    pricer = Pricer.load(bundle)
    sound: list[PreparedPhoto] = []
    reasons: list[tuple[ReuploadReason, Path | None]] = []
    for path in photos:
        prepared, faults = _look_at(pricer, path)
        reasons += [(fault, path) for fault in faults]
        if prepared is not None and not faults:
            sound.append(prepared)
    estimate = None
    if sound:
        features = pricer.features(sound).mean(axis=0, keepdims=True)
        (estimate,) = pricer.estimate(
            features.astype(np.float32), [pricer.snapshot_statistics(category)], [category]
        )
        if not estimate.qualified and not reasons:
            reasons = [(ReuploadReason.INADEQUATE_INFORMATION, None)]
    if estimate is not None and estimate.qualified:
        typer.echo(json.dumps(_suggestion(pricer, estimate)) if as_json else _ask(pricer, estimate))
    else:
        typer.echo(json.dumps(_request(pricer, reasons)) if as_json else _better_photo(reasons))


def _look_at(pricer: Pricer, path: Path) -> tuple[PreparedPhoto | None, list[ReuploadReason]]:
    """Read a photo and name its faults, the worst first."""
    try:
        with path.open("rb") as file:
            data = file.read(DEFAULT_LIMITS.max_bytes + 1)  # one more shows that it is too long
    except OSError as error:
        raise ModelsError(f"{path} cannot be read: {error.strerror}") from None
    try:
        prepared = pricer.prepare(data)
    except UnreadableImageError:
        return None, [ReuploadReason.UNREADABLE]
    return prepared, [fault.code for fault in prepared.faults]


def _ask(pricer: Pricer, estimate: Estimate) -> str:
    price, low, high = (
        _rounded(amount, pricer.currency)
        for amount in (estimate.price_minor, estimate.low_minor, estimate.high_minor)
    )
    return (
        f"Ask {price} {pricer.currency} ({low} to {high} in {pricer.range_probability:.0%} of "
        f"sales; {estimate.confidence:.0%} likely to sell within a factor of "
        f"{exp(pricer.bundle.manifest.confidence.epsilon):.2f} of it; model {pricer.version})"
    )


def _rounded(amount_minor: int, currency: str) -> str:
    """Give whole units from ten units on: nobody asks for 65.09."""
    amount = amount_minor / 10 ** minor_unit_digits(currency)
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:,.{minor_unit_digits(currency)}f}"


def _better_photo(reasons: list[tuple[ReuploadReason, Path | None]]) -> str:
    lines = ["A better photo is needed:"]
    for code, path in reasons:
        where = f"{path.name}: " if path is not None else ""
        lines.append(f"  {where}{hint_for(code)}")
    return "\n".join(lines)


def _suggestion(pricer: Pricer, estimate: Estimate) -> dict[str, Any]:
    return {
        "decision": "price",
        "currency": pricer.currency,
        "price_minor": estimate.price_minor,
        "low_minor": estimate.low_minor,
        "high_minor": estimate.high_minor,
        "range_probability": pricer.range_probability,
        "confidence": estimate.confidence,
        "model_version": pricer.version,
    }


def _request(pricer: Pricer, reasons: list[tuple[ReuploadReason, Path | None]]) -> dict[str, Any]:
    return {
        "decision": "reupload",
        "reasons": [
            {"code": code.value, "hint": hint_for(code), "photo": path and str(path)}
            for code, path in reasons
        ],
        "model_version": pricer.version,
    }

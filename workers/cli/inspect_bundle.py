"""`secondsight inspect bundle`: what a model bundle was made of and how it measured."""

import json
from collections.abc import Iterator, Mapping
from math import exp
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from models.bundle.folder import read_bundle
from models.bundle.lineage import Lineage
from models.bundle.manifest import Manifest, RuleName


def inspect_bundle(
    folder: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Show what a model bundle was trained on, how it measured, and that it is whole.

    Every file is compared with its checksum; a bundle that is not whole ends with exit code 3.
    """
    manifest = read_bundle(folder).manifest
    size = sum((folder / name).stat().st_size for name in manifest.files)
    if as_json:
        typer.echo(json.dumps(manifest.model_dump(mode="json") | {"size_bytes": size}))
        return
    for name, text in _lines(manifest, size):
        typer.echo(f"{name:<13}{text}")


def _lines(manifest: Manifest, size: int) -> Iterator[tuple[str, str]]:
    source, rule = manifest.source, manifest.rule
    yield "version", manifest.model_version
    yield "whole", f"{len(manifest.files)} files, {size / 1e6:.1f} MB, as their checksums say"
    for network in manifest.image_networks:
        parts = ", ".join(f"{part.name} {part.width}" for part in network.parts)
        yield "images", f"{network.backbone}: {network.width} features" + (parts and f" ({parts})")
    yield "prices", f"in {manifest.currency}, cut at {_cut(manifest)}"
    yield (
        "learnt from",
        f"{source.listings:,} listings and {source.sales:,} sales: {source.dataset}",
    )
    yield "parts", f"train {source.train:,}, validation {source.validation:,}, test {source.test:,}"
    if source.window is not None:
        yield "window", f"{source.window.start:%Y-%m-%d} to {source.window.end:%Y-%m-%d}"
    floor = f"delta {rule.delta:g}"
    if rule.name is RuleName.THRESHOLD and rule.epsilon is not None:
        floor = f"within a factor {exp(rule.epsilon):.2f} (epsilon {rule.epsilon:g}), {floor}"
    yield (
        "rule",
        f"{rule.name}: {floor}; prices where the score is {rule.score_threshold:.3f} or more",
    )
    yield "range", f"made to hold {manifest.ranges.probability:.0%} of sold prices"
    if manifest.lineage is not None:
        yield from _lineage(manifest.lineage)
    for group, numbers in _measured(manifest.metrics).items():
        yield "measured", f"{group}: " + ", ".join(f"{n} {v:.4g}" for n, v in numbers.items())


def _lineage(lineage: Lineage) -> Iterator[tuple[str, str]]:
    yield "follows", lineage.parent or "none: it is the first of its line"
    yield "made", f"{lineage.made_at:%Y-%m-%d %H:%M} UTC by {lineage.code}"
    yield "knows", f"listings up to {lineage.listed_until:%Y-%m-%d %H:%M} UTC"
    yield "extractors", f"trained {lineage.extractors_trained_at:%Y-%m-%d}"
    yield "heads", f"began {lineage.began_as}"
    checks = lineage.verdict.get("checks")
    for name, says in checks.items() if isinstance(checks, dict) else ():
        yield "gate", f"{name}: {says}"


def _measured(metrics: Mapping[str, JsonValue]) -> dict[str, dict[str, float]]:
    """Return the numbers of each group of measures; those of single categories are left to JSON."""
    groups = {name: value for name, value in metrics.items() if isinstance(value, dict)}
    groups["test part"] = {n: v for n, v in metrics.items() if not isinstance(v, dict)}
    found = {
        group: {n: float(v) for n, v in values.items() if isinstance(v, int | float)}
        for group, values in groups.items()
    }
    return {group: numbers for group, numbers in found.items() if numbers}


def _cut(manifest: Manifest) -> str:
    limits = manifest.price_limits
    return f"{limits.low_minor:,} and {limits.high_minor:,} minor units"

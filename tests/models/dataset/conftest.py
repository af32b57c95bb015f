import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Row = Mapping[str, str]
Maker = Callable[..., Path]


def _table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def make_dataset(tmp_path: Path) -> Maker:
    """Return a function that writes a dataset folder from rows as {column: text}."""

    def make(
        listings: Sequence[Row] | None = None,
        sales: Sequence[Row] | None = None,
        description: Mapping[str, object] | None = None,
    ) -> Path:
        folder = tmp_path / "dataset"
        (folder / "images").mkdir(parents=True)
        about = {"name": "small", "currency": "GBP"} if description is None else description
        (folder / "dataset.json").write_text(json.dumps(about))
        if listings is not None:
            columns = (
                "listing_id seller_id category image price currency listed_at sold_at brand "
                "attributes specifications title"
            )
            (folder / "listings.csv").write_text(_table(columns.split(), listings))
        if sales is not None:
            columns = "transaction_id listing_id seller_id category price currency sold_at"
            (folder / "sales.csv").write_text(_table(columns.split(), sales))
        return folder

    return make

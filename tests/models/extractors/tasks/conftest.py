from collections.abc import Callable
from typing import Any

import pytest

from models.dataset.rows import ListingRow


@pytest.fixture
def listing() -> Callable[..., ListingRow]:
    """Makes a listing of which nothing is known but what is named."""

    def make(**known: Any) -> ListingRow:
        unknown: dict[str, Any] = dict.fromkeys(ListingRow.__slots__)
        unknown |= {"listing_id": "x", "images": (), "attributes": (), "specifications": {}}
        return ListingRow(**(unknown | known))

    return make

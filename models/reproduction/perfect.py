"""The bound of every reader of photos: what a simulated photo is worth, in place of its features.

The simulator knows what the visible qualities of a thing are worth, to the cent. Networks that
get this one number beside the statistics read the thing in the photo without a mistake; what they
still miss of the oracle is not to be won by seeing it better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.dataset.rows import ListingRow
from models.evaluation.oracle import OracleRow
from models.joint.inputs import Rows
from models.training_data import TrainingData


def photo_worth(
    listings: Sequence[ListingRow], oracle: Mapping[str, OracleRow] | None
) -> Rows | None:
    """Return the log of what the photos of each listing are worth `[N, 1]`, in whole units.

    None where it is not known of every listing.
    """
    rows = [(oracle or {}).get(listing.listing_id) for listing in listings]
    known = [row.photo_log_price for row in rows if row and row.photo_log_price is not None]
    return np.array(known, np.float32)[:, None] if len(known) == len(rows) else None


def perfectly_read(data: TrainingData, worth: Rows) -> TrainingData:
    """Return the data with `worth` `[N, 1]` as the only feature; split and statistics stay."""
    width = data.photos.features.shape[1]
    return replace(
        data,
        photos=replace(data.photos, features=worth),
        rows=np.hstack([worth, data.rows[:, width:]]),
    )

"""The control group: listings drawn by lot whose price is worked out but told to nobody.

What they sell for cannot have been moved by the suggestion, so beside the others it tells what
the suggestions do to the prices that models are trained on.
"""

import hashlib


def is_control(listing_id: str, share: float) -> bool:
    """Tell whether a listing is in the control group: always the same answer for the same share.

    With a larger share it keeps those that it had.

    Args:
        listing_id: of the listing.
        share: of all listings, 0 to 1.
    """
    draw = hashlib.blake2b(listing_id.encode(), digest_size=8, person=b"control").digest()
    return int.from_bytes(draw, "big") < share * 2**64

"""What an input goes through: all that serving does with it before a network or a store sees it."""

import warnings
from datetime import datetime

from PIL import Image

from models.errors import UnreadableImageError
from models.extractors.preprocessing import Preprocessing
from models.images.decode import decode_image
from models.images.faults import judge
from models.images.limits import DEFAULT_LIMITS
from schemas import cloudevents
from schemas.base import Event
from schemas.cloudevents import Envelope
from schemas.errors import SchemaError
from schemas.listing import ListingCreated, ListingEnriched
from schemas.plain import PlainSale, read_plain_sale
from schemas.sale import ItemSold, SaleReversed
from tests.fuzz.inputs import Input

_ACCEPTED = (ListingCreated, ListingEnriched, ItemSold, SaleReversed)
_MESSAGE_CHARACTERS = 4_000  # what an error tells goes into a log line and a dead letter

_preprocess = Preprocessing(
    size=260, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), resample="bicubic"
)


def try_input(given: Input) -> bool:
    """Return whether an input was read; False where it was refused as it may be.

    Raises:
        Exception: whatever else came of it: a crash.
    """
    refusal: str | None = None
    try:
        if given.headers is None:
            image = _decoded(given.value or b"")
        else:
            event, envelope = cloudevents.decode(given.headers, given.value, _ACCEPTED)
    except (UnreadableImageError, SchemaError) as error:
        refusal = str(error)
    plain = None if given.headers is None else read_plain_sale(given.headers, given.value)
    if refusal is not None:
        assert len(refusal) <= _MESSAGE_CHARACTERS, "the message is too long"
        assert plain is None, "what the contract refuses was read as a plain sale"
    elif given.headers is None:
        _use_image(image)
    else:
        _use_event(event, envelope, plain)
    return refusal is None


def _decoded(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of broken metadata that it steps over
        return decode_image(data)


def _use_image(image: Image.Image) -> None:
    assert image.mode == "RGB"
    assert image.width * image.height <= DEFAULT_LIMITS.max_pixels
    assert all(0 < fault.weight <= 1 for fault in judge(image))
    assert _preprocess(image).shape == (3, 260, 260)


def _use_event(event: Event, envelope: Envelope, plain: tuple[PlainSale, datetime] | None) -> None:
    if plain is not None:
        sale, happened = plain
        fields = {name: getattr(sale, name) for name in ItemSold.model_fields}
        assert event == ItemSold.model_construct(**fields)
        assert happened == envelope.time
    # What was read can be written, and is read as the same again.
    headers = cloudevents.encode(
        event,
        event_id=envelope.id,
        source=envelope.source,
        time=envelope.time,
        subject=envelope.subject,
        traceparent=envelope.traceparent,
    )
    assert cloudevents.decode(headers, event.to_bytes(), _ACCEPTED) == (event, envelope)

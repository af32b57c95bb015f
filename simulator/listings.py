"""A listing: a thing, who sells it, what the seller says of it, and how the photos came out."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from simulator.catalogue import Category
from simulator.photos.camera import PhotoFault
from simulator.sellers import Seller
from simulator.things import Thing

BRAND_MISSING = 0.30
ATTRIBUTE_MISSING = 0.15
SPECIFICATION_MISSING = 0.20
WRONG_CATEGORY = 0.03
PHOTO_SHARES = (0.80, 0.15, 0.05)  # of one, two and three photos
ONE_POOR_PHOTO = 0.20  # of the sound listings with more than one photo


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing before any event. `category` and the labels are what the seller says.

    `fault` spoils every photo; `photo_faults` has an entry for each photo, in which a sound
    listing too may have one that came out badly.
    """

    listing_id: str
    index: int
    thing: Thing
    seller: Seller
    listed_at: datetime
    category: str
    brand: str | None
    attributes: tuple[str, ...]
    specifications: tuple[str, ...]
    title: str
    fault: PhotoFault | None
    photo_faults: tuple[PhotoFault | None, ...]

    @property
    def images(self) -> tuple[str, ...]:
        """Return the names of the photos below the dataset's folder."""
        return tuple(
            f"images/{self.listing_id}-{number}.jpg"
            for number in range(1, len(self.photo_faults) + 1)
        )


def draw_listing(
    rng: np.random.Generator,
    *,
    listing_id: str,
    index: int,
    thing: Thing,
    seller: Seller,
    listed_at: datetime,
    categories: tuple[Category, ...],
    fault_share: float,
) -> Listing:
    """Draw what the seller says of a thing (not all, not all right), and the photos' luck."""
    fault = _any_fault(rng) if rng.random() < fault_share else None
    photos: list[PhotoFault | None] = [fault] * int(rng.choice((1, 2, 3), p=PHOTO_SHARES))
    if fault is None and len(photos) > 1 and rng.random() < ONE_POOR_PHOTO:
        photos[rng.integers(len(photos))] = _any_fault(rng)
    says_brand = thing.brand is not None and rng.random() >= BRAND_MISSING
    return Listing(
        listing_id=listing_id,
        index=index,
        thing=thing,
        seller=seller,
        listed_at=listed_at,
        category=_label(rng, thing.category, categories),
        brand=thing.brand.name if thing.brand is not None and says_brand else None,
        attributes=_some(
            rng, (thing.colour, thing.pattern, thing.material, thing.condition), ATTRIBUTE_MISSING
        ),
        specifications=_some(rng, _specifications(thing), SPECIFICATION_MISSING),
        title=_title(thing),
        fault=fault,
        photo_faults=tuple(photos),
    )


def _any_fault(rng: np.random.Generator) -> PhotoFault:
    faults = tuple(PhotoFault)
    return faults[rng.integers(len(faults))]


def _label(rng: np.random.Generator, true: Category, categories: tuple[Category, ...]) -> str:
    others = [each for each in categories if each is not true]
    if others and rng.random() < WRONG_CATEGORY:
        return others[rng.integers(len(others))].path
    return true.path


def _some(rng: np.random.Generator, labels: tuple[str, ...], missing: float) -> tuple[str, ...]:
    return tuple(label for label in labels if rng.random() >= missing)


def _specifications(thing: Thing) -> tuple[str, str]:
    variant, hidden = thing.category.variant, thing.category.hidden
    return (
        f"{variant.key}={variant.values[thing.variant]}",
        f"{hidden.key}={hidden.values[thing.hidden]}",
    )


def _title(thing: Thing) -> str:
    pattern = "" if thing.pattern == "plain" else f"{thing.pattern} "
    maker = f" by {thing.brand.name}" if thing.brand is not None else ""
    what = f"{thing.colour} {pattern}{thing.material} {thing.category.noun}{maker}"
    return f"{what[0].upper()}{what[1:]}, {thing.condition}"

"""What can be for sale, and what each visible quality adds to the natural log of the price."""

from dataclasses import dataclass

HIDDEN_OUTER_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Variant:
    """A visible specification of two values; the second adds `effect` to the log price."""

    key: str
    values: tuple[str, str]
    effect: float


@dataclass(frozen=True, slots=True)
class Hidden:
    """A specification that no photo shows, so its effect is noise to a model of photos.

    Three values with effects -effect, 0, +effect; the outer two equally likely, so that the
    median stays where the visible qualities put it.
    """

    key: str
    values: tuple[str, str, str]
    effect: float

    @property
    def variance(self) -> float:
        """Return the variance of the effect."""
        return 2 * HIDDEN_OUTER_SHARE * self.effect**2


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of thing. `base` is its usual price in pounds, `noise` a standard deviation in logs.

    `brand_weight` scales the brands' effects: a name is worth more on a bag than on a book.
    """

    path: str
    noun: str
    shape: str
    base: float
    noise: float
    brand_weight: float
    materials: tuple[str, ...]
    variant: Variant
    hidden: Hidden


@dataclass(frozen=True, slots=True)
class Brand:
    """A maker and its mark: a figure in one colour on a badge of another."""

    name: str
    effect: float
    figure: str
    colour: str
    badge: str


_SIZE = Hidden("size", ("S", "M", "L"), 0.06)
_STORAGE = Hidden("storage", ("64 GB", "128 GB", "256 GB"), 0.16)

# In order of popularity (Zipf); the kinds differ in price, spread, and in how well photos tell it.
CATEGORIES: tuple[Category, ...] = (
    Category("Clothing > Shoes", "shoes", "shoe", 38, 0.16, 1.1, ("leather", "fabric"),
             Variant("cut", ("low", "high"), 0.25), Hidden("size", ("38", "41", "44"), 0.06)),
    Category("Electronics > Phones", "phone", "phone", 150, 0.14, 0.9,
             ("plastic", "metal", "leather"), Variant("lenses", ("1", "3"), 0.50), _STORAGE),
    Category("Clothing > Shirts", "shirt", "shirt", 13, 0.24, 1.0, ("fabric",),
             Variant("sleeves", ("short", "long"), 0.20), _SIZE),
    Category("Home > Chairs", "chair", "chair", 42, 0.22, 0.7, ("fabric", "leather", "wood"),
             Variant("arms", ("no", "yes"), 0.30),
             Hidden("seat height", ("43 cm", "45 cm", "47 cm"), 0.02)),
    Category("Media > Books", "book", "book", 7, 0.34, 0.4, ("fabric", "leather"),
             Variant("volumes", ("1", "3"), 0.65),
             Hidden("edition", ("later", "second", "first"), 0.20)),
    Category("Clothing > Bags", "bag", "bag", 46, 0.16, 1.4, ("leather", "fabric"),
             Variant("strap", ("short", "long"), 0.12), Hidden("pockets", ("1", "2", "4"), 0.04)),
    Category("Electronics > Laptops", "laptop", "laptop", 260, 0.16, 0.8, ("plastic", "metal"),
             Variant("screen", ("13 inch", "16 inch"), 0.30), _STORAGE),
    Category("Home > Lamps", "lamp", "lamp", 26, 0.22, 0.8, ("fabric", "metal", "wood"),
             Variant("shade", ("cone", "globe"), 0.18),
             Hidden("cable", ("1 m", "2 m", "3 m"), 0.03)),
    Category("Sport > Bicycles", "bicycle", "bicycle", 140, 0.18, 0.9, ("metal",),
             Variant("basket", ("no", "yes"), 0.15), Hidden("gears", ("3", "7", "21"), 0.12)),
    Category("Electronics > Headphones", "headphones", "headphones", 48, 0.18, 1.1,
             ("plastic", "leather", "metal"), Variant("microphone", ("no", "yes"), 0.20),
             Hidden("impedance", ("16 ohm", "32 ohm", "64 ohm"), 0.04)),
    Category("Clothing > Watches", "watch", "watch", 80, 0.20, 1.5, ("leather", "metal", "fabric"),
             Variant("dials", ("1", "4"), 0.45), Hidden("case", ("38 mm", "40 mm", "42 mm"), 0.05)),
    Category("Electronics > Cameras", "camera", "camera", 190, 0.16, 0.8,
             ("leather", "plastic", "metal"),
             Variant("lens", ("small", "large"), 0.45),
             Hidden("shutter count", ("40000", "15000", "3000"), 0.14)),
    Category("Home > Teapots", "teapot", "teapot", 17, 0.26, 0.7, ("ceramic", "metal"),
             Variant("cup", ("no", "yes"), 0.25),
             Hidden("volume", ("0.6 l", "0.9 l", "1.2 l"), 0.06)),
    Category("Music > Guitars", "guitar", "guitar", 125, 0.18, 0.9, ("wood", "metal"),
             Variant("type", ("acoustic", "electric"), 0.40),
             Hidden("strings", ("old", "used", "new"), 0.04)),
    Category("Sport > Balls", "ball", "ball", 11, 0.26, 0.9, ("leather", "plastic"),
             Variant("grade", ("training", "match"), 0.35),
             Hidden("bladder", ("butyl", "latex", "foam"), 0.06)),
    Category("Home > Sofas", "sofa", "sofa", 210, 0.26, 0.7, ("fabric", "leather"),
             Variant("seats", ("2", "3"), 0.35),
             Hidden("covers", ("fixed", "dry clean", "washable"), 0.08)),
)  # fmt: skip

# Five makers for each first level of the categories, the commonest first.
BRANDS: dict[str, tuple[Brand, ...]] = {
    "Clothing": (
        Brand("Pindle", -0.35, "triangle", "orange", "white"),
        Brand("Oakmere", 0.00, "ring", "green", "white"),
        Brand("Veltra", 0.25, "bolt", "yellow", "black"),
        Brand("Corvane", 0.60, "diamond", "red", "white"),
        Brand("Lumisse", 1.00, "star", "gold", "navy"),
    ),
    "Electronics": (
        Brand("Tavix", -0.40, "cross", "purple", "white"),
        Brand("Quillo", -0.05, "square", "cyan", "navy"),
        Brand("Boltrix", 0.20, "hexagon", "red", "black"),
        Brand("Ormeda", 0.55, "drop", "green", "white"),
        Brand("Senvia", 0.95, "moon", "white", "red"),
    ),
    "Home": (
        Brand("Maplund", -0.30, "square", "yellow", "blue"),
        Brand("Wickerby", 0.00, "heart", "red", "white"),
        Brand("Dunmarr", 0.30, "cross", "white", "green"),
        Brand("Fyrside", 0.55, "drop", "orange", "black"),
        Brand("Solstead", 0.90, "sun", "gold", "purple"),
    ),
    "Leisure": (
        Brand("Jubilo", -0.30, "ring", "purple", "yellow"),
        Brand("Windmoor", 0.00, "wave", "blue", "white"),
        Brand("Rovanta", 0.25, "chevron", "white", "red"),
        Brand("Kestrow", 0.55, "triangle", "cyan", "black"),
        Brand("Pelaro", 0.90, "star", "white", "green"),
    ),
}
BRAND_SHARES = (0.30, 0.26, 0.20, 0.14, 0.10)
UNBRANDED_SHARE = 0.10
UNBRANDED_EFFECT = -0.45

COLOURS: dict[str, float] = {
    "black": 0.08, "white": 0.05, "grey": 0.00, "red": 0.04, "blue": 0.05, "green": 0.00,
    "yellow": -0.06, "orange": -0.08, "purple": -0.04, "pink": -0.05, "brown": -0.03, "beige": 0.02,
}  # fmt: skip
PATTERNS: dict[str, float] = {"plain": 0.0, "striped": 0.08, "checked": 0.14, "dotted": -0.16}
PATTERN_SHARES = (0.49, 0.19, 0.16, 0.16)
MATERIALS: dict[str, float] = {
    "leather": 0.25, "wood": 0.18, "metal": 0.20, "ceramic": 0.0, "fabric": -0.10, "plastic": -0.20,
}  # fmt: skip
CONDITIONS: dict[str, float] = {"as new": 0.22, "good": 0.0, "worn": -0.38, "damaged": -0.90}
CONDITION_SHARES = (0.22, 0.40, 0.26, 0.12)

# Price levels of some currencies beside the pound, rough on purpose; any other one counts as 1.
PRICE_LEVELS: dict[str, float] = {
    "GBP": 1.0, "EUR": 1.17, "USD": 1.3, "CHF": 1.12, "JPY": 195.0, "KRW": 1800.0, "INR": 112.0,
    "CNY": 9.3, "PLN": 4.95, "SEK": 12.8, "BRL": 7.2, "KWD": 0.40, "BHD": 0.49, "ISK": 162.0,
}  # fmt: skip


def brands_of(category: Category) -> tuple[Brand, ...]:
    """Return the makers of a category's things, the commonest first."""
    return BRANDS.get(category.path.partition(" > ")[0], BRANDS["Leisure"])

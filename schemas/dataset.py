"""The dataset folder format: one format for training, evaluation, replay and the simulator.

    DATASET/dataset.json   name, currency, description, licence, listings, sales
    DATASET/listings.csv   LISTING_COLUMNS
    DATASET/sales.csv(.gz) SALE_COLUMNS (optional)
    DATASET/images/

An empty cell is "not known". `image` and `attributes` hold `;`-separated values,
`specifications` `;`-separated key=value. `price` is in whole currency units and not cleaned.
"""

LISTING_COLUMNS = (
    "listing_id",
    "seller_id",
    "category",
    "image",
    "price",
    "currency",
    "listed_at",
    "sold_at",
    "brand",
    "attributes",
    "specifications",
    "title",
)

SALE_COLUMNS = (
    "transaction_id",
    "listing_id",
    "seller_id",
    "category",
    "price",
    "currency",
    "sold_at",
)

CATEGORY_SEPARATOR = " > "
VALUE_SEPARATOR = ";"

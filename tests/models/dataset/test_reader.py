import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.dataset.reader import MAX_LINE_CHARACTERS, read_dataset
from models.dataset.rows import ListingRow, SaleRow, SkippedRow
from models.errors import DatasetError

MakeDataset = Callable[..., Path]

SALE = {
    "transaction_id": "t1",
    "listing_id": "a",
    "price": "10",
    "currency": "GBP",
    "sold_at": "2024-05-01T10:00:00Z",
}


def good(count: int) -> list[dict[str, str]]:
    return [{"listing_id": f"good-{number}"} for number in range(count)]


def test_a_full_row(make_dataset: MakeDataset) -> None:
    row = {
        "listing_id": "a",
        "seller_id": "s",
        "category": "Clothing > Shoes",
        "image": "images/1.jpg; images/2.jpg",
        "price": "12.5",
        "currency": "EUR",
        "listed_at": "2024-05-01T12:00:00+02:00",
        "sold_at": "2024-05-03T00:00:00Z",
        "brand": " Oakmere ",
        "attributes": "red;striped;;red",
        "specifications": "size=38; width = wide;colour=",
        "title": "Shoes, hardly worn",
    }
    folder = make_dataset([row])
    dataset = read_dataset(folder)
    assert dataset.listings == [
        ListingRow(
            listing_id="a",
            seller_id="s",
            category="Clothing > Shoes",
            images=(folder / "images/1.jpg", folder / "images/2.jpg"),
            price_minor=1250,
            currency="EUR",
            listed_at=datetime(2024, 5, 1, 10, tzinfo=UTC),
            sold_at=datetime(2024, 5, 3, tzinfo=UTC),
            brand="Oakmere",
            attributes=("red", "striped"),
            specifications={"size": "38", "width": "wide"},
            title="Shoes, hardly worn",
        )
    ]
    assert (dataset.name, dataset.currency, dataset.sales) == ("small", "GBP", [])
    assert dataset.skipped == []
    assert dataset.folder == folder


def test_empty_cells_are_not_known(make_dataset: MakeDataset) -> None:
    (listing,) = read_dataset(make_dataset([{"listing_id": "a"}])).listings
    assert listing == ListingRow("a", None, None, (), None, "GBP", None, None, None, (), {}, None)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("0", "GBP", 0),
        ("7", "GBP", 700),
        ("0.005", "GBP", 0),
        ("0.015", "GBP", 2),
        ("0.0050000000000000000000000000000000000001", "GBP", 1),
        ("12.5", "JPY", 12),
        ("13.5", "JPY", 14),
        ("1.2345", "KWD", 1234),
        ("1e3", "GBP", 100_000),
        ("9999999999999", "GBP", 999_999_999_999_900),
    ],
)
def test_prices_are_rounded_half_to_even(
    make_dataset: MakeDataset, text: str, currency: str, minor: int
) -> None:
    folder = make_dataset([{"listing_id": "a", "price": text, "currency": currency}])
    assert read_dataset(folder).listings[0].price_minor == minor


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"listing_id": ""}, "listing_id is missing"),
        ({"listing_id": "x" * 129}, "128"),
        ({"price": "ten"}, "'ten' is not a number"),
        ({"price": "1_000"}, "not a number"),
        ({"price": "١٢"}, "not a number"),
        ({"price": "NaN"}, "not a number"),
        ({"price": "inf"}, "not a number"),
        ({"price": "1e999"}, "too large"),
        ({"price": "1e14"}, "too large"),
        ({"price": "-3"}, "negative"),
        ({"price": "3", "currency": "XXZ"}, "'XXZ' is not an ISO 4217"),
        ({"listed_at": "2024-05-01T10:00:00"}, "no time zone"),
        ({"listed_at": "yesterday"}, "listed_at 'yesterday' is not a time"),
        ({"sold_at": "2024-02-30T10:00:00Z"}, "sold_at"),
        ({"sold_at": "0001-01-01T00:00:00+10:00"}, "sold_at"),
        ({"image": "/etc/passwd"}, "leaves the folder"),
        ({"image": "images/../../secret.jpg"}, "leaves the folder"),
        ({"image": "images/" + "n" * 300}, "usable path"),
        ({"specifications": "size"}, "key=value"),
    ],
)
def test_an_unreadable_row_is_named_and_skipped(
    make_dataset: MakeDataset, row: dict[str, str], reason: str
) -> None:
    rows = good(200)
    rows.insert(2, {"listing_id": "bad", **row})
    dataset = read_dataset(make_dataset(rows))
    assert [listing.listing_id for listing in dataset.listings] == [
        f"good-{number}" for number in range(200)
    ]
    (skipped,) = dataset.skipped
    assert (skipped.file, skipped.line) == ("listings.csv", 4)
    assert reason in skipped.reason
    assert str(skipped).startswith("listings.csv, line 4: ")


def test_a_price_needs_a_currency(make_dataset: MakeDataset) -> None:
    folder = make_dataset(
        [*good(100), {"listing_id": "a", "price": "3"}], description={"name": "n"}
    )
    dataset = read_dataset(folder)
    assert dataset.currency is None
    assert [row.reason for row in dataset.skipped] == ["a price without a currency"]


def test_wrong_column_counts_and_blank_lines(make_dataset: MakeDataset) -> None:
    folder = make_dataset(good(300))
    with (folder / "listings.csv").open("a") as stream:
        stream.write("\nshort,row\n" + "long" + "," * 12 + "\n")
    dataset = read_dataset(folder)
    assert len(dataset.listings) == 300
    assert dataset.skipped == [
        SkippedRow("listings.csv", 303, "2 columns, 12 expected"),
        SkippedRow("listings.csv", 304, "13 columns, 12 expected"),
    ]


def test_lines_are_counted_through_cells_of_several_lines(make_dataset: MakeDataset) -> None:
    rows = [{"listing_id": "a", "title": "one\ntwo\nthree"}, {"listing_id": ""}, *good(200)]
    dataset = read_dataset(make_dataset(rows))
    assert [row.line for row in dataset.skipped] == [5]
    assert dataset.listings[0].title == "one\ntwo\nthree"


def test_one_percent_is_borne_and_more_is_not(make_dataset: MakeDataset) -> None:
    bad = [{"listing_id": f"bad-{n}", "price": "?"} for n in range(2)]
    folder = make_dataset([*good(198), *bad])
    assert len(read_dataset(folder).skipped) == 2
    lines = (folder / "listings.csv").read_text().splitlines()
    (folder / "listings.csv").write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(DatasetError, match=r"2 of 199 rows .* line 199: price '\?'"):
        read_dataset(folder)


def test_a_repeated_listing_is_skipped_however_many_there_are(make_dataset: MakeDataset) -> None:
    rows = [
        {"listing_id": "a", "title": "first"},
        {"listing_id": "b"},
        {"listing_id": "a", "title": "second"},
    ]
    dataset = read_dataset(make_dataset(rows))
    assert [(row.listing_id, row.title) for row in dataset.listings] == [
        ("a", "first"),
        ("b", None),
    ]
    assert dataset.skipped == [
        SkippedRow("listings.csv", 4, "listing_id 'a' was in line 2 already")
    ]


def test_links_may_stay_inside_and_not_leave(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    rows = [
        {"listing_id": "in", "image": "images/in.jpg"},
        {"listing_id": "out", "image": "images/out.jpg"},
        {"listing_id": "below", "image": "images/folder/outside.jpg"},
        {"listing_id": "round", "image": "images/loop.jpg"},
        *good(400),
    ]
    folder = make_dataset(rows)
    (folder / "images/real.jpg").write_bytes(b"photo")
    (folder / "images/in.jpg").symlink_to("real.jpg")
    (folder / "images/out.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "images/folder").symlink_to(tmp_path)
    (folder / "images/loop.jpg").symlink_to("loop.jpg")
    dataset = read_dataset(folder)
    assert dataset.listings[0].images == (folder / "images/real.jpg",)
    assert [row.line for row in dataset.skipped] == [3, 4, 5]


def test_a_photo_that_is_not_there_stays_for_others_to_judge(make_dataset: MakeDataset) -> None:
    folder = make_dataset([{"listing_id": "a", "image": "images/none.jpg"}])
    assert read_dataset(folder).listings[0].images == (folder / "images/none.jpg",)


def test_the_folder_itself_may_be_a_link(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = make_dataset([{"listing_id": "a", "image": "images/1.jpg"}])
    (tmp_path / "link").symlink_to(folder)
    assert read_dataset(tmp_path / "link").listings[0].images == (folder / "images/1.jpg",)


def test_sales_and_their_reversals(make_dataset: MakeDataset) -> None:
    back = {**SALE, "price": "-10", "sold_at": "2024-05-09T00:00:00Z", "seller_id": "s"}
    dataset = read_dataset(make_dataset(sales=[SALE, SALE, back, {**SALE, "price": "0"}]))
    sale = SaleRow(
        "t1", "a", None, None, 1000, "GBP", datetime(2024, 5, 1, 10, tzinfo=UTC), reversed=False
    )
    assert dataset.sales[:2] == [sale, sale]
    assert dataset.sales[2] == SaleRow(
        "t1", "a", "s", None, 1000, "GBP", datetime(2024, 5, 9, tzinfo=UTC), reversed=True
    )
    assert (dataset.sales[3].price_minor, dataset.sales[3].reversed) == (0, False)
    assert dataset.listings == []


@pytest.mark.parametrize("column", ["transaction_id", "listing_id", "price", "sold_at"])
def test_a_sale_needs_all_of_these(make_dataset: MakeDataset, column: str) -> None:
    dataset = read_dataset(make_dataset(sales=[{**SALE, column: ""}, *[SALE] * 100]))
    assert dataset.skipped == [SkippedRow("sales.csv", 2, f"{column} is missing")]


def test_compressed_sales(make_dataset: MakeDataset) -> None:
    folder = make_dataset(sales=[SALE, SALE])
    plain = folder / "sales.csv"
    (folder / "sales.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(DatasetError, match="both"):
        read_dataset(folder)
    plain.unlink()
    assert [sale.price_minor for sale in read_dataset(folder).sales] == [1000, 1000]


@pytest.mark.parametrize("damage", ["cut", "not compressed", "flipped"])
def test_damaged_compression(make_dataset: MakeDataset, damage: str) -> None:
    folder = make_dataset(sales=[{**SALE, "transaction_id": f"t{n}"} for n in range(500)])
    plain = folder / "sales.csv"
    packed = bytearray(gzip.compress(plain.read_bytes()))
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed = bytearray(plain.read_bytes())
    plain.unlink()
    (folder / "sales.csv.gz").write_bytes(packed)
    with pytest.raises(DatasetError, match=r"sales\.csv\.gz"):
        read_dataset(folder)


def test_a_byte_order_mark_is_no_part_of_the_header(make_dataset: MakeDataset) -> None:
    folder = make_dataset(good(1))
    path = folder / "listings.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [row.listing_id for row in read_dataset(folder).listings] == ["good-0"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "lacks the columns listing_id"),
        (b"listing_id,price\na,1\n", "lacks the columns seller_id, category, image, currency"),
        (b"{header},price\n", "names a column twice"),
        (b"{header}\n", "has no rows"),
        (b"{header}\na,,,,,,,,,,,caf\xe9\n", "is not UTF-8"),
        (b"{header}\na,,,,,,,,,,,\0\n", "line 2 has a NUL byte"),
        (b"{header}\n" + b"a" * MAX_LINE_CHARACTERS, "line 2 is longer than 131072 characters"),
        (b'{header}\na,,,,,,,,,,,"open\nb,,,,,,,,,,,\n', "quote opened in line 2 is not closed"),
        (b'{header}\n"' + b"a\n" * 70_000 + b'"', "quote opened in line 2"),
        (b'{header}\n"a"b,,,,,,,,,,,\n', "1 of 1 rows cannot be read.*broken quotes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_that_cannot_be_used(
    make_dataset: MakeDataset, content: bytes, sentence: str
) -> None:
    folder = make_dataset(good(1))
    path = folder / "listings.csv"
    header = path.read_bytes().split(b"\n")[0]
    path.write_bytes(content.replace(b"{header}", header))
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_dataset(folder)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"currency": "GBP"}', "name must be a text"),
        (b'{"name": "n", "currency": "Pounds"}', "ISO 4217"),
        (b'{"name": "n", "currency": 3}', "ISO 4217"),
        (b'{"name": "n", "listings": "many"}', "whole number"),
    ],
)
def test_a_description_that_cannot_be_used(
    make_dataset: MakeDataset, content: bytes, sentence: str
) -> None:
    folder = make_dataset(good(1))
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(DatasetError, match=sentence):
        read_dataset(folder)


def test_missing_files(make_dataset: MakeDataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        read_dataset(tmp_path / "nowhere")
    folder = make_dataset(sales=[SALE], description={"name": "n", "listings": 12})
    with pytest.raises(DatasetError, match=r"listings\.csv is missing.* 12 rows"):
        read_dataset(folder)
    (folder / "sales.csv").unlink()
    (folder / "dataset.json").write_text('{"name": "n"}')
    with pytest.raises(DatasetError, match=r"neither listings\.csv nor sales\.csv"):
        read_dataset(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"dataset\.json cannot be read: No such file"):
        read_dataset(folder)

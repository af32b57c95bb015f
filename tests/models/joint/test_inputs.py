import numpy as np

from models.joint.inputs import category_levels, category_vocabulary, input_rows
from stats_store.features import STATISTICS_WIDTH, feature_vector, statistics_of
from stats_store.histogram import PriceHistogram


def test_levels_of_a_path() -> None:
    assert category_levels("A > B > C") == ["A", "A > B", "A > B > C"]
    assert category_levels(None) == []


def test_vocabulary_has_the_levels_that_are_common_enough() -> None:
    categories = ["A > B", "A > B", "A > C", "D", None]
    assert category_vocabulary(categories, min_listings=2) == ("A", "A > B")


def test_rows_are_features_then_statistics_then_levels() -> None:
    sold = PriceHistogram()
    sold.add_many([1000, 2000, 3000])
    statistics = statistics_of(None, None, sold, "GBP")
    features = np.array([[0.5, 1.5], [2.5, 3.5], [4.5, 5.5]], dtype=np.float32)
    rows = input_rows(features, [statistics] * 3, ["A > B", "Z", None], ["A", "A > B", "C"])
    assert rows.shape == (3, 2 + STATISTICS_WIDTH + 3)
    assert rows.dtype == np.float32
    assert rows[:, :2].tolist() == features.tolist()
    for row in rows:
        assert row[2 : 2 + STATISTICS_WIDTH].tolist() == feature_vector(statistics).tolist()
    assert rows[0, -3:].tolist() == [1, 1, 0]
    assert rows[1, -3:].tolist() == [0, 0, 0]
    assert np.isnan(rows[2, -3:]).all()  # not known is not the same as none of these

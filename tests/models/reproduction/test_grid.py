from models.bundle.manifest import RuleName
from models.reproduction.estimate import seconds_left
from models.reproduction.grid import TABLES, Cell, FeatureSet, Setting, grid, settings_of


def test_what_two_tables_share_is_trained_once() -> None:
    alone = {table: set(settings_of(table)) for table in TABLES}
    assert [len(alone[table]) for table in TABLES] == [0, 5, 5, 6, 4, 10]
    every = grid(TABLES, 2, perfect=True)
    assert len(every) == len(set(every)) == 2 * len(set().union(*alone.values()))
    # delta 0.5 is in Tables 2, 4 and 6
    assert sum(Setting() in settings for settings in alone.values()) == 3


def test_the_first_seed_comes_first() -> None:
    assert [cell.seed for cell in grid((5,), 3, perfect=False)] == [0] * 4 + [1] * 4 + [2] * 4


def test_what_nobody_knows_is_not_trained() -> None:
    bound = Cell(Setting(features=FeatureSet.PERFECT), 0)
    known, unknown = (grid((6,), 1, perfect=perfect) for perfect in (True, False))
    assert bound in known
    assert unknown == [cell for cell in known if cell != bound]


def test_tables_four_and_five_are_of_both_rules() -> None:
    for rule in RuleName:
        assert Setting(rule=rule, warm_up=False, kernel=False) in settings_of(5)
        for features in (FeatureSet.STFE, FeatureSet.MSTFE, FeatureSet.PRETRAINED):
            assert Setting(rule=rule, features=features) in settings_of(4)


def test_time_left_goes_by_the_method_and_the_jobs() -> None:
    ridge, other = Setting(method="ridge"), Setting(method="boosting")
    took = [(Cell(Setting(), 0), 30.0), (Cell(Setting(), 1), 50.0), (Cell(ridge, 0), 4.0)]
    left = [Cell(Setting(), 2), Cell(ridge, 1), Cell(other, 0)]
    # 40 of the same method, 4 of the same, 28 as all that is known
    assert seconds_left(left, took, 2) == (40 + 4 + 28) / 2
    assert seconds_left(left[:1], took, 2) == 40

"""Tables 2 to 6: what every setting came to, beside what the paper reports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from models.bundle.manifest import RuleName
from models.reproduction.cell import Outcome
from models.reproduction.directions import Runs, ahead, higher, near, rises, spans
from models.reproduction.figure import Figure, Kind, figure
from models.reproduction.grid import JOINT, FeatureSet, Setting, settings_of
from models.reproduction.paper import TABLE_2, TABLE_3, TABLE_4, TABLE_5, Reported
from models.reproduction.table import Table

Outcomes = Mapping[Setting, Sequence[Outcome]]
"""Of each setting, what its seeds came to, in their order."""

# Name of a column, field of the measures, kind.
_COLUMNS = (
    ("positives", "positives", Kind.COUNT),
    ("share", "share", Kind.SHARE),
    ("MALE", "male", Kind.ERROR),
    ("RMSLE", "rmsle", Kind.ERROR),
    ("within 20 %", "within_20", Kind.SHARE),
    ("range holds", "range_coverage", Kind.SHARE),
    ("AURC", "aurc", Kind.ERROR),
    ("oracle MALE", "oracle_male", Kind.ERROR),
    ("MALE of all", "male_all", Kind.ERROR),
    ("R² of all", "r2_all", Kind.ERROR),
)
_PAPER = ("paper: positives", "paper: share", "paper: MALE", "paper: RMSLE")


def percentile_table(outcomes: Outcomes) -> Table:
    """Return Table 2."""
    settings, paper = settings_of(2), list(TABLE_2.values())
    at = [setting.parameter for setting in settings]
    shares = _runs(settings, outcomes, "share")
    return replace(
        _table(settings, outcomes, lambda one: f"{one.parameter:g}", paper),
        number=2,
        title="Percentile rule",
        sentences=[
            near("The share of positives", at, shares, [one.share for one in paper]),
            *_errors_rise("delta", settings, outcomes, paper),
            *_promises(settings, outcomes),
        ],
    )


def threshold_table(outcomes: Outcomes) -> Table:
    """Return Table 3."""
    settings, paper = settings_of(3), list(TABLE_3.values())
    at = [setting.parameter for setting in settings]
    shares = _runs(settings, outcomes, "share")
    return replace(
        _table(settings, outcomes, lambda one: f"{one.parameter:g}", paper),
        number=3,
        title="Threshold rule",
        sentences=[
            rises("The share of positives", "epsilon", at, shares, [one.share for one in paper]),
            *_errors_rise("epsilon", settings, outcomes, paper),
            *_promises(settings, outcomes),
        ],
    )


def features_table(outcomes: Outcomes) -> Table:
    """Return Table 4, and in it the features of the backbone as it was pretrained."""
    settings = settings_of(4)
    paper = [TABLE_4.get((one.rule, one.features)) for one in settings]
    sentences = []
    for rule in RuleName:
        tasks = Setting(rule=rule, features=FeatureSet.MSTFE)
        price = Setting(rule=rule, features=FeatureSet.STFE)
        lead = (TABLE_4[rule, "MSTFE"], TABLE_4[rule, "STFE"])
        sentences += _better("MSTFE", "STFE", tasks, price, outcomes, lead)
        pretrained = Setting(rule=rule)
        sentences += _better("MSTFE", "the pretrained", tasks, pretrained, outcomes)
    return replace(
        _table(settings, outcomes, lambda one: f"{one.rule}, {one.features}", paper),
        number=4,
        title="Features: from the price (STFE), from the four tasks (MSTFE), as pretrained",
        sentences=sentences,
    )


def warm_up_table(outcomes: Outcomes) -> Table:
    """Return Table 5."""
    settings = settings_of(5)
    paper = [TABLE_5[one.rule, one.warm_up] for one in settings]
    sentences = []
    for rule in RuleName:
        warm, cold = (
            Setting(rule=rule, warm_up=warm_up, kernel=False) for warm_up in (True, False)
        )
        lead = (TABLE_5[rule, True], TABLE_5[rule, False])
        sentences += _better("Warm-up", "training without", warm, cold, outcomes, lead)
    return replace(
        _table(
            settings,
            outcomes,
            lambda one: f"{one.rule}, {'with' if one.warm_up else 'without'} warm-up",
            paper,
        ),
        number=5,
        title="Warm-up",
        sentences=sentences,
    )


def baselines_table(outcomes: Outcomes) -> Table:
    """Return Table 6: other ways to price and refuse, at the share of the joint networks."""
    settings = [one for one in settings_of(6) if one in outcomes]
    names = [_method(one) for one in settings]
    joint = settings[: settings.index(Setting(kernel=False)) + 1]
    perfect = Setting(features=FeatureSet.PERFECT)
    return replace(
        _table(settings, outcomes, _method, [None] * len(settings)),
        number=6,
        title="The joint networks and other ways to price and to refuse, delta 0.5",
        sentences=[
            ahead(_method(one).capitalize(), name, "MALE", *_pair(one, other, outcomes, "male"))
            for one in joint
            for name, other in zip(names, settings, strict=True)
            if other not in joint[: joint.index(one) + 1] and other != perfect
        ]
        + (_bound(perfect, outcomes) if perfect in outcomes else []),
    )


def _bound(perfect: Setting, outcomes: Outcomes) -> list[str]:
    """Say how much of what is left to the oracle a better reader of photos could win."""
    ours = Setting()
    name = _method(perfect)
    lead = ahead(name.capitalize(), _method(ours), "MALE", *_pair(perfect, ours, outcomes, "male"))
    above = [figure(Kind.ERROR, _regrets(one, outcomes)) for one in (perfect, ours)]
    if None in above:
        return [lead]
    return [
        lead,
        f"MALE less that of the oracle, which answers as many: {name} {above[0]}, "
        f"{_method(ours)} {above[1]}. The first is left to whoever reads photos without a mistake: "
        "seller's habit and category's trend are told by the statistics alone, and not exactly.",
    ]


def _method(setting: Setting) -> str:
    if setting.features is FeatureSet.PERFECT:
        return "perfect reading of the photo"
    plain = setting.method == JOINT and not setting.kernel
    return f"{setting.method}, no kernel" if plain else setting.method


TABLE_BY_NUMBER: Mapping[int, Callable[[Outcomes], Table]] = {
    2: percentile_table,
    3: threshold_table,
    4: features_table,
    5: warm_up_table,
    6: baselines_table,
}


def _table(
    settings: Sequence[Setting],
    outcomes: Outcomes,
    name: Callable[[Setting], str],
    paper: Sequence[Reported | None],
) -> Table:
    """Return the columns of ours that have a figure, then those of the paper if it has any."""
    columns = {
        title: [figure(kind, runs) for runs in _runs(settings, outcomes, field)]
        for title, field, kind in _COLUMNS
    }
    columns = {title: column for title, column in columns.items() if any(column)}
    if any(paper):
        of_paper = zip(*(_reported(row) for row in paper), strict=True)
        columns |= {title: list(column) for title, column in zip(_PAPER, of_paper, strict=True)}
    names = [name(setting) for setting in settings]
    remarks = [
        f"{row}, seed {seed}: {outcome.error}"
        for row, setting in zip(names, settings, strict=True)
        for seed, outcome in enumerate(outcomes[setting])
        if outcome.error
    ]
    return Table(
        number=0,
        title="",
        header=("", *columns),
        rows=list(zip(names, zip(*columns.values(), strict=True), strict=True)),
        remarks=remarks,
    )


def _reported(row: Reported | None) -> list[Figure | None]:
    if row is None:
        return [None] * len(_PAPER)
    return [
        Figure(Kind.COUNT, (float(row.positives),)),
        Figure(Kind.SHARE, (row.share,)),
        Figure(Kind.ERROR, (row.male,)),
        Figure(Kind.ERROR, (row.rmsle,)),
    ]


def _runs(settings: Sequence[Setting], outcomes: Outcomes, field: str) -> list[Runs]:
    return [
        [getattr(one.measures, field) if one.measures else None for one in outcomes[setting]]
        for setting in settings
    ]


def _pair(first: Setting, second: Setting, outcomes: Outcomes, field: str) -> tuple[Runs, Runs]:
    one, other = _runs([first, second], outcomes, field)
    return one, other


def _errors_rise(
    parameter: str, settings: Sequence[Setting], outcomes: Outcomes, paper: Sequence[Reported]
) -> list[str]:
    at = [setting.parameter for setting in settings]
    male, rmsle = ([one.male for one in paper], [one.rmsle for one in paper])
    return [
        rises("MALE", parameter, at, _runs(settings, outcomes, "male"), male),
        rises("RMSLE", parameter, at, _runs(settings, outcomes, "rmsle"), rmsle),
    ]


def _promises(settings: Sequence[Setting], outcomes: Outcomes) -> list[str]:
    """Say what is beyond the paper: the range, and how far the best possible answer is."""
    held = spans(Kind.SHARE, _runs(settings, outcomes, "range_coverage"))
    regret = spans(Kind.ERROR, [_regrets(one, outcomes) for one in settings])
    return [
        *([f"The range, made for 80 %, holds the sold price of {held}."] if held else []),
        *([f"MALE less that of the oracle, which answers as many: {regret}."] if regret else []),
    ]


def _regrets(setting: Setting, outcomes: Outcomes) -> Runs:
    """Return by how much the MALE of each run is above the oracle's on as many listings."""
    ours, best = _runs([setting], outcomes, "male")[0], _runs([setting], outcomes, "oracle_male")[0]
    return [
        one - other if one is not None and other is not None else None
        for one, other in zip(ours, best, strict=True)
    ]


def _better(
    name: str,
    other: str,
    first: Setting,
    second: Setting,
    outcomes: Outcomes,
    paper: tuple[Reported, Reported] | None = None,
) -> list[str]:
    """Say whether the first setting has smaller errors, and more positives where that is free."""
    male, share = (_pair(first, second, outcomes, field) for field in ("male", "share"))
    rule = f"({first.rule} rule)"
    lead = paper[1].male - paper[0].male if paper else None
    sentences = [ahead(name, other, f"MALE {rule}", *male, paper=lead)]
    if first.rule is RuleName.THRESHOLD:
        gain = paper[0].share - paper[1].share if paper else None
        sentences.append(higher(name, other, f"share of positives {rule}", *share, paper=gain))
    return sentences

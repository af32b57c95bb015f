"""The sections that show listings: samples of both answers, the best, the worst, every reason."""

from collections.abc import Callable, Sequence

from models.bundle.manifest import Manifest, RuleName
from models.evaluation.metrics import PriceErrors
from models.report.cards import card, spread
from models.report.section import Section, number, percent
from models.report.subject import Item, Subject
from schemas.suggestion import ReuploadReason

SellerHint = Callable[[ReuploadReason], str]
"""What a seller is told beside a reason."""

_SAMPLE = 12
_EXTREMES = 6
_EACH_REASON = 4

# Numbers of the paper's figures: positives, negatives.
_FIGURES = {RuleName.PERCENTILE: (6, 7), RuleName.THRESHOLD: (8, 9)}


def sample_sections(subject: Subject, manifest: Manifest) -> list[Section]:
    """Return the paper's two figures of examples for the rule of the bundle."""
    positives, negatives = _FIGURES[manifest.rule.name]
    rule = f"the {manifest.rule.name} rule"
    accepted, refused = _samples(subject)
    return [
        Section(
            anchor=f"figure-{positives}",
            title=f"Figure {positives}: listings that get a price under {rule}",
            lead="An even sample, not a choice of the best: what the thing sold for, and what was "
            "suggested with its range."
            if accepted
            else "No listing with a known price gets a suggestion.",
            cards=[card(item, manifest.currency) for item in accepted],
        ),
        Section(
            anchor=f"figure-{negatives}",
            title=f"Figure {negatives}: listings that are asked for a better photo under {rule}",
            lead="An even sample. The colour of the frame is the reason: red too little to see, "
            "green bad light, blue blurred, grey anything else."
            if refused
            else "No listing is asked for a better photo.",
            cards=[card(item, manifest.currency) for item in refused],
        ),
    ]


def _samples(subject: Subject) -> tuple[list[Item], list[Item]]:
    return spread(subject.accepted, _SAMPLE), spread(subject.refused, _SAMPLE)


def extreme_sections(subject: Subject, currency: str) -> list[Section]:
    """Return the suggestions closest to and farthest from the sold price."""
    ranked = sorted(subject.accepted, key=lambda item: abs(item.error or 0.0))
    many = min(_EXTREMES, len(ranked) // 2)
    if not many:
        text = f"{len(ranked)} suggestions can be compared with a sold price: too few to rank."
        return [Section(anchor="best", title="Best and worst suggestions", lead=text)]
    return [
        Section(
            anchor="best",
            title="Best suggestions",
            lead=f"The {many} closest to the sold price, of {len(ranked):,}.",
            cards=[card(item, currency) for item in ranked[:many]],
        ),
        Section(
            anchor="worst",
            title="Worst suggestions",
            lead=f"The {many} farthest from the sold price, of {len(ranked):,}. Look for what the "
            "photo does not tell, and for prices that are themselves odd.",
            cards=[card(item, currency) for item in reversed(ranked[-many:])],
        ),
    ]


def gate_section(
    subject: Subject, currency: str, refused_errors: PriceErrors, seller_hint: SellerHint
) -> Section:
    """Return what was refused and why: every reason with its count and examples.

    Args:
        subject: the listings.
        currency: of the prices.
        refused_errors: of the estimates that the refused would have got.
        seller_hint: what a seller is told.
    """
    refused = subject.refused
    if not refused:
        return Section(anchor="gate", title="What is refused, and why", lead="Nothing is refused.")
    by_reason: dict[ReuploadReason, list[Item]] = {}
    for item in refused:
        if item.prediction.reason is not None:
            by_reason.setdefault(item.prediction.reason, []).append(item)
    lead = (
        f"{len(refused):,} of {len(subject.items):,} listings "
        f"({percent(len(refused) / len(subject.items))}) are asked for a better photo."
    )
    if refused_errors.male is not None and subject.metrics.accepted_only.male is not None:
        lead += (
            " Had they been priced all the same, their mean error (MALE) would have been "
            f"{number(refused_errors.male)}, against {number(subject.metrics.accepted_only.male)} "
            "of those that are."
        )
    _, shown = _samples(subject)
    ordered = sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0].value))
    return Section(
        anchor="gate",
        title="What is refused, and why",
        lead=lead,
        parts=[
            Section(
                anchor=f"reason-{reason.value}",
                title=f"{reason.value.replace('_', ' ')}: {len(items):,} "
                f"({percent(len(items) / len(refused))} of the refused)",
                lead=f"The seller is told: “{seller_hint(reason)}”",
                cards=[card(item, currency) for item in _others_first(items, shown)],
            )
            for reason, items in ordered
        ],
    )


def _others_first(items: Sequence[Item], shown: Sequence[Item]) -> list[Item]:
    """Return examples that the page does not show yet, if there are enough of them."""
    known = {item.row.listing_id for item in shown}
    others = [item for item in items if item.row.listing_id not in known]
    return spread(others if len(others) >= _EACH_REASON else items, _EACH_REASON)

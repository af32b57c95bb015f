import pytest

from schemas.suggestion import Reason, ReuploadReason
from workers.suggest.hints import hint_for


@pytest.mark.parametrize("code", list(ReuploadReason))
def test_every_reason_has_a_hint_that_fits_the_event(code: ReuploadReason) -> None:
    hint = hint_for(code)

    assert Reason(code=code, hint=hint).hint == hint
    assert hint[0].isupper()
    assert hint.endswith(".")


def test_hints_differ() -> None:
    assert len({hint_for(code) for code in ReuploadReason}) == len(ReuploadReason)

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.joint.dropout import Dropout


@settings(deadline=None, max_examples=40)
@given(
    share=st.floats(0.01, 0.9),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    turned=st.booleans(),
)
def test_every_number_is_left_out_or_scaled_and_its_gradient_with_it(
    share: float, rows: int, columns: int, turned: bool
) -> None:
    numbers = torch.rand(rows, columns) + 1
    numbers = (numbers.t() if turned else numbers).requires_grad_()
    found = Dropout(share)(numbers)
    scale = 256 / (256 - round(256 * share))
    kept = found != 0
    torch.testing.assert_close(found, kept * numbers * scale)
    found.sum().backward()
    torch.testing.assert_close(numbers.grad, kept * scale)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("type_", [torch.float32, torch.bfloat16])
def test_the_share_is_met_everywhere_and_the_mean_is_kept(share: float, type_: torch.dtype) -> None:
    torch.manual_seed(0)
    ones = torch.ones(400, 1000, dtype=type_)
    found = Dropout(share)(ones).float()
    # the deviation of a mean of n draws is sqrt(share (1 - share) / n) at most; 6 of them, and
    # 1/512 of rounding
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.003 + 1 / 512)
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
    for side in (0, 1):
        along = (found == 0).float().mean(dim=side)
        assert float((along - share).abs().max()) < 6 * (share * (1 - share) / 400) ** 0.5 + 1 / 512
    # neighbours share a draw of 64 bits, and are independent all the same
    zero = (found == 0).float()
    both = float((zero[:, :-1] * zero[:, 1:]).mean())
    assert both == pytest.approx(float(zero.mean()) ** 2, abs=0.005)


def test_nothing_is_left_out_when_not_training_or_at_a_share_of_zero() -> None:
    numbers = torch.randn(20, 30)
    assert torch.equal(Dropout(0.5).eval()(numbers), numbers)
    assert torch.equal(Dropout(0.0)(numbers), numbers)

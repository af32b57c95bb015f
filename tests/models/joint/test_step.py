import pytest
import torch
from torch import Tensor, nn

from models.joint import step
from models.joint.heads import Head
from models.joint.losses import PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork
from models.joint.step import Items, Step, batch_loss, coverage, resident

CPU = torch.device("cpu")
WIDTH = 24


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def multiplied_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Both, whatever this machine's CPU prefers."""
    type_: torch.dtype = request.param
    monkeypatch.setattr(step, "multiplied_in", lambda _: type_)
    return type_


def network(members: int = 1) -> JointNetwork:
    torch.manual_seed(0)
    return JointNetwork(WIDTH, members=members, hidden=(32, 16))


def items(of: JointNetwork, count: int = 96, members: int = 1) -> Items:
    draw = torch.Generator().manual_seed(1)
    rows = torch.randn(count, WIDTH, generator=draw)
    prices = rows[:, 0] + 0.1 * torch.randn(count, generator=draw)
    return Items(resident(of, rows, CPU), prices, torch.arange(count) % members)


def plain_head(head: Head, inputs: Tensor) -> Tensor:
    """Fig. 5 as one writes it down."""
    numbers = inputs
    layers = [layer for layer in head.layers if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(layers):
        numbers = numbers @ layer.weight.t() + layer.bias
        if number + 1 < len(layers):
            numbers = numbers.clamp(min=0)
    return numbers[:, 0]


def test_a_head_is_the_network_of_fig_5() -> None:
    made = network().gate
    inputs = torch.randn(7, WIDTH)
    torch.testing.assert_close(made(inputs), plain_head(made, inputs))


def test_resident_rows_are_the_scaled_ones(
    multiplied_in: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "_ROWS", 4)  # several chunks, the last one smaller
    made = network()
    rows = torch.randn(11, WIDTH)
    rows[3, 5] = torch.nan
    made.fit_scaling(rows.numpy(), 0.0)
    found = resident(made, rows, CPU)
    assert found.dtype == multiplied_in
    torch.testing.assert_close(found, made.scale(rows).to(multiplied_in), rtol=0, atol=0)
    with torch.no_grad():
        qualified = [plain_head(made.gate, row[None].float()).item() >= 0 for row in found]
    assert coverage(made.eval(), found) == pytest.approx(sum(qualified) / 11, abs=1 / 11)


@pytest.mark.parametrize("warm_up", [True, False])
@pytest.mark.parametrize("rule", [PercentileLoss(delta=0.5), ThresholdLoss(epsilon=0.4)])
def test_steps_are_those_of_a_plain_loop(
    rule: PercentileLoss | ThresholdLoss, warm_up: bool, multiplied_in: torch.dtype
) -> None:
    """Against plain layers, indexing and torch's optimizer without options, in float32."""
    ours, plain = network(), network()
    batches = torch.randperm(96, generator=torch.Generator().manual_seed(2))
    made = items(ours)
    optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    train = Step(ours, made, rule, optimizer, warm_up=warm_up, batch_size=40, captured=True)
    reference = torch.optim.Adam(plain.parameters(), lr=1e-3)
    losses = squares = 0.0
    inputs = made.inputs.float()
    for batch in torch.split(batches, 40):  # 40, 40 and 16 items
        train(batch)
        prices = plain_head(plain.prices[0], inputs[batch])  # type: ignore[arg-type]
        value = rule(
            prices, plain_head(plain.gate, inputs[batch]), made.prices[batch], warm_up=warm_up
        )
        losses += value.item()
        squares += ((made.prices[batch] - prices) ** 2).sum().item()
        reference.zero_grad()
        value.backward()
        reference.step()
    close = 1e-4 if multiplied_in is torch.float32 else 2e-2
    assert train.take_sums() == pytest.approx((losses, squares), rel=close)
    assert train.take_sums() == (0, 0)
    if multiplied_in is torch.float32:
        for name, value in ours.state_dict().items():
            torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("warm_up", [True, False])
@pytest.mark.parametrize("rule", [PercentileLoss(delta=0.5), ThresholdLoss(epsilon=0.4)])
def test_a_step_compiles_to_one_graph_that_gives_the_same_gradients(
    rule: PercentileLoss | ThresholdLoss, warm_up: bool, multiplied_in: torch.dtype
) -> None:
    """No part of it depends on values: what a capture on a GPU needs."""
    gradients = []
    torch.compiler.reset()
    for function in (batch_loss, torch.compile(batch_loss, fullgraph=True, backend="aot_eager")):
        made = network()
        of_all = items(made)
        value, errors = function(
            made, of_all.inputs, of_all.prices, of_all.left_out_by, rule, warm_up=warm_up
        )
        value.backward()  # type: ignore[no-untyped-call]
        gradients.append([value, errors, *(weights.grad for weights in made.parameters())])
    for eager, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(eager, compiled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("warm_up", [True, False])
def test_members_learn_from_the_items_that_they_do_not_leave_out(
    warm_up: bool, multiplied_in: torch.dtype
) -> None:
    made = network(members=3)
    of_all = items(made, members=3)
    value, errors = batch_loss(
        made,
        of_all.inputs,
        of_all.prices,
        of_all.left_out_by,
        PercentileLoss(delta=0.5),
        warm_up=warm_up,
    )
    value.backward()  # type: ignore[no-untyped-call]
    close = 1e-4 if multiplied_in is torch.float32 else 5e-2
    inputs = of_all.inputs.float()
    for number, head in enumerate(made.prices):
        assert isinstance(head, Head)
        last = head.layers[-1].bias
        assert isinstance(last, Tensor)
        price = plain_head(head, inputs).detach()
        error = of_all.prices - price
        own = of_all.left_out_by == number
        torch.testing.assert_close(errors[own], error[own], rtol=close, atol=close)
        takes_part = ~own if warm_up else ~own & (plain_head(made.gate, inputs) >= 0)
        # of count / (count - 1) mean(takes part e^2), by the last bias
        expected = -2 * 1.5 * float((takes_part * error).sum()) / 96
        assert last.grad is not None
        assert last.grad.item() == pytest.approx(expected, abs=close)

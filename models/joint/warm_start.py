"""Heads that begin as those of an earlier network, whatever happened to the columns since.

Scaling, target mean and category levels are of the training part, so they change from one training
to the next. A linear map between old and new columns is folded into the first layers: before its
first step the new network says what the old one says (but for values that are clipped or not
known, and for levels that only one of the two knows).
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models.joint.heads import HIDDEN, Head
from models.joint.kernel import COLUMNS, ERROR, PRICE
from models.joint.network import JointNetwork


def obstacle(earlier: JointNetwork, *, kernel: bool, members: int) -> str | None:
    """Say why a network cannot `begin_as` an earlier one, None where it can.

    Args:
        earlier: the other network.
        kernel: whether the network has kernel columns.
        members: its price heads.
    """
    if kernel != (earlier.kernel is not None):
        return "one of the two has kernel columns and the other has none"
    if members != len(earlier.prices):
        return f"it has {len(earlier.prices)} price heads, not {members}"
    if _hidden(earlier) != list(HIDDEN):
        return f"its hidden layers are {_hidden(earlier)}, not {list(HIDDEN)}"
    return None


def begin_as(
    network: JointNetwork,
    earlier: JointNetwork,
    *,
    levels: Sequence[str],
    earlier_levels: Sequence[str],
) -> None:
    """Set the heads of a network, whose scaling is fitted, to those of an earlier one.

    The columns before the levels must be the same in both: kernel, image features, statistics.
    A level that the earlier network did not know begins with weight 0; one that is gone counts
    as "not in it".

    Args:
        network: changed in place.
        earlier: with no `obstacle`.
        levels: `[V]` of the network's last columns.
        earlier_levels: of the earlier network's.

    Raises:
        ValueError: the columns before the levels differ in number.
    """
    shared = len(network.mean) - len(levels)
    if shared != len(earlier.mean) - len(earlier_levels):
        raise ValueError(f"{shared} columns before the levels, the earlier network has others")
    place = {level: shared + number for number, level in enumerate(earlier_levels)}
    source = [*range(shared), *(place.get(level, -1) for level in levels)]
    columns = _Columns(network, earlier, source)
    shift = float(earlier.target_mean - network.target_mean)
    with torch.no_grad():
        for head, before in zip(network.prices, earlier.prices, strict=True):
            columns.carry(cast(Head, head), cast(Head, before), PRICE, shift)
        columns.carry(network.gate, earlier.gate, ERROR, 0.0)


class _Columns:
    """Old scaled columns as a linear map of new ones: `old[from] = new * factor + offset`."""

    def __init__(self, network: JointNetwork, earlier: JointNetwork, source: list[int]) -> None:
        at = torch.tensor(source)
        self._known = torch.nonzero(at >= 0).flatten()
        self._from = at[self._known]
        self._factor = network.std[self._known] / earlier.std[self._from]
        # of a column that is gone: as it is where the listing is not in that level
        self._offset = -earlier.mean / earlier.std
        self._offset[self._from] += network.mean[self._known] / earlier.std[self._from]
        self._kernel = network.kernel is not None

    def carry(self, head: Head, before: Head, column: int, shift: float) -> None:
        """Copy a head; `column` is what it begins as, `shift` is added to what it says."""
        head.load_state_dict({**head.state_dict(), **_above_the_first(before)})
        first, first_before = (_linear(each)[0] for each in (head, before))
        first.weight.zero_()
        first.weight[:, self._known] = first_before.weight[:, self._from] * self._factor
        first.bias.copy_(first_before.bias + first_before.weight @ self._offset)
        last = _linear(head)[-1]
        last.bias.add_(shift)
        if self._kernel:
            assert column < COLUMNS  # noqa: S101 - the kernel's columns come first in both
            head.weight.copy_(before.weight * self._factor[column])
            last.bias.add_(float(before.weight * self._offset[column]))


def _linear(head: Head) -> list[nn.Linear]:
    return [layer for layer in head.layers if isinstance(layer, nn.Linear)]


def _above_the_first(head: Head) -> dict[str, Tensor]:
    first = next(name for name, layer in head.layers.named_children() if layer is _linear(head)[0])
    return {
        name: value
        for name, value in head.state_dict().items()
        if not name.startswith(f"layers.{first}.")
    }


def _hidden(network: JointNetwork) -> list[int]:
    return [layer.out_features for layer in _linear(network.gate)][:-1]

"""Losses that pass over what is not known: each is a mean over the known entries alone.

`known` is the number of known entries of the whole batch, where the arguments are a part of it (a
micro-batch, or one process's share): the parts then add up to the loss of the whole. Without a
known entry a loss is 0, with gradients of 0.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from models.extractors.tasks.labels import Task

LABEL_SMOOTHING = 0.1
"""Share of a label that is spread over all classes: labels are noisy (3.2), none is for certain."""

TaskLoss = Callable[[Tensor, Tensor, int], Tensor]
"""Takes outputs, targets and `known`."""


def masked_cross_entropy(
    logits: Tensor, labels: Tensor, known: int, *, label_smoothing: float = LABEL_SMOOTHING
) -> Tensor:
    """Return the cross entropy of one class of K.

    Args:
        logits: `[B, K]`.
        labels: int64 `[B]`, -1 where the class is not known.
        known: see the module.
        label_smoothing: in [0, 1); the target is (1 - it) for the label and it / K for each class.
    """
    total = F.cross_entropy(
        logits.float(), labels, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing
    )
    return total / max(1, known)


def masked_binary_cross_entropy(logits: Tensor, labels: Tensor, known: int) -> Tensor:
    """Return the cross entropy of K yes-or-no questions.

    Args:
        logits: `[B, K]`.
        labels: `[B, K]`: 1 yes, 0 no, -1 not known.
        known: see the module.
    """
    answered = labels >= 0
    total = F.binary_cross_entropy_with_logits(
        logits.float(), labels.clamp(min=0).float(), weight=answered.float(), reduction="sum"
    )
    return total / max(1, known)


def masked_squared_error(outputs: Tensor, values: Tensor, known: int) -> Tensor:
    """Return the squared error of one number.

    Args:
        outputs: `[B, 1]`.
        values: `[B]`, NaN where it is not known.
        known: see the module.
    """
    given = ~values.isnan()
    # the NaN goes before the difference: 0 * NaN would be NaN in the gradient
    errors = torch.where(given, values, 0.0) - outputs.float().squeeze(1)
    return (errors**2 * given).sum() / max(1, known)


TASK_LOSSES: Mapping[Task, TaskLoss] = {
    Task.CATEGORY: masked_cross_entropy,
    Task.BRAND: masked_cross_entropy,
    Task.ATTRIBUTE: masked_binary_cross_entropy,
    Task.SPECIFICATION: masked_binary_cross_entropy,
    Task.PRICE: masked_squared_error,
}

"""What can be wrong with a choice of backbone or of the device that runs it."""

from typing import ClassVar

from models.errors import ModelsError


class UnknownBackboneError(ModelsError):
    """No backbone has this name; the message lists those there are."""

    exit_code: ClassVar[int] = 2


class WeightsMissingError(ModelsError):
    """The pretrained weights are not on this machine; the message says how to bring them."""

    exit_code: ClassVar[int] = 3


class ExportError(ModelsError):
    """The exported network does not give the features of the network it came from."""


class DeviceError(ModelsError):
    """The device that was asked for is not there."""

    exit_code: ClassVar[int] = 3

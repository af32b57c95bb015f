"""The backbones there are, by name."""

from models.extractors.errors import UnknownBackboneError
from models.extractors.lite2 import Lite2
from models.extractors.protocol import DivisibleBackbone
from models.extractors.resnet import ResNet18, ResNet50

_BACKBONES: dict[str, type[DivisibleBackbone]] = {
    "lite2": Lite2,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
}
BACKBONE_NAMES = tuple(_BACKBONES)


def backbone(name: str) -> DivisibleBackbone:
    """Return the backbone of that name; nothing is loaded yet.

    Raises:
        UnknownBackboneError: there is none of that name.
    """
    try:
        return _BACKBONES[name]()
    except KeyError:
        raise UnknownBackboneError(
            f"no backbone is named {name!r}; there are {', '.join(BACKBONE_NAMES)}"
        ) from None

"""Early stopping of the warm-up: remembers the price network that did best on the validation."""

import torch
from torch import Tensor

from models.joint.network import JointNetwork
from models.joint.step import mixed_precision


class BestPrice:
    """Watches the price network by its mean squared error on the validation part.

    Only the price network, and only while C_1 is 1: the risk of the accepted share is measured
    on half as many items, and choosing an epoch by it did worse than taking the last one.

    Attributes:
        least: the smallest mean squared error so far; infinite before the first.
        weights: of the price network that had it, by name; empty before the first.
    """

    def __init__(self, network: JointNetwork, inputs: Tensor, prices: Tensor) -> None:
        """Watch `network` on the scaled inputs `[M, width]` and centred prices `[M]`."""
        self._network = network
        self._inputs = inputs
        self._prices = prices
        self.least = float("inf")
        self.weights: dict[str, Tensor] = {}

    def see(self) -> None:
        """Measure the price network as it is now, and remember it where it is the best so far."""
        self._network.eval()
        with torch.inference_mode(), mixed_precision(self._inputs.device):
            prices = self._network.member_prices(self._inputs).float().mean(dim=0)
            error = float(((prices - self._prices) ** 2).mean())
        if error < self.least:
            self.least = error
            state = self._network.prices.state_dict()
            self.weights = {name: value.clone() for name, value in state.items()}

    def restore(self) -> None:
        """Give the network the best weights seen, if any were."""
        if self.weights:
            self._network.prices.load_state_dict(self.weights)

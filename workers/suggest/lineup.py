"""The models in use: one that answers, one for a share of the sellers, one in the shadow."""

import hashlib
from dataclasses import dataclass

from models.pricer import Pricer
from schemas.model import ModelRole


@dataclass(frozen=True, slots=True)
class Lineup:
    """Who answers whom. A change of models is another lineup; nothing in one changes.

    Attributes:
        live: answers every seller whom the canary does not.
        canary: answers `canary_share` of the sellers.
        canary_share: 0 to 1.
        shadow: answers every listing beside the others, and is not heard.
    """

    live: Pricer
    canary: Pricer | None = None
    canary_share: float = 0.0
    shadow: Pricer | None = None

    def answering(self, seller_id: str) -> tuple[ModelRole, Pricer]:
        """Return who answers a seller: always the same one as long as canary and share stay.

        The canary's version is part of the hash, so another canary has other sellers; with a
        larger share it keeps those that it had.
        """
        if self.canary is not None:
            text = f"{self.canary.version}\n{seller_id}".encode()
            draw = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
            if draw < self.canary_share:
                return ModelRole.CANARY, self.canary
        return ModelRole.LIVE, self.live

    def by_role(self) -> dict[ModelRole, Pricer]:
        """Return the models by their role."""
        roles = {
            ModelRole.LIVE: self.live,
            ModelRole.CANARY: self.canary,
            ModelRole.SHADOW: self.shadow,
        }
        return {role: pricer for role, pricer in roles.items() if pricer is not None}

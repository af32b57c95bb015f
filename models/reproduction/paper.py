"""What the paper reports (section 4), to hold its direction against ours.

Its data are 97,580 listings of another platform: sizes are not to be compared, directions are.
"""

from typing import NamedTuple

TESTED = 97_580  # listings of the testing part, Table 1


class Reported(NamedTuple):
    """Positive items of the testing part, and MALE and RMSLE over them."""

    positives: int
    male: float
    rmsle: float

    @property
    def share(self) -> float:
        """Positive items of all that were tested; the paper prints it in Tables 2 and 3 only."""
        return self.positives / TESTED


TABLE_2 = {  # by the percentile
    0.3: Reported(29_468, 0.3573, 0.4828),
    0.4: Reported(39_694, 0.3685, 0.5023),
    0.5: Reported(48_871, 0.3864, 0.5302),
    0.6: Reported(60_781, 0.4012, 0.5502),
    0.7: Reported(69_794, 0.4132, 0.5666),
}
TABLE_3 = {  # by epsilon
    0.3: Reported(34_256, 0.3427, 0.4764),
    0.4: Reported(52_561, 0.3776, 0.5223),
    0.5: Reported(67_365, 0.4033, 0.5553),
    0.6: Reported(77_264, 0.4265, 0.5878),
    0.7: Reported(80_297, 0.4309, 0.5917),
}
TABLE_4 = {  # by rule and features
    ("percentile", "STFE"): Reported(46_583, 0.4008, 0.5421),
    ("percentile", "MSTFE"): Reported(48_871, 0.3864, 0.5302),
    ("threshold", "STFE"): Reported(58_949, 0.4104, 0.5572),
    ("threshold", "MSTFE"): Reported(67_365, 0.4033, 0.5553),
}
TABLE_5 = {  # by rule and whether there was a warm-up
    ("percentile", False): Reported(48_130, 0.3940, 0.5343),
    ("percentile", True): Reported(48_871, 0.3864, 0.5302),
    ("threshold", False): Reported(55_575, 0.4058, 0.5484),
    ("threshold", True): Reported(67_365, 0.4033, 0.5553),
}

from pathlib import Path

import pytest

from models.errors import BundleError
from models.pricer import Pricer
from models.trial import try_out
from tests.red_bundle import write_red_bundle


def test_a_sound_bundle_passes(red_bundle: Path) -> None:
    try_out(Pricer.load(red_bundle))


@pytest.mark.parametrize("base", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(base: float, tmp_path: Path) -> None:
    pricer = Pricer.load(write_red_bundle(tmp_path / "bundle", base=base))

    with pytest.raises(BundleError, match=pricer.version):
        try_out(pricer)

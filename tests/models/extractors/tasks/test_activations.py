from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import ModelsError
from models.extractors.tasks.activations import ActivationStore
from models.extractors.tasks.network import Depth
from models.extractors.tasks.samples import PhotoFiles, StoredActivations

Photos = Callable[[int], list[tuple[str, Path]]]


@pytest.fixture
def paths(coloured_photos: Photos) -> list[Path]:
    return [path for _, path in coloured_photos(20)]


def expected(stages: Any, path: Path, *, mirrored: bool) -> Any:
    with Image.open(path) as image:
        pixels = torch.from_numpy(stages.preprocess(image.convert("RGB")))[None]
    trunk, _ = stages.split()
    return trunk(pixels.flip(3) if mirrored else pixels)[0].numpy()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def test_rows_are_the_activations_of_photo_and_mirror_image(
    stages: Any, paths: list[Path], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    store = ActivationStore(tmp_path / "store", stages, Depth.LAST)
    store.fill(paths, progress=lambda *step: told.append(step))
    assert store.shape == (4, 7, 7)
    rows = store.open()[store.rows_of(paths[::-1])]
    for path, row in zip(paths[::-1], rows, strict=True):
        for side in (0, 1):
            np.testing.assert_allclose(
                row[side], expected(stages, path, mirrored=bool(side)), rtol=2e-3, atol=2e-3
            )
    assert (told[0], told[-1]) == ((0, 20), (20, 20))


def test_a_photo_goes_through_the_trunk_once(
    stages: Any, paths: list[Path], tmp_path: Path
) -> None:
    store = ActivationStore(tmp_path / "store", stages, Depth.LAST)
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    store.fill([*paths[:5], copy])
    before, built = contents(tmp_path / "store"), stages.built
    assert store.open().shape == (5, 2, 4, 7, 7)
    store.fill(paths[:5])
    assert (contents(tmp_path / "store"), stages.built) == (before, built)
    store.fill(paths)
    after = contents(tmp_path / "store")
    assert after[".f16"].startswith(before[".f16"])
    assert store.open().shape == (20, 2, 4, 7, 7)


def test_depths_are_kept_apart(stages: Any, paths: list[Path], tmp_path: Path) -> None:
    for depth in (Depth.LAST, Depth.FROZEN):
        ActivationStore(tmp_path / "store", stages, depth).fill(paths[:2])
    assert len(list((tmp_path / "store").glob("*.f16"))) == 2
    assert ActivationStore(tmp_path / "store", stages, Depth.FROZEN).open().shape == (2, 2, 8)


@pytest.mark.parametrize("damage", ["a row cut off", "half an entry", "another byte", "no index"])
def test_what_is_not_whole_is_computed_anew(
    stages: Any, paths: list[Path], tmp_path: Path, damage: str
) -> None:
    store = ActivationStore(tmp_path / "store", stages, Depth.LAST)
    store.fill(paths)
    whole = contents(tmp_path / "store")
    (rows,), (index,) = ((tmp_path / "store").glob(f"*{end}") for end in (".f16", ".index"))
    if damage == "a row cut off":
        rows.write_bytes(whole[".f16"][:-10])
    elif damage == "half an entry":
        index.write_bytes(whole[".index"][:-10])
    elif damage == "another byte":
        changed = bytearray(whole[".f16"])
        changed[len(changed) // 2] ^= 1
        rows.write_bytes(changed)
    else:
        index.unlink()
    store.fill(paths)
    assert contents(tmp_path / "store") == whole


def test_a_photo_that_was_not_filled_in_or_went_away_is_said(
    stages: Any, paths: list[Path], tmp_path: Path
) -> None:
    store = ActivationStore(tmp_path / "store", stages, Depth.LAST)
    store.fill(paths[:3])
    with pytest.raises(ModelsError, match="lacks photos"):
        store.rows_of(paths)
    with pytest.raises(ModelsError, match="cannot be read any more"):
        store.fill([tmp_path / "none.png"])
    paths[5].write_bytes(b"no photo")
    with pytest.raises(ModelsError, match="cannot be read any more"):
        store.fill(paths)


def test_stored_activations_are_mirrored_by_the_draw_alone(
    stages: Any, paths: list[Path], tmp_path: Path
) -> None:
    store = ActivationStore(tmp_path / "store", stages, Depth.LAST)
    store.fill(paths)
    samples = StoredActivations(store, paths)
    rows = store.open()[store.rows_of(paths)].astype(np.float32)
    everything = np.arange(20)
    plain = samples.batch(everything, None)
    np.testing.assert_array_equal(plain.numpy(), rows[:, 0])
    drawn = samples.batch(everything, (0, 1)).numpy()
    mirrored = [not np.array_equal(drawn[n], rows[n, 0]) for n in range(20)]
    assert 3 < sum(mirrored) < 17
    np.testing.assert_array_equal(drawn, rows[everything, np.array(mirrored, int)])
    # the order of calls does not matter, epoch and seed do
    np.testing.assert_array_equal(samples.batch(everything[::-1], (0, 1)).numpy(), drawn[::-1])
    assert not np.array_equal(samples.batch(everything, (0, 2)).numpy(), drawn)


def test_photos_from_files_are_cropped_and_mirrored_by_the_draw_alone(
    stages: Any, paths: list[Path], tmp_path: Path
) -> None:
    samples = PhotoFiles(stages, paths)
    everything = np.arange(20)
    with Image.open(paths[7]) as image:
        whole = stages.preprocess(image.convert("RGB"))
    np.testing.assert_array_equal(samples.batch(np.array([7]), None)[0].numpy(), whole)
    drawn = samples.batch(everything, (0, 1))
    assert drawn.shape == (20, 3, 16, 16)
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(samples.batch(everything[::-1].copy(), (0, 1)), drawn.flip(0))
    other = samples.batch(everything, (0, 2))
    assert all(not torch.equal(a, b) for a, b in zip(drawn, other, strict=True))
    # the same thing still: the mean colour hardly moves
    assert (drawn.mean((2, 3)) - samples.batch(everything, None).mean((2, 3))).abs().max() < 0.2
    paths[3].unlink()
    with pytest.raises(ModelsError, match="cannot be read any more"):
        samples.batch(everything, None)


def test_a_folder_that_cannot_be_written_is_said(
    stages: Any, paths: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(ModelsError, match=r"activations at .* cannot be written: "):
        ActivationStore(tmp_path / "store", stages, Depth.LAST).fill(paths)

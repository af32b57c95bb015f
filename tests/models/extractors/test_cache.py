import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelsError
from models.extractors.cache import FeatureCache

DIGEST = "ab" * 32
VALUES = np.array([1.5, -2.0, 3.25e-30, np.inf], np.float32)


def test_what_was_put_is_got(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "new" / "folder")
    assert cache.get("lite2", DIGEST) is None
    cache.put("lite2", DIGEST, VALUES)
    found = FeatureCache(tmp_path / "new" / "folder").get("lite2", DIGEST)
    assert found is not None
    np.testing.assert_array_equal(found, VALUES)
    assert cache.get("lite2 with other weights", DIGEST) is None
    assert cache.get("lite2", "cd" * 32) is None
    cache.put("lite2", DIGEST, VALUES * 2)
    np.testing.assert_array_equal(cache.get("lite2", DIGEST), VALUES * 2)


def test_default_folder_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    FeatureCache().put("lite2", DIGEST, VALUES)
    assert list((tmp_path / "secondsight" / "features").rglob("*.f32"))


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 19), flip=st.integers(1, 255), length=st.integers(0, 19))
def test_damage_counts_as_absent(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int, length: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = FeatureCache(folder)
    cache.put("lite2", DIGEST, VALUES)
    (path,) = folder.rglob("*.f32")
    whole = path.read_bytes()
    assert len(whole) == 20
    flipped = bytearray(whole)
    flipped[position] ^= flip
    for damaged in (bytes(flipped), whole[:length], whole + b"x"):
        path.write_bytes(damaged)
        assert cache.get("lite2", DIGEST) is None
    cache.put("lite2", DIGEST, VALUES)
    np.testing.assert_array_equal(cache.get("lite2", DIGEST), VALUES)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelsError, match="cannot be written: Not a directory"):
        FeatureCache(tmp_path / "file").put("lite2", DIGEST, VALUES)


def write_many(folder: Path, value: float) -> None:
    cache = FeatureCache(folder)
    for _ in range(100):
        for entry in range(4):
            cache.put("lite2", f"{entry:064x}", np.full(2000, value, np.float32))


def test_two_processes_write_the_same_entries(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, v)) for v in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    cache = FeatureCache(tmp_path)
    seen = 0
    while any(writer.is_alive() for writer in writers):
        for entry in range(4):
            found = cache.get("lite2", f"{entry:064x}")
            if found is not None:
                assert len(found) == 2000
                assert found[0] in (1.0, 2.0)
                assert (found == found[0]).all()
                seen += 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


def test_threads_write_the_same_entry(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.put("lite2", DIGEST, VALUES), range(200)))
    np.testing.assert_array_equal(cache.get("lite2", DIGEST), VALUES)

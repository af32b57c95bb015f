from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workers.demo.processes import WorkerProcess
from workers.topics import create_topics

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_S = 120.0


def photo(path: Path, brightness: float) -> Path:
    """Write a sharp photo of coloured blocks."""
    blocks = np.random.default_rng(1).integers(20, 236, (32, 32, 3)) * brightness
    Image.fromarray(blocks.astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)).save(path)
    return path


def test_a_listing_goes_in_and_the_app_shows_the_answer(
    kafka: str, topic_prefix: str, bundle: Path, tmp_path: Path
) -> None:
    create_topics(
        {"bootstrap.servers": kafka}, prefix=topic_prefix, partitions=4, replication_factor=1
    )
    common = {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "SECONDSIGHT_TOPIC_PREFIX": topic_prefix,
    }
    root = Path(__file__).parents[2]
    environment = {**os.environ, **common, "PYTHONPATH": str(root)}
    photos = tmp_path / "photos & more"
    photos.mkdir()

    def listed(*photos: Path) -> str:
        done = subprocess.run(
            [sys.executable, EXAMPLES / "listing_service.py", "--category", "Toys", *photos],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )
        return done.stdout.strip()

    of_suggest = {
        "SECONDSIGHT_BUNDLE": str(bundle),
        "SECONDSIGHT_IMAGE_FILE_ROOTS": str(photos),
    }
    with (
        WorkerProcess(
            "stats",
            settings=common | {"SECONDSIGHT_DATA_DIR": str(tmp_path / "state")},
            log=tmp_path / "stats.jsonl",
        ) as stats,
        WorkerProcess(
            "suggest", settings=common | of_suggest, log=tmp_path / "suggest.jsonl"
        ) as suggest,
        subprocess.Popen(
            [sys.executable, EXAMPLES / "app.py"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as app,
    ):
        try:
            assert app.stdout is not None
            lines: queue.Queue[str] = queue.Queue()
            reader = threading.Thread(target=lambda out: [*map(lines.put, out)], args=[app.stdout])
            reader.start()
            good = listed(photo(photos / "good.png", 1.0))
            dark = listed(photo(photos / "dark.png", 0.05))
            for worker in (stats, suggest):
                worker.wait_ready()
            shown = dict(lines.get(timeout=DEADLINE_S).strip().split(": ", 1) for _ in range(2))
            for worker in (stats, suggest):
                worker.stop()
        finally:
            app.terminate()
            app.wait(DEADLINE_S)
    reader.join(DEADLINE_S)

    assert shown[good] == "ask for 20.09 GBP (10.04 GBP to 40.17 GBP)"
    assert "light" in shown[dark]
    assert set(shown) == {good, dark}
    assert lines.empty()


@pytest.mark.parametrize("name", ["app.py", "listing_service.py"])
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 60

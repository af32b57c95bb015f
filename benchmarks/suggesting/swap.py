"""How long a change of models holds listings up, at a steady load."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

from benchmarks.peers.answers import Answers, committed_reader
from benchmarks.peers.measure import stop
from benchmarks.peers.runs import say
from benchmarks.suggesting.scene import Scene
from models.bundle.folder import new_bundle_folder, read_bundle, write_manifest
from schemas.model import ModelRole
from schemas.topics import MODELS, PRICE_SUGGESTED, REUPLOAD_REQUESTED
from workers.registry.announcing import announce
from workers.registry.storage import ModelRegistry
from workers.runtime.clients import ClientOptions

PREFIX = "swap."
WARM_UP = 64
AFTER_S = 2.0  # after the new model's first answer, for those that were waiting
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Swap:
    """Seconds.

    Attributes:
        took_s: from the announcement to the first answer by the new model.
        worst_before_s: the longest of the listings answered before the announcement.
        worst_during_s: the longest of those answered from then to AFTER_S after that answer.
    """

    took_s: float
    worst_before_s: float
    worst_during_s: float

    @property
    def stall_s(self) -> float:
        """How much longer a listing took at worst."""
        return max(0.0, self.worst_during_s - self.worst_before_s)


def swap(scene: Scene, *, per_s: float, steady_s: float, seed: int) -> Swap:
    """Announce another model of the same size under a load of `per_s` listings a second.

    Args:
        scene: the surroundings.
        per_s: listings a second, on average, at moments of a Poisson process.
        steady_s: seconds before the announcement.
        seed: of the moments.

    Raises:
        SystemExit: the worker ended, or the new model does not answer.
    """
    options = ClientOptions(bootstrap_servers=scene.servers)
    registry = scene.folder / "registry"
    scene.make_topics(PREFIX)

    def publish(bundle: Path) -> str:
        return announce(
            bundle,
            ModelRegistry(str(registry)),
            options,
            topic=PREFIX + MODELS,
            role=ModelRole.LIVE,
            share=None,
        ).model_version

    publish(scene.bundle)
    other = _other_bundle(scene)
    answers, ended = Answers(), threading.Event()
    topics = [PREFIX + topic for topic in (PRICE_SUGGESTED, REUPLOAD_REQUESTED)]
    consumer = committed_reader(scene.servers, *topics)
    reader = threading.Thread(target=answers.follow, args=(consumer, ended))
    reader.start()
    worker = scene.start_worker("suggest", PREFIX, model_registry=str(registry))
    try:
        producer = Producer({"bootstrap.servers": scene.servers, "linger.ms": 0})
        for number in range(WARM_UP):
            _send(scene, producer, answers, f"warm-{number}", number, time.perf_counter())
        answers.await_all(lambda: _check(worker))
        say(f"Sending {per_s:.1f} listings a second, and another model")
        started = time.perf_counter()
        with ThreadPoolExecutor(1) as announcer:
            announced = None
            for number, moment in enumerate(_moments(per_s, seed, started)):
                time.sleep(max(0.0, moment - time.perf_counter()))
                _send(scene, producer, answers, f"timed-{number}", number, moment)
                _check(worker)
                if announced is None and moment > started + steady_s:
                    announced = announcer.submit(lambda: (publish(other), time.perf_counter()))
                elif announced is not None and announced.done():
                    version, at = announced.result()
                    if moment > answers.first_by.get(version, float("inf")) + AFTER_S:
                        break
                    if moment > at + DEADLINE_S:
                        raise SystemExit(f"{version} gave no answer in {DEADLINE_S:.0f} s")
        answers.await_all(lambda: _check(worker))
    finally:
        stop(worker)
        ended.set()
        reader.join()
        consumer.close()
    return swap_of(answers, announced=at, answered=answers.first_by[version])


def swap_of(answers: Answers, *, announced: float, answered: float) -> Swap:
    """Judge a swap by the listings whose names begin with `timed`."""
    timed = [
        (answers.sent[name], took)
        for name, took in answers.took.items()
        if name.startswith("timed")
    ]
    return Swap(
        took_s=answered - announced,
        worst_before_s=max(took for sent, took in timed if sent + took < announced),
        worst_during_s=max(
            took for sent, took in timed if announced <= sent + took <= answered + 1
        ),
    )


def _other_bundle(scene: Scene) -> Path:
    """Copy the bundle under another version: the same work to load, try out and answer with."""
    bundle = read_bundle(scene.bundle)
    with new_bundle_folder(scene.folder / "other") as folder:
        for name in bundle.manifest.files:
            shutil.copy(scene.bundle / name, folder / name)
        write_manifest(
            folder,
            bundle.manifest.model_copy(
                update={"metrics": {**bundle.manifest.metrics, "copied": 1.0}}
            ),
        )
    return scene.folder / "other"


def _moments(per_s: float, seed: int, started: float) -> Iterator[float]:
    """Yield the moments of a Poisson process."""
    draw, moment = np.random.default_rng(seed), started
    while True:
        moment += draw.exponential(1 / per_s)
        yield moment


def _send(
    scene: Scene, producer: Producer, answers: Answers, name: str, number: int, planned: float
) -> None:
    answers.sent[name] = planned
    scene.send_enriched(producer, PREFIX, name, number)


def _check(worker: "subprocess.Popen[bytes]") -> None:
    if worker.poll() is not None:
        raise SystemExit(f"the worker ended with {worker.returncode}")

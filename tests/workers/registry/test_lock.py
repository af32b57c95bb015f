"""The lock in the registry: one of many wins, in a folder and in S3, and a dead holder loses it."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from workers.errors import WorkersError
from workers.registry.lock import LockedError, RegistryLock

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry in a folder, and one in a bucket of its own."""
    if request.param == "folder":
        return str(tmp_path / "registry")
    endpoint = request.getfixturevalue("endpoint")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"b{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/registry"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_while_one_holds_it_others_are_refused_and_then_not(url: str) -> None:
    with RegistryLock(url, "job") as held:
        held.check()
        with pytest.raises(LockedError, match="holds the lock 'job'"), RegistryLock(url, "job"):
            pytest.fail("two hold it")
        with RegistryLock(url, "other"):
            pass
        held.check()
    with RegistryLock(url, "job") as again:
        again.check()


def test_of_many_at_once_one_wins(url: str) -> None:
    count = 6
    for _ in range(3):
        ready, told, over = threading.Barrier(count), threading.Semaphore(0), threading.Event()
        won: list[RegistryLock] = []

        def take(
            ready: threading.Barrier = ready,
            told: threading.Semaphore = told,
            over: threading.Event = over,
            won: list[RegistryLock] = won,
        ) -> None:
            lock = RegistryLock(url, "job")
            ready.wait(DEADLINE_S)
            with suppress(LockedError), lock:
                won.append(lock)
                told.release()
                assert over.wait(DEADLINE_S)
                return
            told.release()

        threads = [threading.Thread(target=take) for _ in range(count)]
        for thread in threads:
            thread.start()
        for _ in range(count):  # one has it, the others are refused while it has
            assert told.acquire(timeout=DEADLINE_S)
        (winner,) = won
        winner.check()
        over.set()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert len(won) == 1


def test_a_killed_holder_keeps_others_out_until_its_lock_expires(url: str) -> None:
    clock = Clock()
    killed = RegistryLock(url, "job", life_s=100, clock=clock)
    with killed:
        killed._done.set()  # as if its process were gone: nothing renews it
        clock.now += 99
        with pytest.raises(LockedError, match="free in 1 s"):
            RegistryLock(url, "job", clock=clock).__enter__()
        clock.now += 2
        with pytest.raises(LockedError, match="lost the lock"):
            killed.check()  # though nobody took it yet
        with RegistryLock(url, "job", life_s=100, clock=clock) as successor:
            successor.check()
            with pytest.raises(LockedError, match="nothing was published"):
                killed.check()
    # that the one it was taken from ends does not give it away
    with RegistryLock(url, "job", clock=clock) as last:
        last.check()


def test_a_holder_that_lives_renews_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RegistryLock(str(tmp_path), "job", life_s=0.4)
    write: Callable[[bytes], None] = lock._write
    written, renewals = threading.Semaphore(0), []

    def watched(content: bytes) -> None:
        write(content)
        renewals.append(json.loads(content)["until"])
        written.release()

    monkeypatch.setattr(lock, "_write", watched)
    with lock:
        (path,) = (tmp_path / "locks").glob("job-*.json")
        first = json.loads(path.read_text())["until"]
        for _ in range(6):  # of which four make its life
            assert written.acquire(timeout=DEADLINE_S)
        lock.check()
        assert renewals[5] >= first + 6 * 0.4 / 4 - 0.001
    assert json.loads(path.read_text())["until"] == 0


def test_who_created_a_number_that_was_cleared_away_sees_the_higher_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listed long ago, when number 1 was over; numbers 2 and 3 came and 2 went since."""
    url = str(tmp_path)
    with RegistryLock(url, "job"):
        pass
    slow = RegistryLock(url, "job")
    create: Callable[[int, bytes], bool] = slow._create
    taken: list[RegistryLock] = []

    def delayed(number: int, content: bytes) -> bool:
        assert number == 2
        with RegistryLock(url, "job"):
            pass
        third = RegistryLock(url, "job")
        third.__enter__()
        taken.append(third)
        return create(number, content)

    monkeypatch.setattr(slow, "_create", delayed)
    with pytest.raises(LockedError, match="at this moment"):
        slow.__enter__()
    taken[0].check()
    taken[0].__exit__(None, None, None)


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(WorkersError, match="cannot be taken"),
        RegistryLock(str(tmp_path / "file"), "job"),
    ):
        pytest.fail("it is not held")

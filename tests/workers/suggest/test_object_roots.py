"""Photos in S3, from a server that speaks its protocol on loopback."""

import asyncio
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from schemas.image import ImageReference
from workers.errors import ConfigurationError
from workers.runtime.settings import Settings
from workers.suggest import worker
from workers.suggest.allow_list import AllowList
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.object_roots import ObjectRoots
from workers.suggest.web import WebPhotos

LIMIT = 200_000
ROOT = "s3://shop-photos/public/2026"
BELOW = "public/2026"
OBJECTS: Mapping[str, Mapping[str, bytes]] = {
    "shop-photos": {
        f"{BELOW}/photo 1.jpg": b"photo",
        f"{BELOW}/été.jpg": b"summer",
        f"{BELOW}/a+b&c=d;e@f:g!.jpg": b"signs",
        f"{BELOW}/%2e%2e/odd.jpg": b"percent",
        f"{BELOW}/deep/er/photo.jpg": b"deeper",
        f"{BELOW}/empty": b"",
        f"{BELOW}/limit": bytes(LIMIT),
        f"{BELOW}/large": bytes(LIMIT + 1),
        f"{BELOW}-evil/secret.jpg": b"secret",
        "public/secret.jpg": b"secret",
        "secret.jpg": b"secret",
        BELOW: b"secret",
    },
    "other-photos": {f"{BELOW}/secret.jpg": b"secret"},
    "private": {"photo.jpg": b"secret"},
}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The endpoint of a server with the objects above."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",  # noqa: S106 - of a server in this process
    )
    for bucket, objects in OBJECTS.items():
        client.create_bucket(Bucket=bucket)
        for key, body in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=body)
    yield endpoint
    server.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as an operator gives them, and none of those who run the tests."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def read(uri: str, roots: Sequence[str] = (ROOT,), **options: Any) -> bytes:
    async def once() -> bytes:
        async with ObjectRoots(roots, max_bytes=LIMIT, **options) as objects:
            return await objects.read(uri)

    return asyncio.run(once())


@pytest.fixture
def store(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)


def test_reads_objects_below_the_root(store: None) -> None:
    expected = {
        "/photo%201.jpg": b"photo",
        "/%70hoto%201.jpg": b"photo",
        "%2Fphoto%201.jpg": b"photo",
        "/%C3%A9t%C3%A9.jpg": b"summer",
        "/été.jpg": b"summer",
        "/a+b&c=d;e@f:g!.jpg": b"signs",
        "/a%2Bb%26c%3Dd%3Be%40f%3Ag%21.jpg": b"signs",
        "/%252e%252e/odd.jpg": b"percent",  # decoded once: these are letters of its name
        "/deep/er/photo.jpg": b"deeper",
        "/empty": b"",
        "/limit": bytes(LIMIT),
    }

    async def read_all(*roots: str) -> dict[str, bytes]:
        async with ObjectRoots(roots, max_bytes=LIMIT) as objects:
            return {path: await objects.read(f"{ROOT}{path}") for path in expected}

    for roots in (["s3://elsewhere", ROOT], [f"{ROOT}/"], ["s3://shop-photos"]):
        assert asyncio.run(read_all(*roots)) == expected
    assert read(f"S3{ROOT[2:]}/photo%201.jpg") == b"photo"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://shop-photos/secret.jpg",
        "s3://shop-photos/public/secret.jpg",
        f"{ROOT}-evil/secret.jpg",
        f"{ROOT}/../secret.jpg",
        f"{ROOT}/%2e%2e/secret.jpg",
        f"{ROOT}/%2E%2E%2Fsecret.jpg",
        f"{ROOT}/..%2fsecret.jpg",
        f"{ROOT}/deep/../../secret.jpg",
        f"{ROOT}/./photo%201.jpg",
        f"{ROOT}//photo%201.jpg",
        f"{ROOT}/%2Fphoto%201.jpg",
        f"{ROOT}/",
        ROOT,
        "s3://shop-photos",
        "s3://shop-photos/",
        "s3://other-photos/public/2026/secret.jpg",
        "s3://private/photo.jpg",
        "s3://private%2Fphoto.jpg",
        "s3://SHOP-photos/public/2026/photo%201.jpg",
        "s3://shop-photos@private/photo.jpg",
        "s3://private/@shop-photos/public/2026/photo.jpg",
        "s3://shop-photos:80/public/2026/photo%201.jpg",
        "s3://id:secret@shop-photos/public/2026/photo%201.jpg",
        "s3://arn:aws:s3:us-east-1:1:accesspoint/shop-photos/public/2026/photo.jpg",
        "s3:///shop-photos/public/2026/photo%201.jpg",
        "s3:shop-photos/public/2026/photo%201.jpg",
        "s3:/shop-photos/public/2026/photo%201.jpg",
        "s3://",
        "s3a://shop-photos/public/2026/photo%201.jpg",
        "s3://127.0.0.1/public/2026/photo%201.jpg",
        "s3://169.254.169.254/latest/meta-data/",
        f"{ROOT}/photo%201.jpg?versionId=1",
        f"{ROOT}/photo%201.jpg%3FversionId=1",
        f"{ROOT}/photo%201.jpg?X-Amz-Signature=1",
        f"{ROOT}/photo%201.jpg#x",
        f"{ROOT}/photo%201.jpg%00.png",
        f"{ROOT}/photo%0d%0aX: y",
        f"{ROOT}/%ff",
        f"{ROOT}/" + "a" * 1_024,
    ],
)
def test_refuses_other_places(store: None, uri: str) -> None:
    # Not for what the store says: it is not asked.
    told = "s3://bucket/key|below a configured root|segment|control characters|UTF-8"
    with pytest.raises(FetchRefusedError, match=told):
        asyncio.run(ObjectRoots([ROOT], max_bytes=LIMIT).read(uri))


def test_what_is_not_there_is_refused(store: None) -> None:
    with pytest.raises(FetchRefusedError, match="not there"):
        read(f"{ROOT}/missing.jpg")
    with pytest.raises(FetchRefusedError, match="not there"):
        read("s3://no-such-bucket/photo.jpg", ["s3://no-such-bucket"])


def test_what_is_too_large_is_refused(store: None) -> None:
    with pytest.raises(FetchRefusedError, match="larger than 200000 bytes"):
        read(f"{ROOT}/large")


def test_without_roots_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # nor is the extra needed

    with pytest.raises(FetchRefusedError, match="root"):
        read(f"{ROOT}/photo%201.jpg", [])


class Answers:
    """A store that answers every request alike, as one in trouble does."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self.asked = 0

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._silence = asyncio.Event()
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._silence.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self._answer is None:
            await self._silence.wait()
        else:
            writer.write(self._answer)
            await writer.drain()
        writer.close()


def answer(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>told</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def read_from(answers: Answers, monkeypatch: pytest.MonkeyPatch, **options: Any) -> bytes:
    async def once() -> bytes:
        async with answers as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            async with ObjectRoots([ROOT], max_bytes=LIMIT, **options) as objects:
                return await objects.read(f"{ROOT}/photo")

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        ("403 Forbidden", "AccessDenied", FetchRefusedError),
        ("403 Forbidden", "InvalidAccessKeyId", FetchRefusedError),
        ("404 Not Found", "NoSuchKey", FetchRefusedError),
        ("404 Not Found", "NoSuchBucket", FetchRefusedError),
        ("403 Forbidden", "InvalidObjectState", FetchRefusedError),  # in an archive
        ("400 Bad Request", "InvalidRequest", FetchRefusedError),
        ("500 Internal Server Error", "InternalError", FetchFailedError),
        ("503 Service Unavailable", "SlowDown", FetchFailedError),
        ("503 Service Unavailable", "ServiceUnavailable", FetchFailedError),
        ("502 Bad Gateway", "", FetchFailedError),
    ],
)
def test_errors_are_those_that_last_and_those_that_pass(
    monkeypatch: pytest.MonkeyPatch, status: str, code: str, error: type[Exception]
) -> None:
    answers = Answers(answer(status, code))

    with pytest.raises(error):
        read_from(answers, monkeypatch)
    assert answers.asked == 1  # the fetcher tries again, nobody below it


def test_a_body_cut_short_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nphoto"

    with pytest.raises(FetchFailedError):
        read_from(Answers(short), monkeypatch)


def test_what_claims_to_be_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nphoto"

    with pytest.raises(FetchRefusedError, match="larger"):
        read_from(Answers(claims), monkeypatch)


def test_a_store_that_is_silent_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchFailedError, match="timeout"):
        read_from(Answers(None), monkeypatch, read_timeout_s=0.2)


def test_a_store_that_is_not_there_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(FetchFailedError):
            read(f"{ROOT}/photo")


@pytest.mark.parametrize("root", ["s3://", "s3://a/../b", "s3://a b", "http://photos", "s3://P/x"])
def test_roots_that_are_none_are_refused(root: str) -> None:
    with pytest.raises(ConfigurationError, match="SECONDSIGHT_IMAGE_S3_ROOTS"):
        ObjectRoots([root], max_bytes=LIMIT)


def test_roots_without_the_extra_are_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)

    with pytest.raises(ConfigurationError, match=r"IMAGE_S3_ROOTS.*secondsight\[s3\]"):
        worker.fetcher(Settings(image_s3_roots=[ROOT]))


def test_credentials_that_cannot_be_found_are_a_wrong_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")

    with pytest.raises(ConfigurationError, match="no-such-profile"):
        read(f"{ROOT}/photo")


def test_the_worker_fetches_them_by_its_settings(
    store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDSIGHT_IMAGE_S3_ROOTS", f"s3://elsewhere, {ROOT}")

    async def fetch(*uris: str) -> list[bytes]:
        async with worker.fetcher(Settings()) as fetcher:
            return [await fetcher.fetch(ImageReference(uri=uri)) for uri in uris]

    for _ in range(2):  # each in an event loop of its own
        assert asyncio.run(fetch(f"{ROOT}/photo%201.jpg", "data:,a")) == [b"photo", b"a"]
    with pytest.raises(FetchRefusedError, match="root"):
        asyncio.run(fetch("s3://private/photo.jpg"))


def test_a_store_that_keeps_failing_is_tried_again_and_then_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(answer("503 Service Unavailable", "SlowDown"))

    async def outcomes() -> list[str]:
        async with answers as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            fetcher = Fetcher(
                FileRoots([], max_bytes=LIMIT),
                WebPhotos(AllowList([]), allow_private=False, max_bytes=LIMIT),
                objects=ObjectRoots([ROOT], max_bytes=LIMIT),
                tries=2,
                pause_s=0.01,
            )
            found = []
            async with fetcher:
                for _ in range(9):
                    with pytest.raises(FetchFailedError) as caught:
                        await fetcher.fetch(ImageReference(uri=f"{ROOT}/photo"))
                    found.append(str(caught.value))
            return found

    told = asyncio.run(outcomes())
    assert answers.asked == 16
    assert ["rests" in text for text in told] == [False] * 8 + [True]

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from schemas.image import ImageReference
from workers.suggest.allow_list import AllowList
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.fetch import Fetcher, host_of
from workers.suggest.file_roots import FileRoots
from workers.suggest.web import WebPhotos

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import PhotoHost

LIMIT = 100_000


class Names(AbstractResolver):
    """Resolves names from a table; each has the addresses of its next resolution in turn."""

    def __init__(self, **turns: Sequence[str]) -> None:
        self._turns = {name.replace("_", "."): list(turn) for name, turn in turns.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        address = self._turns[host].pop(0)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


def fetch(
    uri: str,
    *,
    host: PhotoHost | None = None,
    hosts: Sequence[str] = ("127.0.0.1",),
    allow_private: bool = True,
    names: Names | None = None,
    roots: Sequence[Path] = (),
    timeout_s: float = 10.0,
    **claims: Any,
) -> bytes:
    web = WebPhotos(
        AllowList(hosts, ports=(80, 443, host.port if host else 8080)),
        allow_private=allow_private,
        max_bytes=LIMIT,
        resolver=names,
    )
    fetcher = Fetcher(FileRoots(roots, max_bytes=LIMIT), web, timeout_s=timeout_s, pause_s=0.01)

    async def once() -> bytes:
        async with fetcher:
            return await fetcher.fetch(ImageReference(uri=uri, **claims))

    return asyncio.run(once())


def test_fetches_over_http(host: PhotoHost, photo: bytes) -> None:
    assert fetch(host.url("/photo"), host=host) == photo
    assert fetch(host.url("/empty"), host=host) == b""


def test_fetches_by_name(host: PhotoHost, photo: bytes) -> None:
    url = host.url("/photo", host="a.photos.test")

    assert (
        fetch(url, host=host, hosts=["*.photos.test"], names=Names(a_photos_test=["127.0.0.1"]))
        == photo
    )


def test_fetches_files_and_data(tmp_path: Path, photo: bytes) -> None:
    (tmp_path / "photo").write_bytes(photo)
    coded = base64.b64encode(photo).decode()

    assert fetch(f"file://{tmp_path}/photo", roots=[tmp_path]) == photo
    assert fetch(f"data:;base64,{coded}") == photo
    with pytest.raises(FetchRefusedError):
        fetch(f"file://{tmp_path}/photo")


@pytest.mark.parametrize("scheme", ["s3a", "ftp", "javascript", "blob", "HTTPSX"])
def test_other_schemes_are_refused(scheme: str) -> None:
    with pytest.raises(FetchRefusedError, match="scheme"):
        fetch(f"{scheme}://127.0.0.1/photo")
    with pytest.raises(FetchRefusedError, match="root"):
        fetch("s3://bucket/photo")  # where none is named


def test_what_the_reference_claims_is_checked(host: PhotoHost, photo: bytes) -> None:
    url = host.url("/photo")
    digest = hashlib.sha256(photo).hexdigest()

    assert fetch(url, host=host, sha256=digest, size_bytes=len(photo)) == photo
    with pytest.raises(FetchRefusedError, match="bytes"):
        fetch(url, host=host, sha256=digest, size_bytes=len(photo) - 1)
    with pytest.raises(FetchRefusedError, match="SHA-256"):
        fetch(url, host=host, sha256="0" * 64)


def test_a_host_is_one_however_it_is_spelled() -> None:
    spelled = [f"http://photos.example{port}/x" for port in ("", ":80", ":080", ":8080")]
    spelled += ["HTTP://PHOTOS.EXAMPLE/", "http://photos.example./y", "http://u:p@photos.example"]
    assert {host_of(uri) for uri in spelled} == {"photos.example"}
    assert host_of("s3://bucket/key") == "bucket"
    assert [host_of(uri) for uri in ("file:///a", "data:,x")] == ["file", "data"]
    assert host_of("http://[::1/photo") == ""


def test_redirects_are_followed_three_times(host: PhotoHost, photo: bytes) -> None:
    assert fetch(host.url("/countdown?n=3"), host=host) == photo
    with pytest.raises(FetchRefusedError, match="redirects"):
        fetch(host.url("/countdown?n=4"), host=host)
    with pytest.raises(FetchRefusedError, match="redirects"):
        fetch(host.url("/loop"), host=host)
    with pytest.raises(FetchRefusedError):
        fetch(host.url("/redirect-nowhere"), host=host)


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/photo",
        "//evil.example/photo",
        "http://localhost:{port}/photo",
        "http://127.0.0.2:{port}/photo",
        "http://2130706433:{port}/photo",
        "http://127.0.0.1:22/photo",
        "http://user@127.0.0.1:{port}/photo",
        "https:///photo",
        "file:///etc/passwd",
        "data:,hello",
        "ftp://127.0.0.1/photo",
    ],
)
def test_redirects_off_the_list_are_refused(host: PhotoHost, target: str) -> None:
    to = target.format(port=host.port)

    with pytest.raises(FetchRefusedError):
        fetch(host.url(f"/redirect?to={to}"), host=host)
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1"],  # noqa: S104
)
def test_a_redirect_to_a_name_of_an_inner_address_is_refused(host: PhotoHost, address: str) -> None:
    names = Names(a_test=["127.0.0.1"], b_test=[address])
    to = host.url("/photo", host="b.test")

    with pytest.raises(FetchRefusedError):
        fetch(
            host.url(f"/redirect?to={to}", host="a.test"),
            host=host,
            hosts=["a.test", "b.test"],
            names=names,
        )
    assert len(host.asked) == 1


def test_a_name_that_changes_its_address_is_checked_at_each_connection(
    host: PhotoHost, photo: bytes
) -> None:
    names = Names(a_test=["127.0.0.1", "169.254.169.254", "127.0.0.1"])
    web = WebPhotos(
        AllowList(["a.test"], ports=[host.port]),
        allow_private=True,
        max_bytes=LIMIT,
        resolver=names,
    )
    outcomes: list[object] = []

    async def thrice() -> None:
        for _ in range(3):
            async with web:  # anew, so that neither the connection nor the resolution is kept
                try:
                    outcomes.append(await web.get(host.url("/photo", host="a.test")))
                except FetchRefusedError as error:
                    outcomes.append(type(error))

    asyncio.run(thrice())

    assert outcomes == [photo, FetchRefusedError, photo]
    assert len(host.asked) == 2


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "00000177.0.0.1",
        "0",
        "0.0.0.0",  # noqa: S104
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "localhost",
        "LOCALHOST",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[0000::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[fec0::1]",
        "[2001:db8::1]",
    ],
)
def test_inner_addresses_are_refused_however_written_even_if_listed(
    host: PhotoHost, authority: str
) -> None:
    listed = authority.strip("[]")

    with pytest.raises(FetchRefusedError):
        fetch(
            f"http://{authority}:{host.port}/photo",
            host=host,
            hosts=[listed, "127.0.0.1"],
            allow_private=False,
        )
    assert host.asked == []


def test_names_too_long_for_idna_are_refused() -> None:
    with pytest.raises(FetchRefusedError):
        fetch(f"http://{'a' * 70}.photos.test/", hosts=["*.photos.test"])


@pytest.mark.parametrize("path", ["/endless", "/claims-much"])
def test_a_body_over_the_limit_is_refused(host: PhotoHost, path: str) -> None:
    with pytest.raises(FetchRefusedError, match="larger"):
        fetch(host.url(path), host=host)


def test_a_body_that_is_packed_is_refused_unopened(host: PhotoHost) -> None:
    with pytest.raises(FetchRefusedError, match="gzip"):
        fetch(host.url("/gzip-bomb"), host=host)


@pytest.mark.parametrize("path", ["/slow", "/stuck"])
def test_a_fetch_ends_with_its_time(host: PhotoHost, path: str) -> None:
    with pytest.raises(FetchFailedError, match="longer than"):
        fetch(host.url(path), host=host, timeout_s=0.3)


def test_a_body_cut_short_is_tried_again(host: PhotoHost) -> None:
    with pytest.raises(FetchFailedError):
        fetch(host.url("/short"), host=host)
    assert host.asked == ["/short"] * 3


def test_what_may_pass_is_tried_again(host: PhotoHost, photo: bytes) -> None:
    assert fetch(host.url("/flaky"), host=host) == photo
    assert host.asked == ["/flaky"] * 3


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_after_three_tries_it_is_given_up(host: PhotoHost, status: int) -> None:
    with pytest.raises(FetchFailedError, match=str(status)):
        fetch(host.url(f"/status/{status}"), host=host)
    assert len(host.asked) == 3


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 418])
def test_what_stays_is_not_tried_again(host: PhotoHost, status: int) -> None:
    with pytest.raises(FetchRefusedError, match=str(status)):
        fetch(host.url(f"/status/{status}"), host=host)
    assert len(host.asked) == 1


def test_a_port_where_nothing_listens_is_a_passing_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        web = WebPhotos(AllowList(["127.0.0.1"], ports=[port]), allow_private=True, max_bytes=LIMIT)

        async def once() -> bytes:
            async with web:
                return await web.get(f"http://127.0.0.1:{port}/photo")

        with pytest.raises(FetchFailedError):
            asyncio.run(once())


def test_proxies_of_the_environment_are_not_used(
    host: PhotoHost, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert fetch(host.url("/photo"), host=host) == photo

import os
import socket
from pathlib import Path

import pytest

from workers.suggest.errors import FetchRefusedError
from workers.suggest.file_roots import FileRoots

LIMIT = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root with a photo, beside a secret; links lead from the root to both."""
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    (root / "below" / "photo 1.jpg").write_bytes(b"photo")
    (root / "été.jpg").write_bytes(b"summer")
    (root / "limit.jpg").write_bytes(bytes(LIMIT))
    (root / "large.jpg").write_bytes(bytes(LIMIT + 1))
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "root-evil").mkdir()
    (tmp_path / "root-evil" / "secret.jpg").write_bytes(b"secret")
    (root / "inside.jpg").symlink_to(root / "below" / "photo 1.jpg")
    (root / "outside.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/below/photo%201.jpg", b"photo"),
        ("/below/photo 1.jpg", b"photo"),
        ("/%C3%A9t%C3%A9.jpg", b"summer"),
        ("/inside.jpg", b"photo"),
        ("/below/../below/photo%201.jpg", b"photo"),
        ("//below///photo%201.jpg", b"photo"),
        ("/limit.jpg", bytes(LIMIT)),
    ],
)
def test_reads_files_below_the_root(folder: Path, path: str, content: bytes) -> None:
    roots = FileRoots([folder.parent / "elsewhere", folder], max_bytes=LIMIT)

    assert roots.read(f"file://{folder}{path}") == content
    assert roots.read(f"FILE://localhost{folder}{path}") == content
    assert roots.read(f"file:{folder}{path}") == content


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.jpg",
        "/%2e%2e/secret.jpg",
        "/%2E%2E%2Fsecret.jpg",
        "/..%2fsecret.jpg",
        "/below/../../secret.jpg",
        "/./../secret.jpg",
        "/%252e%252e/secret.jpg",
        "/..\\secret.jpg",
        "/....//secret.jpg",
        "/../root-evil/secret.jpg",
        "-evil/secret.jpg",
        "/outside.jpg",
        "/up/secret.jpg",
        "/up/root/../secret.jpg",
        "/loop",
        "/pipe",
        "",
        "/",
        "/below",
        "/missing.jpg",
        "/inside.jpg/more",
        "/large.jpg",
        "/below/photo%201.jpg%00.png",
        "/below/photo%201.jpg?x",
        "/below/photo%201.jpg#x",
        "/" + "a" * 300,
        "/" + "a/" * 3000,
    ],
)
def test_refuses_what_leads_out_or_is_no_regular_file(folder: Path, path: str) -> None:
    with pytest.raises(FetchRefusedError):
        FileRoots([folder], max_bytes=LIMIT).read(f"file://{folder}{path}")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file:///dev/zero",
        "file:///proc/self/environ",
        "file:////etc/passwd",
        "file://etc/passwd",
        "file://evil.example/share/photo.jpg",
        "file:photo.jpg",
        "file:",
        "file:~/photo.jpg",
    ],
)
def test_refuses_other_places(folder: Path, uri: str) -> None:
    with pytest.raises(FetchRefusedError):
        FileRoots([folder], max_bytes=LIMIT).read(uri)


def test_without_roots_nothing_is_read(folder: Path) -> None:
    with pytest.raises(FetchRefusedError, match="root"):
        FileRoots([], max_bytes=LIMIT).read(f"file://{folder}/limit.jpg")


def test_a_root_may_itself_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    roots = FileRoots([link], max_bytes=LIMIT)

    assert roots.read(f"file://{link}/limit.jpg") == bytes(LIMIT)
    with pytest.raises(FetchRefusedError):
        roots.read(f"file://{link}/../secret.jpg")


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = folder / "below" / "secret.jpg"
    wanted.write_bytes(b"harmless")
    resolve = Path.resolve

    def resolve_then_swap(path: Path, strict: bool = False) -> Path:
        resolved = resolve(path, strict)
        if resolved == wanted:
            (folder / "below").rename(folder / "moved")
            (folder / "below").symlink_to(folder.parent)
        return resolved

    roots = FileRoots([folder], max_bytes=LIMIT)
    monkeypatch.setattr(Path, "resolve", resolve_then_swap)

    with pytest.raises(FetchRefusedError):
        roots.read(f"file://{wanted}")


def test_a_socket_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(FetchRefusedError):
            FileRoots([folder], max_bytes=LIMIT).read(f"file://{folder}/socket")


def test_reading_leaves_no_descriptor_open(folder: Path) -> None:
    roots = FileRoots([folder], max_bytes=LIMIT)
    before = len(list(Path("/proc/self/fd").iterdir()))
    roots.read(f"file://{folder}/below/photo%201.jpg")
    for path in ("/pipe", "/missing/x/y", "/large.jpg", "/below"):
        with pytest.raises(FetchRefusedError):
            roots.read(f"file://{folder}{path}")

    assert len(list(Path("/proc/self/fd").iterdir())) == before

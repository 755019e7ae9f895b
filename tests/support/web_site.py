"""Archives made for tests, a web server for them with the faults of real ones, an index for pip."""

import gzip
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest


@dataclass
class Site:
    """Serves `bodies` by name, and `body` under any other.

    `break_after` ends each reply after so many bytes; `pause` holds the reply for the path
    `pause_at` before its last byte until it is set, and sets `has_paused`.
    `ranges` and `paths` collect what was asked for.
    """

    body: bytes = b""
    bodies: dict[str, bytes] = field(default_factory=dict)
    break_after: int | None = None
    pause: threading.Event | None = None
    pause_at: str = ""
    has_paused: threading.Event = field(default_factory=threading.Event)
    understands_ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving(state: Site) -> Iterator[Site]:
    """Serve it until the end of the block; `address` has no slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range") if state.understands_ranges else None
            name = self.path.rpartition("/")[2]
            state.ranges.append(self.headers.get("Range"))
            state.paths.append(self.path)
            body = state.bodies.get(name, state.body)
            begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            if asked and begin >= len(body):
                self.send_error(416)
                return
            part = body[begin:]
            self.send_response(206 if asked else 200)
            for header, value in {"Content-Length": str(len(part)), **state.headers}.items():
                self.send_header(header, value)
            self.end_headers()
            if state.pause and name == state.pause_at:
                self.wfile.write(part[:-1])
                state.has_paused.set()
                state.pause.wait(60)
                return
            self.wfile.write(part[: state.break_after])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        if state.pause:
            state.pause.set()
        server.shutdown()
        server.server_close()


def made_zip(files: Mapping[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)  # always of the same date
    return buffer.getvalue()


def made_wheel(name: str, files: Mapping[str, bytes]) -> bytes:
    """A wheel of version 1.0 that pip accepts."""
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
    wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = f"{name}-1.0.dist-info"
    return made_zip(
        {
            **files,
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": wheel.encode(),
            f"{info}/RECORD": b"",
        }
    )


def only_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a new, empty folder the only place where pip looks for packages."""
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def made_tar(
    files: Mapping[str, bytes],
    first: Sequence[tarfile.TarInfo] = (),
    extra: Sequence[tarfile.TarInfo] = (),
) -> bytes:
    """A gzipped tar; `first` and `extra` are members without content around the files."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info in first:
            archive.addfile(info)
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return gzip.compress(buffer.getvalue(), mtime=0)

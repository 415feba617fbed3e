"""A stand-in for an image registry, for tests: as much of the OCI distribution API (v2) over HTTP as an engine needs to ask for a digest and to pull.

    with registry(engine) as shelf:
        old = shelf.image("app", "1", "release one")     # a busybox image with that text in /release; the tag names it from now on
        shelf.reference("app", "1")                       # 127.0.0.1:5000/app:1

It answers from a folder, in the network namespace of the engine, where 127.0.0.0/8 may be asked without TLS. It knows no users, pushes and lists.
Source: OCI Distribution Specification 1.1, end-1, end-2 and end-3; Docker Image Manifest V2, Schema 2.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.docker_engine import DockerEngine

ADDRESS = ("127.0.0.1", 5000)
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
TAGS = "tags.json"
READY = "ready"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Shelf:
    """The folder that the stand-in answers from."""

    folder: Path

    def image(self, name: str, tag: str, text: str) -> str:
        """Put an image there, and let the tag name it. Returns the digest of its manifest."""
        layer = _layer(text)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["sleep", "600"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
                "history": [{"created_by": text}],
            }
        ).encode()
        packed = gzip.compress(layer, mtime=0)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": self._keep(config)},
                "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(packed), "digest": self._keep(packed)}],
            }
        ).encode()
        self.move(name, tag, self._keep(manifest))
        return _digest(manifest)

    def move(self, name: str, tag: str, digest: str) -> None:
        """Let a tag name this image."""
        path = self.folder / TAGS
        tags = json.loads(path.read_text()) if path.exists() else {}
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**tags, f"{name}:{tag}": digest}))
        part.rename(path)

    def reference(self, name: str, tag: str) -> str:
        """What a compose file calls it."""
        return f"{ADDRESS[0]}:{ADDRESS[1]}/{name}:{tag}"

    def _keep(self, data: bytes) -> str:
        (self.folder / _digest(data).partition(":")[2]).write_bytes(data)
        return _digest(data)


@contextmanager
def registry(engine: DockerEngine) -> Iterator[Shelf]:
    """A registry that this engine reaches."""
    pid = (engine.folder / "pid").read_text().strip()
    with tempfile.TemporaryDirectory(prefix="il-registry-") as folder:
        argv = ("nsenter", "--target", pid, "--net", sys.executable, "-m", "tests.registry_stand_in", folder)
        process = subprocess.Popen(argv, cwd=ROOT)
        try:
            limit = time.monotonic() + 30
            while not Path(folder, READY).exists():
                assert process.poll() is None, "the stand-in for a registry does not come up"
                assert time.monotonic() < limit
                time.sleep(0.05)
            yield Shelf(Path(folder))
        finally:
            process.terminate()
            process.wait(10)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(text: str) -> bytes:
    busybox = shutil.which("busybox")
    assert busybox
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(busybox, "bin/busybox", filter=_dateless)
        for applet in ("sh", "sleep", "true", "cat"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        said = tarfile.TarInfo("release")
        said.size = len(text.encode())
        archive.addfile(said, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _dateless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    return member


class _Answers(BaseHTTPRequestHandler):
    """Answers from the folder; writes no log."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        status, kind, data = self._found(self.path.strip("/").split("/"))
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status == 200 and kind == MANIFEST:
            self.send_header("Docker-Content-Digest", _digest(data))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _found(self, parts: list[str]) -> tuple[int, str, bytes]:
        if parts == ["v2"]:
            return 200, "application/json", b"{}"
        if len(parts) == 4 and parts[2] in ("manifests", "blobs"):
            _, name, kind, wanted = parts
            tags = json.loads((self.folder / TAGS).read_text()) if (self.folder / TAGS).exists() else {}
            digest = wanted if ":" in wanted else tags.get(f"{name}:{wanted}", "")
            path = self.folder / digest.partition(":")[2]
            if digest and path.is_file():
                return 200, MANIFEST if kind == "manifests" else "application/octet-stream", path.read_bytes()
        return 404, "application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not on this shelf"}]}'

    def log_message(self, *_: object) -> None:
        pass


def _loopback_up() -> None:
    """A new network namespace has it down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS


def main(folder: Path) -> None:
    """Answer until ended."""
    _loopback_up()
    _Answers.folder = folder
    server = ThreadingHTTPServer(ADDRESS, _Answers)
    (folder / READY).touch()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

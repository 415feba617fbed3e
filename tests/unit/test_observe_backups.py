"""The newest backup, read to its end: what is whole is known, and whatever is cut, damaged or cannot be read is not taken for whole."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.looks import Examine, ExamineAnswer, Examined, FailedLook
from interlock.observe import probe
from tests.unit.test_observe_shell_probe import SHELLS, asked, here

NAME = "app-20261120T210000Z"


def examined(folder: Path) -> tuple[Examined, ...]:
    answer = here(Examine(str(folder)))
    assert isinstance(answer, ExamineAnswer), answer
    return answer.files


def only(folder: Path, content: bytes, name: str = NAME) -> Examined:
    """What a folder's one backup, of this content, is taken for."""
    (folder / name).write_bytes(content)
    (file,) = examined(folder)
    return file


def tar_of(members: Mapping[str, bytes], format_: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


TAR = tar_of({"srv/app/a": b"a" * 700, "srv/app/b": b"", "srv/app/" + "long" * 60: b"c" * 512})


def zstd(content: bytes) -> bytes:
    if not shutil.which("zstd"):
        pytest.skip("needs zstd (Debian: apt-get install zstd)")
    return subprocess.run(["zstd", "-q", "-c", "--check"], input=content, capture_output=True, check=True).stdout


# ---- which files


def test_the_newest_backup_is_every_file_with_its_time_stamp(tmp_path: Path) -> None:
    for age, name in enumerate(
        [
            "app-20261120T210000Z.tar.gz",
            "globals_2026-11-20_21-00-00.sql",
            "app-20261119T210000Z.tar.gz",
            "20261120T21.dump",
        ]
    ):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1, 1_800_000_000 - age))
    for name in (".app-20261120T210000Z.tar.gz.part", "app-20261120T210000Z.tar.gz.json", "SHA256SUMS", "backup.log", "README.md", "x.sha256", "y.PART", "z~"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder-20261120T210000Z").mkdir()
    (tmp_path / "link-20261120T210000Z").symlink_to("app-20261120T210000Z.tar.gz")
    assert [file.name for file in examined(tmp_path)] == ["app-20261120T210000Z.tar.gz", "globals_2026-11-20_21-00-00.sql"]


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("db-2026-11-20.sql", "20261120"),
        ("db_2026-11-20T21:00:07.sql", "20261120210007"),
        ("1732136400_2024_11_20_17.6.1_gitlab_backup.tar", "1732136400"),
        ("dump-20261120-10.sql", "20261120"),
        ("20261120T210000Z-app", "20261120210000"),
        ("app-v18.4.tar", ""),
        ("app-99999999.tar", ""),
        ("app-202611201.tar", ""),
    ],
)
def test_the_time_stamp_of_a_name(name: str, stamp: str) -> None:
    assert probe.time_stamp(name.encode()) == stamp.encode()


def test_a_name_without_time_stamp_stands_alone(tmp_path: Path) -> None:
    for age, name in enumerate(["b.tar", "a.tar"]):
        (tmp_path / name).write_bytes(TAR)
        os.utime(tmp_path / name, (1, 1_800_000_000 - age))
    assert [file.name for file in examined(tmp_path)] == ["b.tar"]


def test_no_folder_and_no_backup_are_answers(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert examined(tmp_path / "none") == ()
    (tmp_path / "empty").mkdir()
    assert examined(tmp_path / "empty") == ()
    assert here(Examine(str(tmp_path / "file"))) == FailedLook("ENOTDIR", "Not a directory")


def test_more_files_than_a_backup_has_are_a_failed_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "EXAMINED_FILES", 1)
    for name in ("a", "b"):
        (tmp_path / f"{name}-20261120T210000Z").write_bytes(TAR)
    assert here(Examine(str(tmp_path))) == FailedLook("too-large", "more than 1 files have the time stamp of the newest one")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_backup_that_may_not_be_read_is_a_failed_look_that_names_it(tmp_path: Path) -> None:
    (tmp_path / NAME).touch(mode=0o000)
    assert here(Examine(str(tmp_path))) == FailedLook("EACCES", f"{NAME}: Permission denied")


def test_what_vouches_for_a_backup_is_brought(tmp_path: Path) -> None:
    digest = hashlib.sha256(TAR).hexdigest()
    assert only(tmp_path, TAR).manifest == ""
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  other\n{digest} *{NAME}\n")
    assert only(tmp_path, TAR).manifest == f"{digest} *{NAME}"
    (tmp_path / f"{NAME}.sha256").write_text(f"\n{digest}\n")
    assert only(tmp_path, TAR).manifest == digest
    (tmp_path / f"{NAME}.json").write_text('{"file": "x"}\n')
    assert only(tmp_path, TAR).manifest == '{"file": "x"}\n'
    (tmp_path / f"{NAME}.json").write_bytes(b"x" * (probe.MANIFEST_LIMIT + 1))
    assert only(tmp_path, TAR).manifest == digest


# ---- archives


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT], ids=["pax", "gnu", "ustar"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_whole_archive_is_whole(tmp_path: Path, format_: int, compress: Callable[[bytes], bytes]) -> None:
    names = ["srv/app/" + "x" * (90 if format_ == tarfile.USTAR_FORMAT else 300), "srv/\u00fc", "b"]
    content = compress(tar_of(dict.fromkeys(names, b"content" * 100), format_))
    seen = only(tmp_path, content)
    assert (seen.whole, seen.fault, seen.format, seen.members, seen.names) == (True, "", "tar", 3, tuple(names))
    assert seen.compression == {bytes: "", gzip.compress: "gzip"}.get(compress, "zstd")
    assert (seen.sha256, seen.size) == ("sha256:" + hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_an_archive_that_is_cut_anywhere_is_not_whole(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    end = len(TAR.rstrip(b"\0")) + 1024  # what comes after two blocks of zeros is padding
    content = compress(TAR[: -(-end // 512) * 512])
    chosen = random.Random(7)
    for cut in {0, 1, 5, 20, len(content) - 1, *(chosen.randrange(len(content)) for _ in range(25))}:
        seen = only(tmp_path, content[:cut])
        assert seen.whole is not True, cut
        assert seen.fault, cut
        assert seen.sha256 == "sha256:" + hashlib.sha256(content[:cut]).hexdigest()
    assert only(tmp_path, content).whole is True


@given(cut=st.floats(0, 1, exclude_max=True), flip=st.integers(0, 7))
def test_a_gzipped_archive_with_a_wrong_bit_is_not_whole_unless_the_bit_says_nothing(tmp_path_factory: pytest.TempPathFactory, cut: float, flip: int) -> None:
    content = bytearray(gzip.compress(TAR, mtime=0))
    content[int(cut * len(content))] ^= 1 << flip
    folder = tmp_path_factory.mktemp("flipped")
    if only(folder, bytes(content)).whole is True:
        assert gzip.decompress(content) == TAR  # the time in its header, or a bit that no code needs
    shutil.rmtree(folder)


def test_gzip_members_and_zeros_after_them_are_one_stream_and_anything_else_is_not(tmp_path: Path) -> None:
    halves = gzip.compress(TAR[:1000]) + gzip.compress(TAR[1000:])
    assert only(tmp_path, halves).whole is True
    assert only(tmp_path, halves + b"\0" * 700).whole is True
    assert only(tmp_path, halves + b"\0\0more").fault == "after its gzip stream comes something else"
    assert only(tmp_path, halves + b"more").whole is False


def test_a_bomb_of_zeros_takes_no_memory(tmp_path: Path) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    squeezed = subprocess.run(["sh", "-c", "head -c 300000000 /dev/zero | gzip -1"], capture_output=True, check=True).stdout
    assert only(tmp_path, TAR_HEAD_OF_300_MB + b"").whole is False
    assert only(tmp_path, gzip.compress(TAR_HEAD_OF_300_MB) + squeezed).whole is False  # its end is missing
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kilobytes


def _head_of(size: int) -> bytes:
    info = tarfile.TarInfo("big")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


TAR_HEAD_OF_300_MB = _head_of(300_000_000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TAR.rstrip(b"\0")[: len(TAR) // 512 * 512], "it ends in the middle"),
        (TAR[: TAR.rindex(b"c" * 512) + 512], "it ends in the middle"),
        (TAR[: TAR.rindex(b"c" * 512) + 1024], "it ends in the middle"),
        (TAR + TAR, "after its end comes something else"),
        (TAR[:1536] + b"?" * 512 + TAR[2048:], "a header in it is damaged"),
        (b"\0" * 10240, "it is an archive of nothing"),
        (b"", "it is empty"),
        (gzip.compress(b"", mtime=0), "it is empty"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    seen = only(tmp_path, content)
    assert (seen.whole, seen.fault) == (False, said)


@pytest.mark.skipif(not shutil.which("tar"), reason="needs tar")
@pytest.mark.parametrize("format_", ["posix", "gnu", "oldgnu", "ustar", "v7"])
def test_what_tar_makes_is_read_as_tar_lists_it(tmp_path: Path, format_: str) -> None:
    tree, folder = tmp_path / "tree", tmp_path / "backups"
    (tree / ("d" * 60)).mkdir(parents=True)
    folder.mkdir()
    (tree / "a").write_bytes(b"x" * 5000)
    os.link(tree / "a", tree / "hard")
    (tree / "soft").symlink_to("a")
    if format_ != "v7":
        os.mkfifo(tree / "fifo")
    if format_ not in ("ustar", "v7"):
        (tree / ("d" * 60) / ("n\n\u00e4" * 40)).write_bytes(b"y")
        with (tree / "sparse").open("wb") as file:
            for number in range(60):  # more holes than a header holds
                file.seek(number * 200_000)
                file.write(b"z")
    archive = folder / f"{NAME}.tar"
    argv = ["tar", f"--format={format_}", "--sparse", "-C", str(tmp_path), "-cf", str(archive), "tree"]
    subprocess.run(argv[:2] + argv[3:] if format_ in ("ustar", "v7") else argv, check=True)
    listed = subprocess.run(["tar", "-tf", str(archive), "--quoting-style=escape"], capture_output=True, text=True, check=True).stdout.splitlines()
    (seen,) = examined(folder)
    assert (seen.whole, seen.fault, seen.members) == (True, "", len(listed))
    assert "tree/hard" in seen.names


@given(st.binary(max_size=300) | st.binary(max_size=1500).map(lambda rest: TAR[:700] + rest) | st.binary(max_size=60).map(lambda rest: b"PGDMP" + rest))
def test_whatever_lies_there_is_answered(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    seen = only(folder, content)
    assert seen.whole is not True
    assert seen.fault
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("content", "packer"),
    [(bz2.compress(TAR), "bzip2"), (lzma.compress(TAR), "xz"), (b"Salted__" + b"x" * 900, "openssl enc"), (b"age-encryption.org/v1\nx", "age")],
)
def test_what_is_packed_or_encrypted_otherwise_cannot_be_told(tmp_path: Path, content: bytes, packer: str) -> None:
    seen = only(tmp_path, content)
    assert (seen.whole, seen.format, seen.fault) == (None, "unknown", f"it was made by {packer}, and what is in it cannot be told")


def test_an_unknown_format_cannot_be_told_and_a_zip_neither(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    assert "zip" in only(tmp_path, stream.getvalue()).fault
    for content in (b"SQLite format 3\0" + b"x" * 2000, gzip.compress(b"text")):
        seen = only(tmp_path, content)
        assert (seen.whole, seen.format, seen.fault) == (None, "unknown", "its format is none that can be verified here")
    assert only(tmp_path, gzip.compress(b"text" * 100)[:-1]).whole is False


def test_without_zstd_it_cannot_be_told_and_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zstd(TAR)
    monkeypatch.setattr(probe, "_program", lambda _: "")
    seen = only(tmp_path, content)
    assert (seen.whole, seen.compression, seen.fault) == (None, "zstd", "zstd is needed to read it (Debian: apt-get install zstd)")
    assert seen.sha256 == "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_zstd_stream_that_tar_has_done_with_is_still_read_to_its_end(tmp_path: Path) -> None:
    content = zstd(TAR + b"\0" * 5_000_000)
    assert only(tmp_path, content).whole is True
    assert only(tmp_path, content + b"garbage").whole is False
    assert "zstd stream is damaged" in only(tmp_path, content[:-3]).fault


def test_a_program_that_cannot_be_started_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zstd").write_bytes(b"no program")
    (tmp_path / "zstd").chmod(0o755)
    monkeypatch.setattr(probe, "_program", lambda name: str(tmp_path / name))
    (tmp_path / "b").mkdir()
    seen = only(tmp_path / "b", zstd(TAR))
    assert (seen.whole, seen.fault) == (None, f"{tmp_path}/zstd cannot be started: Exec format error")


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_our_own_archives_of_class_e_are_read_back_as_they_were_written(tmp_path: Path, compression: Literal["gzip", "zstd"]) -> None:
    from interlock.act.archives import SUFFIX, Conditions, write_archive

    source, folder = tmp_path / "state", tmp_path / "backups"
    (source / "deep").mkdir(parents=True)
    folder.mkdir()
    (source / "deep" / ("long \u00e4\n" * 20)).write_bytes(b"x" * 70_000)
    with (source / "sparse").open("wb") as file:
        file.seek(50_000_000)
        file.write(b"end")
    archive = folder / f"{NAME}{SUFFIX[compression]}"
    into = os.open(archive, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        written = write_archive([str(source)], [], into, compression=compression, conditions=Conditions(environ=os.environ, seconds=60, interrupted=lambda: ""))
    finally:
        os.close(into)
    (seen,) = examined(folder)
    assert (seen.whole, seen.fault, seen.compression) == (True, "", compression)
    assert (seen.sha256, seen.size, seen.members) == (written.contents.sha256, written.contents.size, written.contents.members)
    assert f"{source}/sparse".lstrip("/") in seen.names


# ---- time and change


def test_a_file_that_grows_while_it_is_read_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, path = probe._Raw.drain, tmp_path / NAME

    def drained(self: Any) -> None:
        with path.open("ab") as file:
            file.write(b"\0" * 512)
        real(self)

    monkeypatch.setattr(probe._Raw, "drain", drained)
    seen = only(tmp_path, TAR)
    assert (seen.whole, seen.fault) == (False, "it was written while it was read")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_file_too_large_for_the_time_is_a_timeout_and_leaves_nothing_behind(
    tmp_path: Path, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(compress(TAR + b"\0" * 30_000_000))
    real = os.read

    def slowly(descriptor: int, size: int) -> bytes:
        time.sleep(0.01)
        return real(descriptor, min(size, 16))

    monkeypatch.setattr(os, "read", slowly)
    began, threads = time.monotonic(), threading.active_count()
    assert probe.answer(["examine", str(tmp_path)], time.monotonic() + 0.2) == {"failed": ["timeout", "it did not answer in time"]}
    assert time.monotonic() - began < 5
    while threading.active_count() > threads and time.monotonic() - began < 20:
        time.sleep(0.05)  # on a busy machine it needs a moment to end
    assert threading.active_count() <= threads


def test_a_long_look_ends_by_itself_when_its_time_is_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / NAME).write_bytes(TAR)
    found = list(probe.answers([["examine", str(tmp_path)], ["user", "root"]], lambda: -1.0))
    assert found == [{"failed": ["timeout", "it did not answer in time"]}] * 2


# ---- Redis


def test_an_rdb_is_judged_by_redis_check_rdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"REDIS0009\xff"  # nothing in it, and its checksum
    content += (0x0).to_bytes(8, "little")  # zero: not checked
    if probe._program("redis-check-rdb"):
        assert only(tmp_path, content).whole is True
        assert only(tmp_path, content[:-9]).whole is False
    assert only(tmp_path, gzip.compress(content)).whole is None
    monkeypatch.setattr(probe, "_program", lambda _: "")
    seen = only(tmp_path, content)
    assert (seen.format, seen.whole) == ("rdb", None)
    assert "redis-check-rdb is needed" in seen.fault


# ---- PostgreSQL


@pytest.fixture(scope="module", params=[16, 18])
def dumps(request: pytest.FixtureRequest, component: Callable[[str], None]) -> Iterator[dict[str, bytes]]:
    """What the real programs of one version write of a real database, by kind."""
    major: int = request.param
    component(f"postgres{major}")
    from tools.postgres import programs, running

    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="il-pg-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        Path(folder).chmod(0o711)  # as root the server runs as nobody, who must be able to get there
        with running(major, Path(folder) / "d") as server:
            import psycopg

            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute("create role clerk")
                connection.execute("create database shop")
            with psycopg.connect(server.dsn("shop"), autocommit=True) as connection:
                connection.execute("create table orders (id bigint primary key, note text)")
                connection.execute("insert into orders select n, repeat(md5(n::text), 20) from generate_series(1, 3000) n")
                connection.execute('create schema "my.Schema"')
                connection.execute('create table "my.Schema"."odd ""name" (t text)')
                rows = r"""'--\n-- PostgreSQL database dump complete\n--\n\n'"""
                connection.execute(f'insert into "my.Schema"."odd ""name" values (E{rows}), (E\'COPY x FROM stdin;\\nCREATE TABLE y (z int);\\n\\\\.\\n\')')
                connection.execute("create unlogged table empty (n int)")
                connection.execute("select lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex'))")

            def said(*argv: str) -> bytes:
                return subprocess.run([str(programs(major) / argv[0]), *argv[1:]], capture_output=True, check=True).stdout

            (Path(folder) / "custom").touch()
            said("pg_dump", "-Fc", "-f", f"{folder}/custom", server.dsn("shop"))
            yield {
                "custom": (Path(folder) / "custom").read_bytes(),
                "custom, through a pipe": said("pg_dump", "-Fc", server.dsn("shop")),
                "custom, not compressed": said("pg_dump", "-Fc", "-Z0", server.dsn("shop")),
                "plain": said("pg_dump", server.dsn("shop")),
                "plain, created": said("pg_dump", "-C", server.dsn("shop")),
                "plain, inserts": said("pg_dump", "--inserts", server.dsn("shop")),
                "all": said("pg_dumpall", "-d", server.dsn()),
                "globals": said("pg_dumpall", "--globals-only", "-d", server.dsn()),
                "major": str(major).encode(),
            }


@pytest.fixture
def own_pg_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's newest pg_restore is on PATH, as it would be on a host that has such a server."""
    from tools.postgres import programs

    monkeypatch.setenv("PATH", f"{programs(18)}:{os.environ['PATH']}")


TABLES = {"TABLE public.orders", 'TABLE my.Schema.odd "name', "TABLE public.empty"}


@pytest.mark.parametrize("kind", ["custom", "custom, through a pipe", "custom, not compressed"])
def test_a_custom_dump_is_whole_and_says_what_is_in_it(tmp_path: Path, dumps: dict[str, bytes], kind: str, own_pg_restore: None) -> None:
    seen = only(tmp_path, dumps[kind])
    assert (seen.whole, seen.fault, seen.format) == (True, "", "pg-custom")
    assert set(seen.names) >= TABLES | {"TABLE DATA public.orders", "SCHEMA my.Schema"}
    assert seen.members == len(seen.names)
    assert (seen.notes["database"], seen.notes["large_objects"]) == ("shop", "yes")
    major = dumps["major"].decode()
    assert seen.notes["server_version"].startswith(major)
    assert seen.notes["dumped_by"].startswith(major)


@pytest.mark.parametrize("kind", ["custom", "custom, through a pipe", "custom, not compressed"])
def test_a_custom_dump_that_is_cut_anywhere_is_not_whole(tmp_path: Path, dumps: dict[str, bytes], kind: str, own_pg_restore: None) -> None:
    content, chosen = dumps[kind], random.Random(11)
    for cut in {1, 7, 40, len(content) - 1, len(content) - 5, *(chosen.randrange(len(content)) for _ in range(10))}:
        seen = only(tmp_path, content[:cut])
        assert seen.whole is not True, (cut, len(content))
        if cut > 5:
            assert (seen.whole, seen.format) == (False, "pg-custom"), cut


def test_a_list_does_not_notice_what_a_full_read_does(tmp_path: Path, dumps: dict[str, bytes], own_pg_restore: None) -> None:
    content = dumps["custom"]
    half = only(tmp_path, content[: len(content) * 3 // 4])
    listed = subprocess.run(["pg_restore", "--list", str(tmp_path / NAME)], capture_output=True, check=False)
    assert listed.returncode == 0
    assert half.whole is False


def test_a_compressed_custom_dump_is_read_through(tmp_path: Path, dumps: dict[str, bytes], own_pg_restore: None) -> None:
    assert only(tmp_path, gzip.compress(dumps["custom"])).whole is True
    assert only(tmp_path, zstd(dumps["custom"])).whole is True
    assert only(tmp_path, gzip.compress(dumps["custom"][:-9])).whole is False


def test_without_pg_restore_a_custom_dump_cannot_be_told(tmp_path: Path, dumps: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_pg_restore", lambda: "")
    seen = only(tmp_path, dumps["custom"])
    assert (seen.whole, seen.fault) == (None, "pg_restore is needed to read it to its end (Debian: apt-get install postgresql-client)")
    assert set(seen.names) >= TABLES
    assert only(tmp_path, dumps["custom"][:200]).whole is False  # its table of contents is cut


def test_an_older_pg_restore_cannot_tell(tmp_path: Path, dumps: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.postgres import programs

    monkeypatch.setattr(probe, "_pg_restore", lambda: str(programs(16) / "pg_restore"))
    seen = only(tmp_path, dumps["custom"])
    if dumps["major"] == b"16":
        assert seen.whole is True
    else:
        assert seen.whole is None
        assert "a newer postgresql-client is needed" in seen.fault


def test_the_newest_pg_restore_is_taken(own_pg_restore: None) -> None:
    from tools.postgres import programs

    assert probe._pg_restore() == str(programs(18) / "pg_restore")
    assert probe._major_version("/none") == 0


@pytest.mark.parametrize(
    ("kind", "notes"),
    [
        ("plain", {"large_objects": "yes"}),
        ("plain, created", {"large_objects": "yes", "database": "shop"}),
        ("plain, inserts", {"large_objects": "yes"}),
        ("all", {"large_objects": "yes", "database": "template1, postgres, shop", "globals": "roles"}),
        ("globals", {"globals": "roles"}),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_plain_dump_is_whole_and_says_what_is_in_it(
    tmp_path: Path, dumps: dict[str, bytes], kind: str, notes: dict[str, str], compress: Callable[[bytes], bytes]
) -> None:
    seen = only(tmp_path, compress(dumps[kind]))
    assert (seen.whole, seen.fault, seen.format) == (True, "", "pg-plain")
    versions = {name: seen.notes.get(name, "") for name in ("server_version", "dumped_by")}
    assert {name: text for name, text in seen.notes.items() if name not in versions} == notes
    if kind != "globals":
        assert set(seen.names) == TABLES | ({"TABLE y"} if kind == "plain, inserts" else set())
        assert seen.members == len(seen.names)
        assert all(version.startswith(dumps["major"].decode()) for version in versions.values())


@pytest.mark.parametrize("kind", ["plain", "plain, created", "all", "globals"])
def test_a_plain_dump_that_is_cut_anywhere_is_not_whole(tmp_path: Path, dumps: dict[str, bytes], kind: str) -> None:
    content, chosen = dumps[kind], random.Random(13)
    end = content.rindex(b"dump complete") + len(b"dump complete")
    for cut in {0, 10, 60, end - 1, *(chosen.randrange(end) for _ in range(25))}:
        seen = only(tmp_path, content[:cut])
        assert seen.whole is not True, cut


def test_the_words_of_a_row_end_no_dump(tmp_path: Path, dumps: dict[str, bytes]) -> None:
    content = dumps["plain"]
    cut = content.index(b"-- PostgreSQL database dump complete") + len(b"-- PostgreSQL database dump complete")  # inside a row, where COPY escapes newlines
    assert only(tmp_path, content[:cut]).whole is False


@settings(max_examples=60)
@given(
    size=st.integers(1, 5000),
    texts=st.lists(
        st.sampled_from(
            ["COPY a (b) FROM stdin;\n", "\\.\n", "x\n", "\n", "  \n", "CREATE TABLE t (\n", "\\connect x\n", "-- c\n", "SET x;\n", "y" * 90 + "\n", "\\.x\n"]
        ),
        max_size=14,
    ),
)
def test_a_script_is_cut_into_the_same_lines_wherever_its_blocks_end(size: int, texts: list[str]) -> None:
    content = "".join(texts).encode()

    def lines(block: int) -> list[bytes]:
        stream = io.BytesIO(content)
        said = list(probe._statements(probe._Bytes(lambda: stream.read(block))))
        return [line for line, before in zip(said, [b"", *said], strict=False) if (line, before) != (b";", b";")]

    assert lines(size) == lines(1) == lines(10**6)


def test_a_line_that_is_very_long_is_read_without_being_kept(tmp_path: Path) -> None:
    head = b"--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.a (n int);\nINSERT INTO a VALUES ('"
    end = b"');\n--\n-- PostgreSQL database dump complete\n--\n\n"
    seen = only(tmp_path, head + b"x" * 5_000_000 + end)
    assert (seen.whole, seen.names) == (True, ("TABLE public.a",))
    assert only(tmp_path, head + b"x" * 5_000_000 + end.replace(b"\n", b"\r\n")).whole is True
    assert only(tmp_path, head + b"x" * 5_000_000).whole is False
    assert only(tmp_path, head + b"x" * 5_000_000 + end.replace(b"\n", b" ")).whole is False  # the words stand within that line


def test_the_marker_need_not_be_the_last_line_but_nothing_may_come_after_it(tmp_path: Path) -> None:
    dump = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict k\nSET x = 1;\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict k\n\n"
    assert only(tmp_path, dump).whole is True
    assert only(tmp_path, dump + b"SET y = 1;\n").whole is False


# ---- everywhere


def test_a_host_without_python_cannot_read_backups_and_says_so(tmp_path: Path) -> None:
    look = Examine(str(tmp_path))
    reply, _ = asked((look,), tmp_path, SHELLS[0])
    assert reply.answers[look] == FailedLook("no-tool", "this host has no python3, which reads a backup to its end")


def test_the_same_is_said_through_the_probe_on_another_host(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / f"{NAME}.tar.zst").write_bytes(zstd(TAR))
    (tmp_path / "b" / f"{NAME}.tar.zst.json").write_text(json.dumps({"sha256": "x"}))
    look = Examine(str(tmp_path / "b"))
    from interlock.observe.conversation import CHOOSE

    reply, _ = asked((look,), tmp_path, ("sh", "-c", CHOOSE))
    assert reply.answers[look] == here(look)


def test_names_and_manifests_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = tar_of({f"name-{number}": b"" for number in range(50)})
    monkeypatch.setattr(probe, "NAMES_KEPT", 20)
    seen = only(tmp_path, content)
    assert (seen.members, len(seen.names)) == (50, 20)
    (tmp_path / f"{NAME}.json").write_bytes(b"x" * 2000)
    monkeypatch.setattr(probe, "SAID_LIMIT", 1000)
    failed = here(Examine(str(tmp_path)))
    assert isinstance(failed, FailedLook)
    assert failed.code == "too-large"

"""Python programs that write backups: each way of writing one, each way of keeping it private, and what is no backup at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.backup_python import writers_in_python
from interlock.facts.backup_writers import Care, find_writers

HEAD = "import gzip, os, shutil, sqlite3, stat, subprocess, tarfile, tempfile, zipfile\nfrom pathlib import Path\n"


def found(body: str, path: str = "app/store.py") -> list[tuple[str, str]]:
    """Tool and care of every write in a function `work` with this body."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    read = writers_in_python(path, f"{HEAD}def work(db_path, wal_path, dest, conn):\n{indented}".encode())
    assert read.unread == ()
    return [(write.tool, write.care.value) for write in read.writes]


@pytest.mark.parametrize(
    ("body", "tool", "care"),
    [
        ("broken = Path(db_path + '.broken')\nshutil.move(db_path, str(broken))", "shutil.move", "mode-inherited"),
        ("os.rename(db_path, f'{db_path}.corrupt.{os.getpid()}')", "os.rename", "mode-inherited"),
        ("os.replace(db_path, db_path + '.bak')", "os.replace", "mode-inherited"),
        ("Path(db_path).rename(Path(db_path).with_suffix('.bak'))", "rename", "mode-inherited"),
        ("Path(db_path).replace(f'{db_path}.preserved')", "replace", "mode-inherited"),
        ("shutil.copy2(db_path, db_path + '.pre-migrate')", "shutil.copy2", "no-umask"),
        ("shutil.copy(db_path, os.path.join('/srv/backups', 'db'))", "shutil.copy", "no-umask"),
        ("shutil.copyfile(src=db_path, dst='/srv/backups/app.db')", "shutil.copyfile", "no-umask"),
        ("shutil.copytree('/var/lib/postgresql', '/srv/backups/pg')", "shutil.copytree", "no-umask"),
        ("with open(db_path, 'rb') as a, open('/srv/app.db.bak', 'wb') as b:\n    shutil.copyfileobj(a, b)", "open", "no-umask"),
        ("with gzip.open(f'/srv/backups/{db_path}.gz', 'wb') as out:\n    pass", "gzip.open", "no-umask"),
        ("Path('/srv/backups/database.sql').write_text(dest)", "write_text", "no-umask"),
        ("(Path('/srv/backups') / 'users.db').write_bytes(Path(db_path).read_bytes())", "write_bytes", "no-umask"),
        ("with tarfile.open('/srv/backup.tar.gz', 'w:gz') as tar:\n    tar.add('/data')", "tarfile.open", "no-umask"),
        ("with zipfile.ZipFile('/srv/backup.zip', 'w') as z:\n    z.write('/data/x')", "zipfile.ZipFile", "no-umask"),
        ("shutil.make_archive('/srv/backup', 'gztar', '/data')", "shutil.make_archive", "no-umask"),
        ("copy = sqlite3.connect('/srv/x.db')\nconn.backup(copy)", "sqlite3.backup", "no-umask"),
        ("conn.execute(\"VACUUM INTO '/srv/x.db'\")", "VACUUM INTO", "no-umask"),
        ("conn.execute('VACUUM INTO ?', ('/srv/x.db',))", "VACUUM INTO", "no-umask"),
        ("conn.execute(f\"EXPORT DATABASE '{dest}' (FORMAT PARQUET)\")", "EXPORT DATABASE", "no-umask"),
        ("subprocess.run(['pg_dump', '-f', dest, 'app'], check=True)", "pg_dump", "no-umask"),
        ("argv = ['docker', 'exec', 'db']\nargv += ['pg_dump', '-f', dest]\nsubprocess.check_call(argv)", "pg_dump", "no-umask"),
        ("argv = ['pg_dump']\nargv.append('-f')\nargv.extend([dest, 'app'])\nsubprocess.run([*argv])", "pg_dump", "no-umask"),
        ("with open(dest, 'wb') as out:\n    subprocess.run(['pg_dumpall'], stdout=out)", "pg_dumpall", "no-umask"),
        ("out = open(dest, 'wb')\nsubprocess.Popen(('mysqldump', 'app'), stdout=out)", "mysqldump", "no-umask"),
        ("subprocess.run(f'pg_dump app | gzip > {dest}', shell=True)", "pg_dump", "no-umask"),
        ("os.system('mysqldump app > /srv/app.sql')", "mysqldump", "no-umask"),
        ("fd = os.open('/srv/backups/app.db', os.O_CREAT | os.O_WRONLY)", "os.open", "no-umask"),
        ("fd = os.open('/srv/backups/app.db', os.O_CREAT | os.O_WRONLY, 0o644)", "os.open", "no-umask"),
        ("shutil.copyfile(db_path, '/srv/app.db.bak')\nos.chmod('/srv/app.db.bak', 0o600)", "shutil.copyfile", "chmod-after"),
        ("bak = Path(db_path + '.bak')\nbak.write_bytes(b'')\nbak.chmod(stat.S_IRUSR | stat.S_IWUSR)", "write_bytes", "chmod-after"),
        ("os.umask(0o077)\nPath('/srv/db.bak').write_bytes(b'')\nos.chmod('/srv/db.bak', 0o644)", "write_bytes", "widened"),
    ],
)
def test_a_backup_that_others_can_read_is_found(body: str, tool: str, care: str) -> None:
    assert (tool, care) in found(body)
    assert {seen for _, seen in found(body)} == {care}


@pytest.mark.parametrize(
    "body",
    [
        "shutil.move(db_path, db_path + '.broken')\nos.chmod(db_path + '.broken', 0o600)",
        "broken = Path(db_path).with_name('x.broken.db')\nshutil.move(db_path, str(broken))\ntry:\n    broken.chmod(0o600)\nexcept OSError:\n    pass",
        "os.chmod(db_path, 0o600)\nshutil.move(db_path, db_path + '.broken')",
        "os.umask(0o077)\nshutil.copyfile(db_path, '/srv/app.db.bak')",
        "before = os.umask(0o177)\ntry:\n    Path('/srv/db.bak').write_bytes(b'')\nfinally:\n    os.umask(before)",
        "with private_umask():\n    Path('/srv/db.bak').write_bytes(b'')",
        "os.makedirs('/srv/backups', mode=0o700)\nshutil.copy2(db_path, '/srv/backups/app.db')",
        "Path('/srv/backups').mkdir(mode=0o700)\nshutil.copy2(db_path, Path('/srv/backups') / 'app.db')",
        "folder = Path('/srv/backups')\nfolder.mkdir()\nos.chmod(folder, 0o700)\nshutil.copytree('/var/lib/postgresql', folder / 'pg')",
        "os.close(os.open('/srv/db.bak', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))\nshutil.copyfile(db_path, '/srv/db.bak')",
        "with os.fdopen(os.open('/srv/db.bak', os.O_CREAT | os.O_WRONLY, mode=0o600), 'wb') as f:\n    f.write(b'')",
        "Path('/srv/db.bak').touch(mode=0o600)\nPath('/srv/db.bak').write_bytes(b'')",
        "with open('/srv/db.bak', 'wb', opener=private) as f:\n    f.write(b'')",
        "folder = tempfile.mkdtemp()\nshutil.copy2(db_path, f'{folder}/app.db.bak')",
        "with tempfile.TemporaryDirectory() as folder:\n    subprocess.run(['pg_dump', '-f', f'{folder}/app.sql'])",
        "fd, name = tempfile.mkstemp()\nsubprocess.run(['pg_dump', '-f', name])",
        "subprocess.run(['pg_dump', '-f', dest], umask=0o077)",
        "subprocess.run(['pg_dump', '-Fd', '-f', dest])",
        "subprocess.run(f'umask 077; pg_dump app > {dest}', shell=True)",
        "folder = Path('/srv/dumps')\nfolder.mkdir(mode=0o700)\nconn.execute(f\"EXPORT DATABASE '{folder}'\")",
        "os.umask(0o077)\nos.mkdir('/srv/backups')\nshutil.move(db_path, '/srv/backups/app.db')",
    ],
)
def test_a_backup_that_is_private_is_held(body: str) -> None:
    assert {care for _, care in found(body)} <= {"private"}


def test_a_umask_does_not_help_where_the_mode_of_the_source_is_put_over_it() -> None:
    assert found("os.umask(0o077)\nshutil.copy2(db_path, '/srv/app.db.bak')") == [("shutil.copy2", "no-umask")]


@pytest.mark.parametrize(
    "body",
    [
        "shutil.copy2('/srv/backups/app.db', db_path)",
        "os.replace(db_path + '.tmp', db_path)",
        "shutil.move('page.html', 'page.html.bak')",
        "Path('CLAUDE.md.bak').write_bytes(Path('CLAUDE.md').read_bytes())",
        "Path('/srv/app.db').write_bytes(b'')",
        "'a.bak'.replace('a', 'b')",
        "name = 'db'.replace('d', 'broken')",
        "open('/srv/app.db.bak')",
        "open('/srv/app.db.bak', 'rb')",
        "tarfile.open('/srv/backup.tar.gz')",
        "conn.execute('select * from backups')",
        "conn.backup(sqlite3.connect(':memory:'))",
        "subprocess.run(['pg_dump', 'app'], stdout=subprocess.PIPE)",
        "subprocess.run(['pg_restore', '-f', dest])",
        "subprocess.run(['psql', '-f', 'backup.sql'])",
        "subprocess.run(['rm', '-rf', '/srv/backups'])",
        "os.rename('plugin', 'plugin.backup-1')",
        "state = {'snapshot': 1}\nPath('state.json').write_text(str(state))",
        "os.open('/srv/db.bak', os.O_RDONLY)",
    ],
)
def test_what_is_no_backup_is_left_alone(body: str) -> None:
    assert found(body) == []


def test_a_helper_of_the_file_that_sets_the_mode_counts() -> None:
    text = f"{HEAD}def _tighten(path):\n    os.chmod(path, 0o600)\n\ndef keep(db):\n    os.rename(db, db + '.broken')\n    _tighten(db + '.broken')\n"
    (write,) = writers_in_python("app/db.py", text.encode()).writes
    assert (write.scope, write.care) == ("keep", Care.PRIVATE)


def test_what_a_caller_prepares_counts_for_its_helper() -> None:
    helper = "def _dump(folder):\n    subprocess.run(['pg_dump', '-f', f'{folder}/a'])\n"
    text = f"{HEAD}{helper}\ndef main():\n    os.umask(0o077)\n    _dump('/srv')\n"
    (write,) = writers_in_python("app/db.py", text.encode()).writes
    assert (write.scope, write.care) == ("_dump", Care.PRIVATE)


def test_a_helper_is_told_by_what_its_caller_gives_it() -> None:
    text = f"{HEAD}def _put(a, b):\n    shutil.move(a, b)\n\ndef keep(db_path):\n    _put(db_path, db_path + '.broken')\n"
    (write,) = writers_in_python("app/db.py", text.encode()).writes
    assert (write.scope, write.line, write.care, write.target) == ("_put", 4, Care.MODE_INHERITED, "{db_path}.broken")


def test_a_command_line_is_told_where_it_is_written_not_where_it_is_run() -> None:
    text = HEAD + "def _run(cmd):\n    subprocess.run(cmd, shell=True)\n\ndef backup(out):\n    _run(f'docker compose cp app:/data/state/ {out}/backup/')\n"
    (write,) = writers_in_python("cli/server.py", text.encode()).writes
    assert (write.scope, write.line, write.tool) == ("backup", 7, "docker cp")


def test_names_that_are_imported_otherwise_are_known() -> None:
    body = "def keep(db):\n    put(db, db + '.bak')\n    s.move(db, db + '.broken')\n"
    text = f"from os import rename as put\nfrom shutil import copy2\nimport shutil as s\n\n{body}"
    assert [write.tool for write in writers_in_python("a.py", text.encode()).writes] == ["os.rename", "shutil.move"]


def test_statements_of_the_module_and_methods_are_followed() -> None:
    method = "class Store:\n    def keep(self):\n        shutil.move(self.db, self.db + '.broken')\n"
    text = f"{HEAD}DB = Path('/data/app.db')\nDB.rename('/data/app.db.bak')\n\n{method}"
    assert [(write.scope, write.line) for write in writers_in_python("a.py", text.encode()).writes] == [("", 4), ("keep", 8)]


def test_a_constant_of_the_module_is_a_mode() -> None:
    text = f"{HEAD}PRIVATE = 0o600\n\ndef keep(db):\n    os.rename(db, db + '.bak')\n    os.chmod(db + '.bak', PRIVATE)\n"
    (write,) = writers_in_python("a.py", text.encode()).writes
    assert write.care is Care.PRIVATE


def test_two_moves_of_one_function_are_two_findings() -> None:
    assert len(found("shutil.move(db_path, db_path + '.broken')\nshutil.move(wal_path, db_path + '.broken.wal')")) == 2


@pytest.mark.parametrize("text", [b"def backup(:\n", b"\x00", b"print 'old'\n", b"x = " + b"(" * 500, b"\xff\xfe", b"a" * (1 << 21)])
def test_a_backup_program_that_cannot_be_read_is_named(text: bytes) -> None:
    read = writers_in_python("tools/backup.py", text)
    assert (read.writes, len(read.unread)) == ((), 1)
    assert writers_in_python("tools/other.py", text).unread == ()


@given(
    st.lists(
        st.sampled_from(["def f(x):", " ", "\n", "    ", "os.umask(0o77)", "open(x, 'w')", "x = x / 'backup'", "with", "import os", ")", "lambda: 0", ";"])
    )
)
def test_no_text_makes_it_raise(tokens: list[str]) -> None:
    writers_in_python("backup.py", "".join(tokens).encode())


@pytest.mark.parametrize(
    "text", ["open('x.db.bak', 'w').write(" + "a+" * 900 + "a)\n", "os.rename(" + "a." * 900 + "b, 'db.bak')\n", "x = " + "f(" * 80 + ")" * 80 + "\n"]
)
@pytest.mark.parametrize("path", ["tools/backup.py", "tools/backup.sh"])
def test_what_nests_deeper_than_can_be_followed_is_named(text: str, path: str) -> None:
    read = find_writers(path, f"import os\n{text}".encode())
    assert all(unread.line >= 1 for unread in read.unread)

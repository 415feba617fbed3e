"""A plan is one text with one digest, holds no content, and cannot be edited without becoming another or none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.act.books import Books, find_plan, load_plan
from interlock.change.showing import plan_text
from interlock.errors import ConfigError, CouldNotLook, EvidenceError, InterlockError, StaleError, UsageError
from interlock.facts import moments
from interlock.facts.canonical import canonical, digest, parse_canonical, short
from interlock.gate.plan import BackupPlan, CommandPlan, FilesPlan, Plan, VerifyPlan, changes, has_undo, moved
from tests.strategies import json_documents
from tests.tiny_site import SECRET, STEPS, Tiny, again, key_of, make_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path)


# ---- canonical form


@given(json_documents())
def test_the_canonical_form_reads_back_as_the_same_document(document: object) -> None:
    raw = canonical(document)
    assert parse_canonical(raw) == document
    assert canonical(parse_canonical(raw)) == raw


@given(json_documents(), st.integers(0, 4))
def test_another_spelling_of_a_document_is_refused(document: object, indent: int) -> None:
    spelled = json.dumps(document, indent=indent, ensure_ascii=True).encode()
    if spelled != canonical(document):
        with pytest.raises(ValueError, match="canonical"):
            parse_canonical(spelled)


@pytest.mark.parametrize("raw", [b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{"a": 1}', b"1.0", b'"\\u0061"', b"\xef\xbb\xbf{}"])
def test_what_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"canonical|BOM"):
        parse_canonical(raw)


@pytest.mark.parametrize("document", [float("nan"), 2**60, "\ud800", {"\ud800": 1}, {1: 2}])
def test_what_json_cannot_say_has_no_canonical_form(document: object) -> None:
    with pytest.raises(ValueError, match="canonical"):
        canonical(document)


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    """Keys by UTF-16 code units, shortest escapes: the example of its section 3.2.3."""
    given_ = {"€": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew", "1": "One", "😀": "Smiley", "\u0080": "Control", "ö": "o"}
    assert list(json.loads(canonical(given_))) == ["\r", "1", "\u0080", "ö", "€", "😀", "\ufb33"]


# ---- moments


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - the zone is added below
def test_a_moment_reads_back_to_the_second(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC, microsecond=0)
    assert moments.read(moments.written(moment)) == moment


@pytest.mark.parametrize(
    "text", ["", "2026-11-20", "2026-11-20T21:00:00", "2026-11-20T21:00:00+00:00", "2026-1-2T3:4:5Z", "2026-11-20T21:00:00.5Z", "2026-02-30T00:00:00Z"]
)
def test_a_moment_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moments.read(text)


def test_a_moment_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        moments.written(datetime(2026, 11, 20))  # noqa: DTZ001


@pytest.mark.parametrize(("seconds", "words"), [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")])
def test_durations_are_said_in_the_unit_that_an_operator_uses(seconds: int, words: str) -> None:
    assert moments.in_words(seconds) == words


# ---- the plan


def test_the_digest_is_the_sha256_of_the_file(tiny: Tiny) -> None:
    stored = tiny.plan()
    raw = (stored.folder / "plan.json").read_bytes()
    assert stored.digest == stored.plan.digest == digest(raw)
    assert stored.folder.name == f"release-{stored.digest[7:23]}"


def test_a_plan_reads_back_as_it_was_written(tiny: Tiny) -> None:
    stored = tiny.plan()
    assert Plan.parse(stored.plan.to_bytes(), where="p") == stored.plan


def test_every_step_has_its_inputs_resolved(tiny: Tiny) -> None:
    backup, files, command, verify = tiny.plan().plan.steps
    assert isinstance(backup, BackupPlan)
    assert (backup.module, backup.directory.path, backup.owner_uid) == ("app", str(tiny.backups), tiny.root.stat().st_uid)
    assert isinstance(files, FilesPlan)
    conf, motd = files.files
    assert conf.old is not None
    assert conf.new.digest == digest(f"port = 8080\npassword = {SECRET}\nworkers = 4\n".encode())
    assert conf.old.digest == digest(b"port = 8080\npassword = an-older-one\n")
    assert (conf.new.mode, conf.new.content) == ("0600", "rendered")
    assert (motd.old, motd.new.mode, motd.new.content) == (None, "0640", "blob")
    assert isinstance(command, CommandPlan)
    assert [Path(file.path).name for file in command.inputs] == ["deploy", "deployed", "undeploy"]
    assert isinstance(verify, VerifyPlan)
    assert verify.expect == ("deployed",)


def test_the_fingerprint_names_mounts_directories_files_and_the_host(tiny: Tiny) -> None:
    names = tiny.plan().plan.fingerprint
    assert {"host", f"mount {tiny.backups}", f"directory {tiny.backups}", f"file {tiny.instance}/conf/app.conf", f"file {tiny.root}/bin/deploy"} <= names.keys()
    assert names[f"file {tiny.instance}/motd"] == "nothing"


def test_a_plan_holds_no_content_and_no_secret(tiny: Tiny) -> None:
    stored = tiny.plan()
    files = {path.name: path.read_bytes() for path in stored.folder.rglob("*") if path.is_file()}
    assert not [name for name, data in files.items() if SECRET.encode() in data]
    assert stored.blob(digest(b"release 2\n")) == b"release 2\n"
    assert len(stored.plan.blobs()) == 1
    assert all(path.stat().st_mode & 0o077 == 0 for path in stored.folder.rglob("*"))


def test_a_value_of_an_env_file_is_a_reference_too(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    (tiny.root / "env").write_text("DB_PASSWORD=from-the-env-file\n")
    text = (tiny.root / "interlock.yaml").read_text()
    (tiny.root / "interlock.yaml").write_text(text.replace("      DB_PASSWORD: ${TINY_PASSWORD}\n", "    env_file: env\n"))
    stored = again(tiny).plan()
    assert not [path for path in stored.folder.rglob("*") if path.is_file() and b"from-the-env-file" in path.read_bytes()]
    shown = plan_text(stored, again(tiny).site, tiny.environ)
    assert "from-the-env-file" not in shown
    assert "password = ${DB_PASSWORD}" in shown


def test_two_plans_of_the_same_action_are_the_same_but_for_their_time(tiny: Tiny) -> None:
    first = tiny.plan()
    tiny.later(seconds=1)
    second = tiny.plan()
    assert first.digest != second.digest
    assert first.plan.model_copy(update={"created_at": "", "expires_at": ""}) == second.plan.model_copy(update={"created_at": "", "expires_at": ""})


@given(st.data())
def test_no_byte_of_a_plan_can_be_changed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    stored = _one_plan(tmp_path_factory)
    raw = bytearray(stored.to_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = Plan.parse(bytes(raw), where="p")
    except StaleError:
        return
    assert other.digest != stored.digest


_PLANS: list[Plan] = []


def _one_plan(factory: pytest.TempPathFactory) -> Plan:
    if not _PLANS:
        _PLANS.append(make_tiny(factory.mktemp("plan")).plan().plan)
    return _PLANS[0]


@pytest.mark.parametrize("text", [b"", b"{}", b"null", b"[]", b'{"schema":"interlock/plan/1"}', b"\xff\x00", b"[" * 50_000])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises(StaleError, match="no plan that interlock wrote"):
        Plan.parse(text, where="p")


def test_what_changes_and_what_can_be_undone(tiny: Tiny) -> None:
    backup, files, command, verify = tiny.plan().plan.steps
    assert [changes(step) for step in (backup, files, command, verify)] == [False, True, True, False]
    assert all(has_undo(step) for step in (backup, files, command, verify))
    assert isinstance(command, CommandPlan)
    assert not has_undo(command.model_copy(update={"undo": None}))


def test_what_moved_is_said_in_words() -> None:
    assert moved({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == ()
    assert moved({"a": "1", "b": "2"}, {"a": "x", "c": "3"}) == ("a: was 1, is x", "b: was 2, is not there", "c: was not there, is 3")


# ---- finding and keeping


def test_a_plan_is_found_by_path_name_and_digits(tiny: Tiny) -> None:
    stored = tiny.plan()
    for named in (str(stored.folder), str(stored.folder / "plan.json"), stored.folder.name, short(stored.digest), stored.digest[:20], stored.digest):
        assert find_plan(tiny.books, named).digest == stored.digest


def test_the_same_plan_made_twice_within_a_second_is_one_plan(tiny: Tiny) -> None:
    assert tiny.plan().folder == tiny.plan().folder
    assert [path.name for path in tiny.books.plans.iterdir()] == [tiny.plan().folder.name]


@pytest.mark.parametrize("named", ["nothing", "abcdef12", "", "/etc/passwd", ".."])
def test_a_plan_that_is_not_there_is_a_usage_error_or_no_plan(tiny: Tiny, named: str) -> None:
    tiny.plan()
    with pytest.raises((UsageError, StaleError)):
        find_plan(tiny.books, named)


def test_a_renamed_or_edited_plan_is_found_out(tiny: Tiny) -> None:
    stored = tiny.plan()
    other = stored.folder.with_name("release-0000000000000000")
    stored.folder.rename(other)
    with pytest.raises(StaleError, match="edited, or its folder renamed"):
        load_plan(other)


def test_edited_content_beside_a_plan_is_found_out(tiny: Tiny) -> None:
    stored = tiny.plan()
    blob = stored.folder / "blobs" / digest(b"release 2\n").removeprefix("sha256:")
    blob.write_bytes(b"release 3\n")
    with pytest.raises(StaleError, match="was changed"):
        stored.blob(digest(b"release 2\n"))
    blob.unlink()
    with pytest.raises(StaleError, match="is gone"):
        stored.blob(digest(b"release 2\n"))


def test_the_books_are_private_or_not_used(tiny: Tiny) -> None:
    tiny.books.folder.chmod(0o755)
    with pytest.raises(EvidenceError, match="not private"):
        Books.open(tiny.root)


def test_a_link_in_the_place_of_the_books_is_not_followed(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tiny.root / ".interlock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EvidenceError, match="is no folder"):
        Books.open(tiny.root)


# ---- what cannot be planned


REMOTE = "hosts:\n  far: {ssh: {destination: 127.0.0.1, port: 1}}\n"


@pytest.mark.parametrize(
    ("edit", "error", "why"),
    [
        (("    class: E\n", "    class: E\n    host: far\n"), ConfigError, "the backup of app on far is not possible yet"),
        (("  main:\n    directory", "  main:\n    host: far\n    directory"), CouldNotLook, "host far: it cannot be reached"),
        (("command: {run: [bin/deploy]", "command: {host: far, run: [bin/deploy]"), ConfigError, "nobody says where bin/deploy runs on far"),
        (("command: {run: [bin/deploy]", "command: {host: far, directory: /srv, run: [bin/deploy]"), CouldNotLook, "host far: it cannot be reached"),
    ],
)
def test_a_step_on_a_host_that_cannot_be_reached_is_refused_when_it_is_planned(
    tiny: Tiny, edit: tuple[str, str], error: type[InterlockError], why: str
) -> None:
    text = (tiny.root / "interlock.yaml").read_text()
    (tiny.root / "interlock.yaml").write_text(text.replace(*edit).replace("hosts:\n", REMOTE, 1))
    with pytest.raises(error, match=why):
        again(tiny).plan()


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ("      - command: {run: [bin/deploy]}\n      - backup: {modules: [app]}\n", "the backup of app would come after a change"),
        ("      - command: {run: [no-such-program]}\n", "there is no program no-such-program"),
        ("      - command: {run: [bin/deploy], undo: [bin/nothing]}\n", "there is no program bin/nothing"),
        ("      - command: {run: ['true'], directory: /no/such/place}\n", "/no/such/place cannot be used"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_planned(tmp_path: Path, steps: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        make_tiny(tmp_path, steps=steps).plan()
    assert "actions.release" in str(caught.value)


def test_an_unknown_action_is_a_usage_error_that_names_the_known_ones(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="no action launch") as caught:
        tiny.plan(action="launch")
    assert "release" in str(caught.value)


def test_a_symlinked_target_is_refused(tiny: Tiny) -> None:
    path = tiny.instance / "conf" / "app.conf"
    path.rename(tiny.root / "real.conf")
    path.symlink_to(tiny.root / "real.conf")
    with pytest.raises(ConfigError, match="a link stands at a target"):
        tiny.plan()


def test_a_linked_folder_below_the_instance_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    (tiny.instance / "conf").rename(tmp_path / "outside")
    (tiny.instance / "conf").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigError, match="a link or a file stands where a folder was"):
        tiny.plan()


def test_a_target_with_a_second_name_is_refused(tiny: Tiny) -> None:
    (tiny.root / "second").hardlink_to(tiny.instance / "conf" / "app.conf")
    with pytest.raises(ConfigError, match="cannot be replaced"):
        tiny.plan()


def test_a_missing_folder_is_named_with_the_command_that_makes_it(tiny: Tiny) -> None:
    (tiny.instance / "conf" / "app.conf").unlink()
    (tiny.instance / "conf").rmdir()
    with pytest.raises(ConfigError, match="cannot be written to") as caught:
        tiny.plan()
    assert f"install -d {tiny.instance}/conf" in str(caught.value)


def test_backups_inside_of_what_they_are_of_are_refused(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    text = (tiny.root / "interlock.yaml").read_text()
    (tmp_path / "all").symlink_to(tiny.root)
    (tiny.root / "interlock.yaml").write_text(text.replace(f'["{tiny.root}/data"]', f'["{tmp_path}/all"]'))
    with pytest.raises(ConfigError, match="inside themselves"):
        again(tiny).plan()


def test_a_plan_that_nobody_could_approve_is_refused(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, people=("bert", "carla"))
    with pytest.raises(Exception, match="not in allowed_signers"):
        tiny.plan(key=key_of("anna"))


# ---- in words


def test_a_yes_to_another_size_is_said_where_the_size_is(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    text = (tiny.root / "interlock.yaml").read_text()
    (tiny.root / "interlock.yaml").write_text(text.replace("{templates: [conf, motd]}", "{templates: [conf, motd], resized: [conf]}"))
    changed = again(tiny)
    assert "GROWS BY 58 % (`resized` in the site says yes)" in plan_text(changed.plan(), changed.site, changed.environ)


def test_a_plan_is_shown_in_words_with_a_diff_and_without_secrets(tiny: Tiny) -> None:
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert "step 1 of 4: back up app (class E)" in shown
    assert "conf/app.conf: 36 -> 57 bytes, GROWS BY 58 % (NO `resized` in the site says yes)" in shown
    assert "-password = ${DB_PASSWORD}  (another value)" in shown
    assert "+password = ${DB_PASSWORD}" in shown
    assert "+workers = 4" in shown
    assert "motd: created, 10 bytes, 0640" in shown
    assert "Every step that changes something has an undo." in shown
    assert SECRET not in shown
    assert "an-older-one" not in shown


def test_a_step_without_undo_says_so_before_anybody_approves(tmp_path: Path) -> None:
    shown = plan_text((tiny := make_tiny(tmp_path, steps=STEPS.replace(", undo: [bin/undeploy]", ""))).plan(), tiny.site, tiny.environ)
    assert "NO UNDO" in shown
    assert "Step 3 cannot be undone: when a later step fails, the system is left half-changed." in shown


def test_a_file_that_changed_since_the_plan_is_said_to_have(tiny: Tiny) -> None:
    stored = tiny.plan()
    (tiny.instance / "conf" / "app.conf").write_text("edited\n")
    assert "changed since the plan was made" in plan_text(stored, tiny.site, tiny.environ)


def test_what_a_file_holds_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    (tiny.root / "templates" / "motd").write_bytes(b"\x1b[2Jcleared \xe2\x80\xae reversed\n\xff\n")
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_plan_made_a_day_ago_has_expired(tiny: Tiny) -> None:
    stored = tiny.plan()
    assert moments.read(stored.plan.expires_at) - moments.read(stored.plan.created_at) == timedelta(hours=24)

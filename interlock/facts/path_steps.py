"""What is a command to the path that changes a running stack: a lock, a look at the disk, a backup, a question, something new that is fetched, a migration?

`hear` is what `interlock.facts.calls.Calls` listens with; what a command changes (`interlock.facts.applies.Act`) it hears by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from interlock.facts.applies import RUN_OPTIONS, after_options
from interlock.facts.backup_writers import goes_back, listed, says_backup, says_state, words_of
from interlock.facts.destruction import Loss, loss_of
from interlock.nouns import dataclass
from interlock.patterns import regex


class Step(StrEnum):
    """What a command on a path is; the values end a sentence."""

    LOCKS = "takes a lock"
    LOOKS = "looks whether the disk is mounted"
    BACKS_UP = "makes a backup"
    ASKS = "asks a human"
    FETCHES = "fetches something new"
    MIGRATES = "migrates data"
    DESTROYS = "destroys what nobody can bring back"
    CREATES = "makes something that may be taken away again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command is. `waits`: a lock that is surely held afterwards, so that its failure need not be looked at; `text`: what a human is asked,
    or what is destroyed."""

    step: Step
    waits: bool = False
    text: str = ""


def hear(argv: Sequence[str], stdin: str | None) -> Said | None:
    """What a command and its input are to a path; None when they are nothing to it."""
    if not argv:
        return None
    if argv[0] == "[[":
        return _condition(argv[1])
    name = argv[0].rpartition("/")[2]
    return (
        _destruction(argv, name, stdin)
        or _lock(argv, name)
        or _look(argv, name)
        or _question(argv, name)
        or _backup(argv, name, stdin)
        or _fetch(argv, name)
        or _migration(name)
    )


# ---- locks

_WRAPPERS = listed("setlock lockrun lckdo run-one run-this-one keep-one-running with-lock-ex solo sem lockf chpst")
_LOCKERS = listed("lockfile lockfile-create dotlockfile shlock lockfile-check")
_NAMES_LOCK = regex(r"lock|mutex|\.pid\b|pid_?file|running|in_?progress|semaphore", re.IGNORECASE)
_LOCKS_BY_NAME = regex(
    r"(?:^|[_-])(?:try_?|acquire_?|take_?|get_?|obtain_?|hold_?|with_?|check_?|ensure_?|create_?|single_?)?(?:lock(?:_?file)?|mutex|single_?instance|pid_?file)(?:$|[_-])",
    re.IGNORECASE,
)
_NO_LOCK = regex(r"unlock|release|remove|clean|deadlock|block|clock|locked_?out|yarn\.lock|-lock\.|lockfile-lint", re.IGNORECASE)
_FLOCK_VALUED = listed("-w -E --timeout --wait --conflict-exit-code")


def _lock(argv: Sequence[str], name: str) -> Said | None:
    for index, word in enumerate(argv[:8]):
        if word.rpartition("/")[2] == "flock":
            return _flock(argv[index:])
    if name in _WRAPPERS and not (name == "chpst" and not {"-l", "-L"} & set(argv)):
        return Said(step=Step.LOCKS, waits=True)
    if name in _LOCKERS:
        return Said(step=Step.LOCKS)
    if name == "mkdir" and "-p" not in argv and any(_NAMES_LOCK.search(word) for word in argv[1:]):
        return Said(step=Step.LOCKS)
    if name == "ln" and any(_NAMES_LOCK.search(word) for word in argv[1:]):
        return Said(step=Step.LOCKS)
    if name == "set" and ("noclobber" in argv or "-C" in argv):
        return Said(step=Step.LOCKS, waits=True)
    if name in ("pgrep", "pidof", "fuser", "pidofproc") or (name == "kill" and "-0" in argv):
        return Said(step=Step.LOCKS)
    if name == "systemd-run" and any(word.startswith("--unit") for word in argv):
        return Said(step=Step.LOCKS, waits=True)
    if re.fullmatch(r"[\w.@-]+", name) and _LOCKS_BY_NAME.search(name) and not _NO_LOCK.search(name):
        return Said(step=Step.LOCKS)
    return None


def _flock(argv: Sequence[str]) -> Said | None:
    options = [word for word in argv[1:] if word.startswith("-") and not word[1:].isdigit()]
    letters = "".join(word[1:] for word in options if not word.startswith("--"))
    if "u" in letters or "s" in letters or {"--unlock", "--shared"} & set(options):
        return None
    wraps = len(after_options(argv, _FLOCK_VALUED)) > 1
    attempts = "n" in letters or "w" in letters or any(word.startswith(("--non", "--nb", "--wait", "--timeout")) for word in options)
    return Said(step=Step.LOCKS, waits=wraps or not attempts)


# ---- what a test says

_TESTS_LOCK = regex(r"-[efLd]\s+[^]]*(?:lock|\.pid\b|pid_?file)|FLOCKER|pgrep|pidof", re.IGNORECASE)
_TESTS_DISK = regex(
    r"mountpoint|findmnt|/proc/(?:self/)?mount"
    r"|stat\s+(?:-\S*c|--format)[= ]*['\"]?%[dDm]|/dev/disk/|\.mounted\b|mount_?marker|is_?mounted|df\s+[^|)]*--output|-ef\s",
    re.IGNORECASE,
)
_TESTS_YES = regex(
    r"confirm|assume_?yes|auto_?(?:yes|approve)|non_?interactive|--yes|are_?you_?sure|understand|\bFORCE\b|^\W*\"?\$\{?(?:REPLY|reply|answer|ANSWER|choice|yn|YN|input|response|RESPONSE|ans)\b",
    re.IGNORECASE,
)


def _condition(raw: str) -> Said | None:
    if _TESTS_DISK.search(raw):
        return Said(step=Step.LOOKS)
    if _TESTS_LOCK.search(raw):
        return Said(step=Step.LOCKS)
    return Said(step=Step.ASKS, text=raw) if _TESTS_YES.search(raw) else None


# ---- mounts

_LOOKS_BY_NAME = regex(
    r"(?:check|assert|require|verify|ensure|guard|prove|wait|is|validate)\w*[_-]?(?:mount|disk|volume_mount)|(?:mount|disk)\w*[_-](?:check|guard|ok|gate|ready)",
    re.I,
)
_NO_DISK = regex(r"space|usage|free|size|disk_?(?:full|limit)", re.IGNORECASE)


def _look(argv: Sequence[str], name: str) -> Said | None:
    looks = Said(step=Step.LOOKS)
    if name in ("mountpoint", "findmnt"):
        return looks
    if name == "stat" and any(re.search(r"%[dmD]", word) for word in argv[1:]) and "-f" not in argv:
        return looks
    if name == "df" and any(word.startswith("--output") and re.search(r"source|target", word) for word in argv):
        return looks
    if name in ("grep", "awk", "fgrep", "egrep", "sed", "cat") and any(re.search(r"/proc/(?:self/|1/)?mount|/etc/mtab", word) for word in argv[1:]):
        return looks
    if name == "mount" and any(not word.startswith("-") for word in argv[1:]) and not {"--bind", "-o", "bind"} <= set(argv) and "--bind" not in argv:
        return looks if not any(word.startswith(("--make", "tmpfs", "proc")) for word in argv[1:]) else None
    if name == "mount" and "-a" in argv:
        return looks
    if name == "systemctl" and any(word.endswith(".mount") for word in argv[1:]):
        return looks
    return looks if _LOOKS_BY_NAME.search(name) and not _NO_DISK.search(name) else None


# ---- humans


def _question(argv: Sequence[str], name: str) -> Said | None:
    if name == "read":
        prompt = next((after for word, after in zip(argv[1:], (*argv[2:], ""), strict=True) if re.fullmatch(r"-\w*p", word)), None)
        alone = any(re.fullmatch(r"-\w*[ns]\w*", word) for word in argv[1:])
        return Said(step=Step.ASKS, text=prompt or "") if prompt is not None or alone or "/dev/tty" in argv else None
    if name in ("whiptail", "dialog", "gum", "zenity") and any(word in ("--yesno", "confirm", "--question", "--inputbox", "input") for word in argv[1:]):
        return Said(step=Step.ASKS, text=" ".join(argv[1:]))
    if re.search(r"(?:^|[_-])(?:confirm\w*|ask\w*|prompt\w*|yes_?no|are_you_sure|require_approval)(?:$|[_-])", name, re.IGNORECASE):
        return Said(step=Step.ASKS, text=" ".join(argv))
    return None


# ---- backups

_DUMPS = listed("pg_dump pg_dumpall pg_basebackup mysqldump mariadb-dump mariabackup mariadb-backup xtrabackup mydumper mongodump slapcat pgbackrest")
_SAVERS = {
    "restic": "backup", "borg": "create", "kopia": "create", "duplicity": "", "velero": "create", "barman": "backup", "wal-g": "backup-push",
    "etcdctl": "snapshot", "influx": "backup", "influxd": "backup", "lvcreate": "-s", "zfs": "snapshot", "btrfs": "snapshot", "rsnapshot": "", "borgmatic": "",
    "autorestic": "backup", "resticprofile": "backup", "interlock": "backup", "clickhouse-backup": "create", "sentry": "export",
}  # fmt: skip
_SETTINGS = listed(
    "env config configs conf cfg compose settings file files script scripts certs nginx crontab docker daemon yml yaml ssh hosts sources key keys readme"
)
_COPIES = listed("cp rsync tar mv zip 7z")


def _backup(argv: Sequence[str], name: str, stdin: str | None) -> Said | None:
    backs_up = Said(step=Step.BACKS_UP)
    if name in _DUMPS:
        return backs_up if not any(word in ("--help", "--version", "-V") for word in argv) else None
    if name in _SAVERS:
        return backs_up if not _SAVERS[name] or _SAVERS[name] in argv[1:4] else None
    said = " ".join((*argv[1:], stdin or ""))
    if name in ("redis-cli", "valkey-cli") and re.search(r"\b(?:BGSAVE|SAVE|--rdb)\b", said, re.IGNORECASE):
        return backs_up
    if name == "sqlite3" and re.search(r"\.(?:backup|dump|clone)|VACUUM\s+INTO", said, re.IGNORECASE):
        return backs_up
    if name in ("vault", "consul", "bao") and "snapshot" in argv and "save" in argv:
        return backs_up
    if (
        name in ("aws", "gcloud", "az", "hcloud", "doctl", "virsh", "qm", "pvesh", "vzdump", "kubectl")
        and re.search(r"snapshot|backup|vzdump", said)
        and not goes_back(said)
    ):
        return backs_up if not re.search(r"\b(?:list|describe|delete|get|wait)\b", said) else None
    if name in _COPIES:
        return backs_up if _copies_state(argv, name) else None
    return backs_up if _called_backup(argv, name) else None


def _copies_state(argv: Sequence[str], name: str) -> bool:
    """State goes into a backup, and not back out of one; settings are no state."""
    named = [word for word in argv[1:] if not word.startswith("-")]
    if len(named) < 2 or _is_settings(argv):
        return False
    if name == "tar":
        creates = any(word == "--create" or re.fullmatch(r"-?[a-zA-Z]*c[a-zA-Z]*", word) for word in argv[1:3])
        return creates and says_backup(" ".join(named)) and says_state(" ".join(named))
    target, sources = (named[-1], named[:-1]) if name not in ("zip", "7z") else (named[0], named[1:])
    return says_backup(target) and not any(says_backup(source) for source in sources) and says_state(" ".join(sources))


def _is_settings(argv: Sequence[str]) -> bool:
    """`cp .env .env.bak`: what is kept is how it is set up, not what it holds."""
    sources = [word for word in argv[1:] if not word.startswith("-")]
    return bool(sources) and re.search(r"\.env|\.ya?ml|\.conf|\.json|\.sh|\.ini|\.cfg|/etc/", sources[0]) is not None


_SAYS_BACKUP = regex(r"back_?up|bkp|dump|snapshot", re.IGNORECASE)
_MAKES_NONE = listed("is has need needs should get find latest check rm remove delete enable disable setup install list ensure")


def _called_backup(argv: Sequence[str], name: str) -> bool:
    """A script, a function, a make target or a service whose name says that it backs up."""
    called = _callee(argv, name)
    words = words_of(called)
    if _SAYS_BACKUP.search(called) is None or goes_back(called) or set(words) & _SETTINGS or {"restore", "list", "prune", "--help", "-h"} & set(argv[1:4]):
        return False
    return words[0] not in _MAKES_NONE


def _callee(argv: Sequence[str], name: str) -> str:
    """What a command calls, by name: itself, a script, a target, a unit, an image or a service."""
    plain = [word for word in argv[1:] if not word.startswith("-") and "=" not in word]
    if name in ("make", "just", "task", "npm", "yarn"):
        return next((word for word in plain if _SAYS_BACKUP.search(word)), "")
    if name == "systemctl":
        return next((word for word in plain if _SAYS_BACKUP.search(word)), "") if {"start", "restart"} & set(argv) else ""
    if name in ("docker", "podman", "docker-compose", "podman-compose"):
        at = next((index for index, word in enumerate(argv) if word in ("run", "exec", "start")), None)
        run = after_options(argv[at:], RUN_OPTIONS)[:3] if at is not None else list(argv[-1:] if "up" in argv else ())
        return next((word for word in run if _SAYS_BACKUP.search(word) and "=" not in word), "")
    if name in ("bash", "sh", "dash", "source", ".", "python", "python3", "node", "php", "ruby"):
        return plain[0].rpartition("/")[2] if plain and "-c" not in argv else ""
    return name if re.fullmatch(r"[\w.@%+-]+", name) else ""


# ---- what nobody can bring back

_THROWN_AWAY = regex(
    r"(?<![a-z])(?:tests?|testing|tmp|temp|preview|review|pr|ephemeral|ci|sandbox|scratch|demo|dev|example|cache|canary|verify|check|drill|rehears\w*|trial|copy)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_KEPT = frozenset({Loss.VOLUME, Loss.STACK, Loss.PRUNE, Loss.DATABASE, Loss.DISK})
_FOR_GOOD = regex(
    r"(?:terraform|tofu|terragrunt|pulumi|cdk|helmfile) (?:\S+ )*?destroy\b"
    r"|kubectl (?:\S+ )*?delete (?:\S+ )*?(?:pvc|pv|persistentvolumeclaims?|namespaces?|ns)\b"
    r"|zfs destroy|zpool destroy|lvremove|aws rds delete-db|aws s3 rb .*--force|gcloud sql instances delete|redis-cli .*\bFLUSH(?:ALL|DB)\b|\bdropDatabase\(",
)


def _destruction(argv: Sequence[str], name: str, stdin: str | None) -> Said | None:
    """Volumes, databases, disks and whole systems; not what is called a test's. Also what makes one, for it may go again."""
    told = " ".join((name, *argv[1:], stdin or "")).strip()
    loss = loss_of(argv, stdin or "")
    for_good = (loss is not None and loss[0] in _KEPT) or (_FOR_GOOD.match(told) is not None and "--dry-run" not in told)
    if for_good and not _THROWN_AWAY.search(told):
        return Said(step=Step.DESTROYS, text=loss[1] if loss is not None else name)
    created = re.search(r"\bvolume create\b.* (?P<volume>\S+)$|^createdb .*?(?P<database>\S+)$", told)
    return Said(step=Step.CREATES, text=created["volume"] or created["database"]) if created else None


# ---- what is new

_RELEASE_FILE = regex(r"compose[\w.-]*\.ya?ml|\.tar\.gz|\.tgz|\.zip|/releases?/", re.IGNORECASE)
_VERSION = regex(r"\b\w*(?:TAG|VERSION|RELEASE|IMAGE)\w*\b", re.IGNORECASE)


def _fetch(argv: Sequence[str], name: str) -> Said | None:
    fetches = Said(step=Step.FETCHES)
    words = [word for word in argv[1:] if not word.startswith("-")]
    if name in ("docker", "podman", "nerdctl", "docker-compose", "podman-compose"):
        pulls = words[:1] == ["pull"] or (("compose" in words[:1] or name.endswith("compose")) and "pull" in words)
        always = "--pull" in argv or any(word.startswith("--pull=") and not word.endswith(("never", "missing")) for word in argv)
        return fetches if pulls or (always and "up" in words) or words[:1] == ["load"] else None
    if name == "git":
        return fetches if words[:1] in (["pull"], ["checkout"], ["switch"], ["merge"]) or (words[:1] == ["reset"] and "--hard" in argv) else None
    if name in ("curl", "wget"):
        return fetches if any(_RELEASE_FILE.search(word) for word in words) else None
    if name == "sed":
        return fetches if any(word.startswith("-i") for word in argv) and any(_VERSION.search(word) and "env" in argv[-1] for word in words) else None
    return None


def _migration(name: str) -> Said | None:
    """Major upgrades of a database: there is no way back without a backup."""
    if name in ("pg_upgrade", "pg_upgradecluster", "mariadb-upgrade", "mysql_upgrade"):
        return Said(step=Step.MIGRATES, text=name)
    return None

"""When does cron run what, as whom? A crontab's lines: of a user, and of /etc/crontab and /etc/cron.d with a column for the user.

Source: crontab(5) of Debian's cron and of cronie.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from interlock.nouns import dataclass
from interlock.patterns import regex

NICKNAMES = frozenset({"@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
RUN_PARTS = regex(r"[A-Za-z0-9_-]+")  # what run-parts(8) takes for a name: no dot

_FIELD = r"[0-9*][0-9A-Za-z*/,~-]*|[A-Za-z]{3}(?:[-,][A-Za-z]{3})*"
_SCHEDULE = regex(rf"(?P<when>@[a-z]+|(?:{_FIELD})(?:[ \t]+(?:{_FIELD})){{4}})[ \t]+(?P<rest>\S.*)")
_VARIABLE = regex(r"[ \t]*(?P<name>[A-Za-z_]\w*|\"[^\"]*\"|'[^']*')[ \t]*=[ \t]*(?P<value>.*)")
_USER = regex(r"(?P<user>[a-z_][a-z0-9_.-]*\$?)[ \t]+(?P<command>\S.*)")
_PROGRAMS = frozenset({"cd", "test", "flock", "bash", "sh", "nice", "ionice", "env", "exec", "sudo", "sleep", "timeout", "docker", "make", "if", "umask"})
_USUAL_USERS = frozenset({"root", "www-data", "nobody", "postgres", "git", "deploy", "ubuntu", "admin", "mail", "daemon", "backup", "app", "nginx", "apache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CronLine:
    """One entry. `command` is what the shell gets, `stdin` what follows its first `%`; `user` is empty in a user's own crontab."""

    when: str
    command: str
    line: int
    user: str = ""
    stdin: str = ""

    def render(self) -> str:
        """The line as a crontab has it."""
        fed = "%" + self.stdin.replace("%", "\\%").replace("\n", "%") if self.stdin else ""
        return "\t".join(part for part in (self.when, self.user, self.command.replace("%", "\\%") + fed) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCronLine:
    """A line that cron would refuse: the whole file with it."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """A crontab. `variables` are those in force at its end: nobody sets one twice but by mistake."""

    lines: tuple[CronLine, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[NoCronLine, ...] = ()


def parse_crontab(text: str, *, system: bool | None = None) -> Crontab:
    """The lines of a crontab. `system`: it has a column for the user; None: told by whether each of its lines can have one."""
    if system is None:
        system = _has_users(text)
    lines: list[CronLine] = []
    variables: dict[str, str] = {}
    refused: list[NoCronLine] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        if (entry := _entry(line, number, system)) is not None:
            lines.append(entry)
        elif (setting := _VARIABLE.fullmatch(line)) is not None:
            variables[_unquoted(setting["name"])] = _unquoted(setting["value"])
        else:
            refused.append(NoCronLine(line=number, text=line))
    return Crontab(lines=tuple(lines), variables=variables, refused=tuple(refused))


def _entry(line: str, number: int, system: bool) -> CronLine | None:
    found = _SCHEDULE.fullmatch(line)
    if found is None or (found["when"].startswith("@") and found["when"] not in NICKNAMES):
        return None
    user, rest = "", found["rest"]
    if system:
        column = _USER.fullmatch(rest)
        if column is None:
            return None
        user, rest = column["user"], column["command"]
    command, stdin = _at_percent(rest)
    return CronLine(when=" ".join(found["when"].split()), command=command, line=number, user=user, stdin=stdin)


def _at_percent(rest: str) -> tuple[str, str]:
    r"""The first `%` that no `\` stands before ends the command; what follows is its input, each further `%` a line's end."""
    parts = re.split(r"(?<!\\)%", rest)
    command, fed = parts[0], parts[1:]
    return command.replace("\\%", "%"), "\n".join(part.replace("\\%", "%") for part in fed)


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _has_users(text: str) -> bool:
    """True when every entry begins with what can be a user's name, and one with a name that users have, or is no program either way.

    `root /usr/bin/x` and `deploy cd /srv/app && make` are users; `certbot renew` could be one, and is not.
    """
    columns = []
    for raw in text.split("\n"):
        found = _SCHEDULE.fullmatch(raw.strip(" \t\r"))
        if found is not None and not raw.lstrip().startswith("#"):
            columns.append(_USER.fullmatch(found["rest"]))
    if not columns or any(column is None for column in columns):
        return False
    return all(column is not None and _is_user(column["user"], column["command"]) for column in columns)


def _is_user(word: str, behind: str) -> bool:
    return word not in _PROGRAMS and (word in _USUAL_USERS or _begins_a_command(behind))


def _begins_a_command(text: str) -> bool:
    """What stands behind a user's name: a path, an assignment, a test, or a word of the shell."""
    return re.match(r"[/.\[({~\"'$]|[A-Za-z_]\w*=|(?:cd|sleep|test|flock|bash|sh|umask|nice|ionice|docker|command|if|sudo|env|exec)\b", text) is not None


def is_system_path(path: str) -> bool | None:
    """Whether the crontab of this path has a column for the user; None where the path does not tell."""
    if re.search(r"(?:^|/)(?:etc/crontab|etc/anacrontab|cron\.d/[^/]+)$", path):
        return True
    return False if re.search(r"(?:^|/)(?:crontabs|cron/tabs)/[^/]+$", path) else None


# ---- which files of a tree are crontabs

_NAMES = regex(
    r"(?:(?:.*[._-])?crontabs?(?:[._-](?:txt|root|example|prod\w*|\w*user))?|.*\.cron)(?:\.(?:in|tmpl|tpl|j2))?|cronfile",
    re.IGNORECASE,
)
_OTHER = regex(r"\.(?:md|rst|html?|php|pyc?|js|ts|tsx|go|rs|rb|java|c|h|json|ya?ml|toml|sh|bash|service|timer|conf|log|svg|png|erb)$", re.IGNORECASE)


def is_crontab_path(path: str) -> bool:
    """True for the path of a file that is a crontab by its name or its folder."""
    name = path.rpartition("/")[2]
    if _OTHER.search(name):
        return False
    return _NAMES.fullmatch(name) is not None or re.search(r"(?:^|/)(?:cron\.d|crontabs)/[^/.][^/]*$", path) is not None

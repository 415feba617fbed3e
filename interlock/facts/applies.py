"""Does a command change a running system, and which one? A table of the programs that deploy, restart and migrate, read from their command lines.

What starts the command is `interlock.facts.calls`'s affair: `docker compose up -d` changes nothing on a machine that is thrown away afterwards (`Act.local`).
Sources: the programs' own manuals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise

from interlock.facts.backup_writers import listed
from interlock.nouns import dataclass
from interlock.patterns import regex

Argv = Sequence[str]


class ApplyKind(StrEnum):
    """What is changed; the values are the kinds of findings."""

    ENGINE = "containers"
    SERVICE = "services"
    FILES = "files"
    CLUSTER = "cluster"
    INFRASTRUCTURE = "infrastructure"
    PLATFORM = "platform"
    DATABASE = "database"
    DECLARED = "apply-script"


class Effect(StrEnum):
    """Whether something is brought up, taken down, or changed in place: what comes up and goes down again in one job was a rehearsal."""

    UP = "up"
    DOWN = "down"
    CHANGE = "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one command changes. `local`: on the machine that it runs on; `pauses`: it stops what a later command may start again, unchanged."""

    kind: ApplyKind
    effect: Effect = Effect.CHANGE
    local: bool = False
    tears_down: bool = False  # the whole stack, not one container of it
    pauses: str = ""  # what it stops
    resumes: str = ""  # what it starts again


def read_act(argv: Argv, environment: Mapping[str, str]) -> Act | None:
    """What a command line changes, None when nothing is known to be. `environment`: DOCKER_HOST and the like can lead elsewhere."""
    if not argv:
        return None
    program = argv[0].rpartition("/")[2]
    if _only_looks(program, argv):
        return None
    reader = _READERS.get(program)
    if reader is not None:
        return reader(argv, environment)
    return _migration(argv) or (_deploy_hook(argv) if program in ("curl", "wget", "http", "xh") else None)


def _only_looks(program: str, argv: Argv) -> bool:
    if argv[1:2] in (["--version"], ["--help"], ["version"], ["help"]) or "--help" in argv[-1:]:
        return True
    if program == "rsync" and any(re.fullmatch(r"-[a-zA-Z]*n[a-zA-Z]*", word) for word in argv[1:]):
        return True
    return any(word == "--dry-run" or (word.startswith("--dry-run=") and word != "--dry-run=none") for word in argv[1:])


def operands(argv: Argv, valued: frozenset[str]) -> list[str]:
    """The words after the program that are no options and no values of `valued` ones."""
    found: list[str] = []
    skip = False
    for word in argv[1:]:
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-") or word == "-":
            found.append(word)
    return found


def after_options(argv: Argv, valued: frozenset[str]) -> list[str]:
    """What is left from the first operand on: the subcommand with everything behind it."""
    skip = False
    for index, word in enumerate(argv[1:], 1):
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-"):
            return list(argv[index:])
    return []


# ---- container engines

_DOCKER_OPTIONS = listed("-H --host -c --context --config -l --log-level --tlscacert --tlscert --tlskey --url --connection")
_COMPOSE_OPTIONS = listed("-f --file -p --project-name --profile --env-file --project-directory --ansi --progress --parallel --context -H --host -c")
RUN_OPTIONS = listed(
    "-e --env --env-file -v --volume --mount -w --workdir -u --user --name --network --net -p --publish --entrypoint -l --label -m --memory --cpus --restart"
    " --hostname -h --platform --add-host --tmpfs --ulimit --shm-size --ipc --pid --security-opt --cap-add --cap-drop --device --gpus --log-driver --log-opt"
    " --index --pull --dns --cgroupns --runtime --stop-signal --stop-timeout --cidfile --health-cmd --volumes-from --network-alias --link --expose --userns"
)


def _docker(argv: Argv, environment: Mapping[str, str]) -> Act | None:
    local = not _elsewhere(argv, environment)
    rest = after_options(argv, _DOCKER_OPTIONS)
    if rest[:1] == ["compose"]:
        return _compose_verb(after_options(rest, _COMPOSE_OPTIONS), local)
    if rest[:1] == ["container"]:
        rest = rest[1:]
    if rest[:2] in (["stack", "deploy"], ["stack", "rm"], ["service", "update"], ["service", "create"], ["service", "scale"], ["stack", "up"]):
        return Act(kind=ApplyKind.ENGINE, local=local)
    return _engine_verb(rest, local)


def _compose(argv: Argv, environment: Mapping[str, str]) -> Act | None:
    return _compose_verb(after_options(argv, _COMPOSE_OPTIONS), not _elsewhere(argv, environment))


def _elsewhere(argv: Argv, environment: Mapping[str, str]) -> bool:
    """True when the engine is another machine's: `-H ssh://...`, `--context prod`, DOCKER_HOST."""
    hosts = [after for word, after in pairwise(argv[1:]) if word in ("-H", "--host")]
    hosts += [word.partition("=")[2] for word in argv[1:] if word.startswith("--host=")]
    hosts += [environment.get("DOCKER_HOST", "")]
    contexts = [after for word, after in pairwise(argv[1:]) if word == "--context"]
    contexts += [word.partition("=")[2] for word in argv[1:] if word.startswith("--context=")]
    contexts += [environment.get("DOCKER_CONTEXT", "")]
    remote = any(host.startswith(("ssh:", "tcp:", "$")) and not re.search(r"//(?:localhost|127\.|docker\b)", host) for host in hosts)
    return remote or any(context not in ("", "default", "desktop-linux", "rootless") for context in contexts)


_TRIES = listed("--abort-on-container-exit --exit-code-from --abort-on-container-failure --no-start")


def _compose_verb(rest: Sequence[str], local: bool) -> Act | None:
    if not rest:
        return None
    if rest[0] in ("up", "create", "scale"):
        tries = any(word.partition("=")[0] in _TRIES for word in rest)
        return None if tries else Act(kind=ApplyKind.ENGINE, effect=Effect.UP, local=local)
    return _container_verb(rest[0], rest[1:], local) if rest[0] != "update" else None


def _container_verb(verb: str, words: Sequence[str], local: bool) -> Act | None:
    """The verbs that `docker` and `docker compose` have in common."""
    engine = ApplyKind.ENGINE
    if verb in ("down", "rm"):
        return Act(kind=engine, effect=Effect.DOWN, local=local, tears_down=verb == "down")
    if verb in ("stop", "pause"):
        return Act(kind=engine, effect=Effect.DOWN, local=local, pauses=_named(words))
    if verb in ("start", "unpause"):
        return Act(kind=engine, effect=Effect.UP, local=local, resumes=_named(words))
    if verb == "kill" and not any(word.startswith(("-s", "--signal")) for word in words):
        return Act(kind=engine, effect=Effect.DOWN, local=local)
    return Act(kind=engine, local=local) if verb in ("restart", "update") else None


def _named(words: Sequence[str]) -> str:
    """The containers, services or units that a command names; `*` for all."""
    return " ".join(sorted(word for word in words if not word.startswith("-") and not word.isdigit())) or "*"


def _engine_verb(rest: Sequence[str], local: bool) -> Act | None:
    if not rest:
        return None
    if rest[0] == "run":
        return None if _once(rest[1:]) else Act(kind=ApplyKind.ENGINE, effect=Effect.UP, local=local)
    return _container_verb(rest[0], rest[1:], local) if rest[0] != "down" else None


def _once(words: Sequence[str]) -> bool:
    """`docker run --rm`, in the foreground: a tool that is run once, like certbot or a backup."""
    inside = len(after_options(("run", *words), RUN_OPTIONS))
    options = [word for word in words[: len(words) - inside] if word.startswith("-")]
    return any(word in ("--rm", "--rm=true") for word in options) and not any(re.fullmatch(r"-[a-z]*d[a-z]*|--detach(?:=true)?", word) for word in options)


# ---- services of a machine


def _systemctl(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    rest = after_options(argv, listed("-H --host -M --machine -t --type -p --property -n"))
    remote = any(word in ("-H", "--host") or word.startswith("--host=") for word in argv)
    return _service_verb(rest[0], rest[1:], local=not remote) if rest else None


def _service(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    return _service_verb(argv[2], argv[1:2], local=True) if len(argv) > 2 else None


def _supervisor(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    rest = after_options(argv, listed("-c -s -u -p"))
    return _service_verb(rest[0], rest[1:], local=True) if rest else None


def _service_verb(verb: str, names: Sequence[str], *, local: bool) -> Act | None:
    match verb:
        case "restart" | "try-restart" | "reload-or-restart" | "force-reload" | "redeploy":
            return Act(kind=ApplyKind.SERVICE, local=local)
        case "stop":
            return Act(kind=ApplyKind.SERVICE, effect=Effect.DOWN, local=local, pauses=_named(names))
        case "start":
            return Act(kind=ApplyKind.SERVICE, effect=Effect.UP, local=local, resumes=_named(names))
        case _:
            return None


# ---- clusters

_KUBECTL_OPTIONS = listed("-n --namespace --context --kubeconfig --cluster --user -s --server --token --as -v --request-timeout --certificate-authority")
_FINISHED = regex(r"status\.phase==?(?:Succeeded|Failed)|status\.successful==?1")  # what is swept away has ended
_KUBECTL_CHANGES = listed("apply delete create replace patch set scale edit drain run autoscale expose")


def _kubectl(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    rest = after_options(argv, _KUBECTL_OPTIONS)
    if not rest or (rest[0] == "rollout" and rest[1:2] not in (["restart"], ["undo"])):
        return None
    if rest[0] == "delete" and any(_FINISHED.search(word) for word in rest):
        return None
    named = [word for word in rest[1:] if word in ("-f", "-k", "namespace", "ns") or word.startswith(("-f=", "--filename", "--kustomize"))]
    effect = Effect.UP if rest[0] in ("apply", "create") else Effect.DOWN if rest[0] == "delete" and named else Effect.CHANGE
    return Act(kind=ApplyKind.CLUSTER, effect=effect) if rest[0] in _KUBECTL_CHANGES or rest[0] == "rollout" else None


def _verbs(kind: ApplyKind, verbs: str, valued: str = "") -> Callable[[Argv, Mapping[str, str]], Act | None]:
    """A program that changes something with one of these subcommands; two words joined by `+` are a subcommand of a subcommand."""
    wanted = [tuple(verb.split("+")) for verb in verbs.split()]
    options = listed(valued)

    def read(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
        rest = operands(argv, options)
        found = next((verb for verb in wanted if tuple(rest[: len(verb)]) == verb), None)
        if found is None:
            return None
        return Act(kind=kind, effect=Effect.DOWN if found[-1] in ("destroy", "uninstall", "down", "delete") else Effect.UP)

    return read


# ---- machines that are configured from elsewhere


def _ansible_playbook(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    looks = ("-C", "--check", "--syntax-check", "--list-tasks", "--list-hosts", "--list-tags")
    if any(word in looks for word in argv):
        return None
    given = dict(pairwise(argv))
    inventory = given.get("-i", given.get("--inventory", "")) or next((word.partition("=")[2] for word in argv if word.startswith("--inventory=")), "")
    connection = given.get("-c", given.get("--connection", "")) or next((word.partition("=")[2] for word in argv if word.startswith("--connection=")), "")
    local = connection == "local" or re.fullmatch(r"(?:localhost|127\.0\.0\.1),?", inventory) is not None
    return Act(kind=ApplyKind.INFRASTRUCTURE, local=local)


def _ansible(argv: Argv, environment: Mapping[str, str]) -> Act | None:
    given = dict(pairwise(argv))
    module = given.get("-m", given.get("--module-name", "command"))
    return None if module.rpartition(".")[2] in ("ping", "setup", "debug", "gather_facts", "stat") else _ansible_playbook(argv, environment)


# ---- files of another machine

_REMOTE_PATH = regex(r"(?:[\w.$@{}-]|\$\{\{[^{}]*\}\})+:(?!//).*|(?:rsync|sftp|scp)://.*", re.DOTALL)
_RSYNC_OPTIONS = listed(
    "-e --rsh --exclude --include --filter -f --files-from --chmod --chown --password-file --port --bwlimit --rsync-path --timeout --log-file -T"
)
_SCP_OPTIONS = listed("-i -P -o -F -c -J -l -S")


def _copy_to(options: frozenset[str]) -> Callable[[Argv, Mapping[str, str]], Act | None]:
    def read(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
        named = operands(argv, options)
        return Act(kind=ApplyKind.FILES) if len(named) > 1 and _REMOTE_PATH.fullmatch(named[-1]) else None

    return read


def _git(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    """A checkout that is moved on: a release where the stack runs from it. `git push dokku` releases by itself."""
    rest = after_options(argv, listed("-C -c --git-dir --work-tree"))
    if rest[:1] == ["push"] and any(re.match(r"(?:dokku|heroku|deploy|production|live)\b|(?:ssh://)?dokku@", word) for word in rest[1:]):
        return Act(kind=ApplyKind.PLATFORM)
    moves = rest[:1] == ["pull"] or (rest[:1] == ["reset"] and "--hard" in rest)
    return Act(kind=ApplyKind.FILES, local=True) if moves else None


# ---- databases

_MIGRATIONS = (
    ("alembic", "upgrade"), ("alembic", "downgrade"), ("flyway", "migrate"), ("liquibase", "update"), ("manage.py", "migrate"), ("rails", "db:migrate"),
    ("rake", "db:migrate"), ("prisma", "migrate deploy"), ("goose", "up"), ("dbmate", "up"), ("dbmate", "migrate"), ("sqlx", "migrate run"),
    ("knex", "migrate:latest"), ("diesel", "migration run"), ("artisan", "migrate"), ("flask", "db upgrade"), ("sqitch", "deploy"), ("atlas", "migrate apply"),
)  # fmt: skip
_MIGRATION_FILE = regex(r"migrat|schema|upgrade|cutover|release", re.IGNORECASE)


def _migration(argv: Argv) -> Act | None:
    words = [word.rpartition("/")[2] for word in argv[:8]]
    for program, verb in _MIGRATIONS:
        wanted = verb.split()
        if program in words:
            after = [word for word in words[words.index(program) + 1 :] if not word.startswith("-")]
            if after[: len(wanted)] == wanted:
                return Act(kind=ApplyKind.DATABASE, local=True)
    return None


def _psql(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    files = [after for word, after in pairwise(argv) if word in ("-f", "--file")]
    files += [word[2:] for word in argv[1:] if word.startswith("-f") and len(word) > 2] + [word[7:] for word in argv[1:] if word.startswith("--file=")]
    return Act(kind=ApplyKind.DATABASE, local=True) if any(_MIGRATION_FILE.search(name) for name in files) else None


# ---- platforms

_HOOK = regex(
    r"(?:portainer|coolify|dokploy|caprover|watchtower|easypanel|render)[\w./${}:-]*(?:hook|deploy|update)|(?:re)?deploy[_-]?(?:web)?hook", re.IGNORECASE
)


def _deploy_hook(argv: Argv) -> Act | None:
    return Act(kind=ApplyKind.PLATFORM) if any(_HOOK.search(word) for word in argv[1:]) else None


def _interlock(argv: Argv, _environment: Mapping[str, str]) -> Act | None:
    return Act(kind=ApplyKind.DECLARED) if operands(argv, frozenset())[:1] in (["apply"], ["resume"], ["rollback"], ["guard"]) else None


_TERRAFORM = _verbs(ApplyKind.INFRASTRUCTURE, "apply destroy run-all+apply run-all+destroy")
_READERS: Mapping[str, Callable[[Argv, Mapping[str, str]], Act | None]] = {
    "docker": _docker, "podman": _docker, "nerdctl": _docker, "docker-compose": _compose, "podman-compose": _compose,
    "systemctl": _systemctl, "service": _service, "rc-service": _service, "supervisorctl": _supervisor, "pm2": _supervisor,
    "kubectl": _kubectl, "oc": _kubectl,
    "helm": _verbs(ApplyKind.CLUSTER, "upgrade install uninstall delete rollback", "-n --namespace --kube-context --kubeconfig"),
    "helmfile": _verbs(ApplyKind.CLUSTER, "apply sync destroy", "-f --file -e --environment -l --selector -n --namespace"),
    "skaffold": _verbs(ApplyKind.CLUSTER, "run deploy delete"), "kapp": _verbs(ApplyKind.CLUSTER, "deploy delete"),
    "argocd": _verbs(ApplyKind.CLUSTER, "app+sync app+set app+delete"), "nomad": _verbs(ApplyKind.CLUSTER, "run job+run"),
    "terraform": _TERRAFORM, "tofu": _TERRAFORM, "terragrunt": _TERRAFORM,
    "pulumi": _verbs(ApplyKind.INFRASTRUCTURE, "up update destroy", "-s --stack -C --cwd"),
    "cdk": _verbs(ApplyKind.INFRASTRUCTURE, "deploy destroy"),
    "ansible-playbook": _ansible_playbook, "ansible": _ansible,
    "rsync": _copy_to(_RSYNC_OPTIONS), "scp": _copy_to(_SCP_OPTIONS), "git": _git, "psql": _psql,
    "fly": _verbs(ApplyKind.PLATFORM, "deploy", "-a --app -c --config"), "flyctl": _verbs(ApplyKind.PLATFORM, "deploy", "-a --app -c --config"),
    "kamal": _verbs(ApplyKind.PLATFORM, "deploy redeploy setup rollback"), "railway": _verbs(ApplyKind.PLATFORM, "up redeploy"),
    "heroku": _verbs(ApplyKind.PLATFORM, "container:release", "-a --app"), "eb": _verbs(ApplyKind.PLATFORM, "deploy"),
    "cf": _verbs(ApplyKind.PLATFORM, "push"), "caprover": _verbs(ApplyKind.PLATFORM, "deploy"),
    "sam": _verbs(ApplyKind.PLATFORM, "deploy"), "serverless": _verbs(ApplyKind.PLATFORM, "deploy"), "sls": _verbs(ApplyKind.PLATFORM, "deploy"),
    "gcloud": _verbs(ApplyKind.PLATFORM, "run+deploy app+deploy functions+deploy", "--project --region"),
    "aws": _verbs(ApplyKind.PLATFORM, "ecs+update-service deploy+create-deployment cloudformation+deploy lambda+update-function-code", "--profile --region"),
    "az": _verbs(ApplyKind.PLATFORM, "webapp+deploy containerapp+update containerapp+up webapp+up"),
    "interlock": _interlock,
}  # fmt: skip


# ---- what is published is not applied

_PUBLISHES = regex(
    r"(?<![a-z])(?:gh-?pages?|pages?|docs?|documentation|mkdocs|web-?sites?|storybook|netlify|vercel|firebase|hosting|packages?|pypi|npm|images?"
    r"|registry|charts?|artifacts?|mirrors?|downloads?|incoming|apt|deb|rpm|repos?|publish\w*|coverage|badges?|reports?|marketplace|wiki|translations?)(?![a-z])",
    re.IGNORECASE,
)
_DEPLOYS = regex(r"(?<![a-z])(?:re)?deploy(?:s|ment|ments|er)?(?![a-z])|(?<![a-z])(?:roll-?out|cutover)(?![a-z])", re.IGNORECASE)


def says_publish(*texts: str) -> bool:
    """True when a name says that something is put where people fetch or read it: a page, an image, a package."""
    return any(_PUBLISHES.search(text) for text in texts)


def says_deploy(text: str) -> bool:
    """True when a name says that something is deployed, and not that it is published."""
    return _DEPLOYS.search(text) is not None and not says_publish(text)


def rehearsed(acts: Sequence[Act], index: int, *, whole: bool = False) -> bool:
    """True for a pause that ends in the same sequence, and for its end. `whole`: also for what comes up and is down again when the sequence ends."""
    act, after = acts[index], acts[index + 1 :]
    if act.resumes or (act.pauses and any(later.resumes and _covers(later.resumes, act.pauses) for later in after)):
        return True
    ups_and_downs = [one.effect for one in _same(acts, act.kind) if one.effect is not Effect.CHANGE]
    return whole and Effect.UP in ups_and_downs and ups_and_downs[-1] is Effect.DOWN


def torn_down(acts: Sequence[Act]) -> bool:
    """True when the stack that a sequence brings up is not there when it ends; a container that is removed beside a new one is a release."""
    ups_and_downs = [one for one in _same(acts, ApplyKind.ENGINE) if one.effect is not Effect.CHANGE]
    return bool(ups_and_downs) and ups_and_downs[-1].tears_down


def _same(acts: Sequence[Act], kind: ApplyKind) -> Iterator[Act]:
    return (act for act in acts if act.kind is kind)


def _covers(resumed: str, paused: str) -> bool:
    return resumed == "*" or set(paused.split()) <= set(resumed.split())

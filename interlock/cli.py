"""The command line: arguments become one frozen request, a module does the work, and the exit code is the decision (the table of docs/gate.md).

Nothing is decided here. Commands import what they need when they run: `interlock guardrails` must not pay for PostgreSQL.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interlock import __version__
from interlock.errors import ConfigError, GateShut, InterlockError, UsageError

if TYPE_CHECKING:
    from interlock.change.carrying import Said
    from interlock.change.telling import Outcome
    from interlock.config.models import Site
    from interlock.evidence.folder import LoadedRun

FORMATS = ("text", "json", "markdown", "sarif", "junit", "html")
SCAN_FORMATS = ("github", "gitlab")  # of findings in files alone
INTERRUPTED = 130
INTERNAL_FAULT = 11  # our own fault proves nothing: unproven


class Parser(argparse.ArgumentParser):
    """argparse, with our exit code for a wrong command line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Say what is wrong and where help is, and leave with 64."""
        self.print_usage(sys.stderr)
        raise UsageError(message, remedy=f"see `{self.prog} --help`")


def entry() -> None:
    """The console script."""
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Every error is one message on stderr; a traceback only with INTERLOCK_DEBUG=1."""
    try:
        request = parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = request.command
        return command(request)
    except GateShut as error:
        return _say(error, error.code)
    except InterlockError as error:
        return _say(error, error.exit_code)
    except KeyboardInterrupt:
        print("interlock: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERNAL_FAULT
    except Exception as error:
        if os.environ.get("INTERLOCK_DEBUG") == "1":
            raise
        fault = InterlockError(
            f"a fault of interlock itself: {type(error).__name__}: {error}", remedy="set INTERLOCK_DEBUG=1, run it again, and report what it prints"
        )
        return _say(fault, INTERNAL_FAULT)


def _say(error: InterlockError, code: int) -> int:
    print(f"interlock: {error}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line, one function a command."""
    top = Parser(
        prog="interlock", description="Nothing risky moves until every guard is closed: checks, plans, approvals and evidence for self-hosted systems."
    )
    top.add_argument("--version", action="version", version=f"interlock {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    _judging(commands)
    _acting(commands)
    _evidence(commands)
    _describing(commands)
    return top


def _add(commands: argparse._SubParsersAction[Parser], name: str, text: str, command: Callable[[argparse.Namespace], int], *, site: bool = True) -> Parser:
    added: Parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    added.set_defaults(command=command)
    if site:
        added.add_argument("--site", metavar="FILE", type=Path, help="the site file (default: interlock.yaml here or in a folder above)")
    return added


def _format(command: Parser, formats: Sequence[str] = FORMATS) -> None:
    command.add_argument("--format", choices=formats, default="text", help="what to print (default: text)")
    command.add_argument("--output", metavar="FILE", type=Path, help="write it to FILE instead of standard output")


def _judging(commands: argparse._SubParsersAction[Parser]) -> None:
    scan = _add(commands, "scan", "judge the files of a tree: no configuration, no daemon, no network", _scan)
    scan.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="the tree (default: here)")
    _format(scan, (*FORMATS, *SCAN_FORMATS))
    scan.add_argument("--also", metavar="FORMAT=FILE", action="append", default=[], help="write it to FILE in another format too; may be given again")
    scan.add_argument("--changed-since", metavar="REV", help="judge the tree of this commit too, and mark each finding as new or old")
    scan.add_argument("--new-only", action="store_true", help="with --changed-since: only new findings shut the gate")
    known = scan.add_mutually_exclusive_group()
    known.add_argument("--baseline", metavar="FILE", type=Path, help="only findings that are not in FILE shut the gate")
    known.add_argument("--write-baseline", metavar="FILE", type=Path, help="write the findings of now to FILE")
    scan.add_argument(
        "--explain", metavar="GUARDRAIL", nargs="?", const="", help="what a guardrail asks, why, and what to do; without a name: all that scan asks"
    )
    for gate, text in (("preflight", "judge the live system before an action"), ("postflight", "judge the live system after an action"), ("drill", "rehearse")):
        command = _add(commands, gate, text, _gate)
        command.set_defaults(gate=gate)
        command.add_argument("--for", dest="action", metavar="ACTION", help="gate this action (default: everything that any action needs)")
        command.add_argument("--facts", metavar="FILE", type=Path, help="judge saved facts; such a gate never opens")
        command.add_argument("--verbose", action="store_true", help="print pytest's own output too")
        _format(command)
    facts = _add(commands, "facts", "look at the live system once and save what was seen", _facts)
    facts.add_argument("--output", metavar="FILE", type=Path, help="where to save it (0600; it may hold secrets)")
    facts.add_argument("--picture", metavar="FILE", type=Path, help="draw disks, mounts, containers and paths as SVG, and what is wrong with them")


def _acting(commands: argparse._SubParsersAction[Parser]) -> None:
    plan = _add(commands, "plan", "resolve an action to steps with every input, and write the plan to be approved", _plan)
    plan.add_argument("action", nargs="?", metavar="ACTION", help="an action of the site")
    plan.add_argument("--show", metavar="PLAN", help="show a plan in words and as a diff instead")
    plan.add_argument("--key", metavar="FILE", type=Path, help="sign the plan with this SSH key (default: your own, where there is one)")
    approve = _add(commands, "approve", "show a plan, ask for its digest, and sign it with your SSH key", _approve)
    approve.add_argument("plan", metavar="PLAN")
    approve.add_argument("--key", metavar="FILE", type=Path, help="your SSH key (default: the agent's, or ~/.ssh/id_ed25519)")
    approve.add_argument("--withdraw", action="store_true", help="take back what you have signed of it")
    for name, text, command in (
        ("apply", "run an approved plan: lock, gate, fingerprint, backups, steps, postflight, evidence", _apply),
        ("resume", "finish a plan that was interrupted", _resume),
        ("rollback", "undo a plan that was interrupted or failed", _rollback),
    ):
        acting = _add(commands, name, text, command)
        acting.add_argument("plan", metavar="PLAN")
        if name == "resume":
            acting.add_argument("--done", metavar="STEP", action="append", default=[], help="this interrupted command did its work: go on behind it")
            acting.add_argument("--again", metavar="STEP", action="append", default=[], help="this interrupted command may be run again")
    glass = _add(commands, "break-glass", "apply a plan without its second person: you alone, with a reason, and a follow-up that is owed", _break_glass)
    glass.add_argument("plan", metavar="PLAN")
    glass.add_argument("--key", metavar="FILE", type=Path, help="your SSH key (default: the agent's, or ~/.ssh/id_ed25519)")
    follow = _add(commands, "follow-up", "look at what was done behind a broken glass, and sign what you found", _follow_up)
    follow.add_argument("action", nargs="?", metavar="ACTION-ID", help="the action's id, as status shows it (default: the newest that is owed)")
    follow.add_argument("--key", metavar="FILE", type=Path, help="your SSH key (default: the agent's, or ~/.ssh/id_ed25519)")
    guard = _add(commands, "guard", "run a script of your own behind an action's gate, lock, approval and backups, with evidence", _guard)
    guard.add_argument("--for", dest="action", metavar="ACTION", required=True, help="the action whose gate, approval and backups guard it")
    guard.add_argument("--key", metavar="FILE", type=Path, help="sign the plan and its approval with this SSH key (default: your own)")
    guard.add_argument("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM", help="the program and its arguments, behind --")
    backup = _add(commands, "backup", "the audit table: which modules keep state, how each is backed up, and what its container is called", _backup, site=False)
    backup.add_argument("--audit", action="store_true", required=True, help="print the table (Markdown)")
    backup.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="the tree (default: here)")
    backup.add_argument("--site", metavar="FILE", type=Path, help="the site file (default: the one in PATH, if there is one)")
    status = _add(commands, "status", "one screen: lock holder, last action and how far, ages, the exact next command", _status)
    status.add_argument("--in", dest="ahead", metavar="TIME", default="0s", help="say what will have expired by then, like 4h")


def _evidence(commands: argparse._SubParsersAction[Parser]) -> None:
    report = _add(commands, "report", "print the evidence of a run", _report)
    report.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a run folder (default: the newest)")
    _format(report)
    verify = _add(commands, "verify", "prove offline that evidence is whole, and say what it proves", _verify, site=False)
    verify.add_argument("run", type=Path, metavar="RUN", help="a run folder, or a copy of one")


def _describing(commands: argparse._SubParsersAction[Parser]) -> None:
    init = _add(commands, "init", "write an interlock.yaml: what this tree, and this host, say of the site", _init, site=False)
    init.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="the folder of the stack (default: here)")
    init.add_argument("--live", action="store_true", help="look at this host too; what it shows must be confirmed")
    init.add_argument("--review", action="store_true", help="confirm what was learned from the host, one by one, at a terminal")
    init.add_argument("--name", metavar="NAME", help="the name of the site (default: the folder's)")
    init.add_argument("--force", action="store_true", help="replace an interlock.yaml that is there")
    init.add_argument("--output", metavar="FILE", type=Path, help="write it to FILE instead of interlock.yaml in PATH")
    guardrails = _add(commands, "guardrails", "the catalogue: what is checked, when, and why", _guardrails, site=False)
    guardrails.add_argument("guardrail", nargs="?", metavar="ID", help="one guardrail in full")
    guardrails.add_argument("--format", choices=("text", "json"), default="text", help="what to print (default: text)")
    _add(commands, "schema", "the JSON Schema of interlock.yaml", _schema, site=False)
    doctor = _add(commands, "doctor", "which guardrails will be unproven here, and the exact line that changes it", _doctor)
    doctor.add_argument("--for", dest="action", metavar="ACTION", help="for this action's gate only")
    selftest = _add(commands, "selftest", "prove that each guardrail bites: seed its fault in a throw-away site", _selftest, site=False)
    selftest.add_argument("guardrail", nargs="*", metavar="ID", help="only these (default: all)")


# ---- judging


def _site(request: argparse.Namespace, *, offline: bool = False) -> Site:
    """The site of a command. `offline` for commands that read what lies there: they work where nobody knows the secrets."""
    from interlock.config.load import find_site, load_site
    from interlock.judge import gate_names

    path = request.site or find_site(Path.cwd())
    if path is None:
        raise ConfigError(
            "no interlock.yaml here or in a folder above", where=str(Path.cwd()), remedy="run it in the site's folder, or name one with --site FILE"
        )
    return load_site(path, None if offline else os.environ, known=gate_names())


def _scan(request: argparse.Namespace) -> int:
    if request.explain is not None:
        from interlock.commands.explain import explained

        print(explained(request.explain))
        return 0
    from interlock.commands.comparing import ScanRequest, scanned
    from interlock.commands.scan_report import Outputs, report

    if request.new_only and request.changed_since is None:
        raise UsageError("--new-only needs --changed-since REV", why="new is what an earlier commit had not", remedy="name the commit to compare with")
    outputs = Outputs.of(request.format, request.output, request.also, (*FORMATS, *SCAN_FORMATS))
    asked = ScanRequest(
        root=request.path,
        environ=os.environ,
        site_file=request.site,
        baseline=request.baseline,
        write_baseline=request.write_baseline,
        changed_since=request.changed_since,
        only_new=request.new_only,
    )
    found = scanned(asked)
    report(found, outputs, request.path, os.environ, sys.stdout)
    for note in found.notes:
        print(f"interlock: {note}", file=sys.stderr)
    return found.record.exit_code


def _gate(request: argparse.Namespace) -> int:
    from interlock.commands.report import gate_screen
    from interlock.gaterun.call import run_gate
    from interlock.gaterun.run import GateRequest
    from interlock.verdicts import When

    facts = request.facts.absolute() if request.facts else None
    site = _site(request)
    asked = GateRequest(gates=frozenset({When(request.gate)}), start=site.root, action=request.action, facts=facts)
    answer = run_gate(site, asked, environ=os.environ)
    if request.verbose:
        print(answer.output, file=sys.stderr)
    if request.format == "text" and request.output is None:
        sys.stdout.write(gate_screen(site, answer.run))
    else:
        _print(request, answer.run)
    return answer.run.record.exit_code


def _facts(request: argparse.Namespace) -> int:
    from interlock.commands.facts import look_once

    for line in look_once(_site(request), request.output, request.picture, os.environ):
        print(line, file=sys.stderr)
    return 0


def _print(request: argparse.Namespace, run: LoadedRun) -> None:
    """One run in the asked format, to the terminal or whole into a file."""
    from interlock.commands.report import render, write_output

    topology = run.topology if request.format == "html" else None
    text = render(run.record, run.details, request.format, to_terminal=request.output is None, topology=topology)
    if request.output is not None:
        write_output(request.output, text)
    else:
        for chunk in text:
            sys.stdout.write(chunk)


# ---- acting


def _plan(request: argparse.Namespace) -> int:
    from interlock import runner

    site = _site(request)
    if request.show is not None:
        print(runner.show(site, request.show, os.environ))
    elif request.action is None:
        raise UsageError("which action?", why=f"this site has {', '.join(site.actions) or 'none'}", remedy="name one: interlock plan ACTION")
    else:
        print(runner.plan(site, request.action, os.environ, key=request.key))
    return 0


def _approve(request: argparse.Namespace) -> int:
    from interlock import runner

    sign = runner.withdraw if request.withdraw else runner.approve
    print(sign(_site(request), request.plan, request.key, os.environ))
    return 0


def _break_glass(request: argparse.Namespace) -> int:
    from interlock import runner

    site = _site(request)
    return _acted(site, lambda: runner.break_glass(site, request.plan, os.environ, key=request.key))


def _follow_up(request: argparse.Namespace) -> int:
    from interlock import runner

    print(runner.follow_up(_site(request), request.action, request.key, os.environ))
    return 0


def _apply(request: argparse.Namespace) -> int:
    from interlock import runner

    site = _site(request)
    return _acted(site, lambda: runner.apply(site, request.plan, os.environ))


def _guard(request: argparse.Namespace) -> int:
    from interlock import runner

    program = request.program[1:] if request.program[:1] == ["--"] else request.program
    if not program:
        raise UsageError("which program?", remedy=f"name it behind --: interlock guard --for {request.action} -- ./apply.sh")
    site = _site(request)
    return _acted(site, lambda: runner.guard(site, request.action, program, os.environ, directory=Path.cwd(), key=request.key))


def _acted(site: Site, act: Callable[[], Outcome]) -> int:
    """Say how an action ended and where its evidence lies; where its gate is shut, what a gate says that was run by itself."""
    from interlock.commands.report import gate_screen
    from interlock.evidence.folder import load_run

    try:
        outcome = act()
    except GateShut as error:
        if error.run is None:
            raise
        print(f"interlock: {error.what}, nothing was begun", file=sys.stderr)
        sys.stdout.write(gate_screen(site, load_run(error.run)))
        return error.code
    print(outcome.text)
    return outcome.exit_code


def _told(step: str, word: Said) -> tuple[int, Said]:
    """What the operator says of an interrupted command. Raises UsageError for what is no number of a step."""
    if not step.isdecimal() or int(step) < 1:
        raise UsageError(f"{step} is no step", remedy="`interlock status` numbers the steps")
    return int(step), word


def _resume(request: argparse.Namespace) -> int:
    from interlock import runner
    from interlock.change.carrying import Said

    said = dict(_told(step, Said.DONE) for step in request.done)
    again = dict(_told(step, Said.AGAIN) for step in request.again)
    if both := sorted(said.keys() & again.keys()):
        raise UsageError(f"step {both[0]} is said to be done, and to be run again", remedy="look what became of it, and say one of the two")
    said |= again
    site = _site(request)
    return _acted(site, lambda: runner.resume(site, request.plan, os.environ, said=said))


def _rollback(request: argparse.Namespace) -> int:
    from interlock import runner

    site = _site(request)
    return _acted(site, lambda: runner.rollback(site, request.plan, os.environ))


def _status(request: argparse.Namespace) -> int:
    from interlock.commands.status import status_text
    from interlock.config.scalars import parse_duration

    try:
        ahead = parse_duration(request.ahead)
    except ValueError as error:
        raise UsageError(f"--in: {error}") from error
    print(status_text(_site(request, offline=True), ahead))
    return 0


def _backup(request: argparse.Namespace) -> int:
    from interlock.commands.audit import audit
    from interlock.commands.scan import site_of_tree

    print(audit(site_of_tree(request.path, request.site), os.environ), end="")
    return 0


# ---- evidence


def _report(request: argparse.Namespace) -> int:
    from interlock.commands.report import newest_run
    from interlock.evidence.folder import load_run

    run = load_run(request.run) if request.run else newest_run(_site(request, offline=True))
    _print(request, run)
    return 0


def _verify(request: argparse.Namespace) -> int:
    from interlock.evidence.verify import verify_run

    verification = verify_run(request.run)
    print(verification)
    return verification.exit_code


# ---- describing


def _init(request: argparse.Namespace) -> int:
    if request.review:
        from interlock.commands.review import review

        if request.live or request.force or request.name:
            raise UsageError("--review goes with no other option but --output", remedy="run `interlock init --review` by itself")
        print(review(request.output or request.path / "interlock.yaml"))
        return 0
    from interlock.commands.readback import Readback

    gc.disable()  # what is imported and found is no garbage
    try:
        with Readback() as readback:  # it is at work while the rest is imported
            from interlock.commands.init import Init, init

            wanted = Init(root=request.path, output=request.output, name=request.name, force=request.force, live=request.live)
            print(init(wanted, readback, os.environ))
    finally:
        gc.enable()
    return 0


def _guardrails(request: argparse.Namespace) -> int:
    from interlock.commands.describe import catalogue_text

    print(catalogue_text(request.guardrail, request.format))
    return 0


def _schema(_request: argparse.Namespace) -> int:
    from interlock.config.schema import site_schema_text

    print(site_schema_text(), end="")
    return 0


def _doctor(request: argparse.Namespace) -> int:
    from interlock.commands.doctor import doctor

    text, ready = doctor(_site(request), request.action, os.environ)
    print(text)
    return 0 if ready else 11


def _selftest(request: argparse.Namespace) -> int:
    from interlock.commands.selftest import selftest

    return selftest(tuple(request.guardrail), sys.stdout)

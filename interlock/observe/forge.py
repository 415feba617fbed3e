"""What does a forge demand before a merge, and before a job runs? And what does it say of an issue? GitHub's, Forgejo's and Gitea's HTTP APIs, read only;
a token is sent and never shown.

Sources: GitHub REST API, "Branch protection", "Rules", "Deployment environments" and "Get an issue"; Forgejo and Gitea API,
`/repos/{owner}/{repo}/branch_protections` and `/repos/{owner}/{repo}/issues/{index}`.
"""

from __future__ import annotations

import fnmatch
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from interlock.config.forges import Forge, ForgeKind, Tracker
from interlock.errors import CouldNotLook
from interlock.facts.approval import Issue
from interlock.facts.gate_workflow import Protection
from interlock.nouns import dataclass

TIMEOUT_S = 10  # of the whole answer, however slowly it drips
MOST_BYTES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    data: Any


def protection(forge: Forge, wanted: tuple[str, ...], environ: Mapping[str, str]) -> Protection:
    """What the branch of a forge demands. Raises CouldNotLook when the forge cannot be asked, or does not let this token look."""
    if forge.kind is ForgeKind.GITHUB:
        return _of_github(forge, wanted, environ)
    answer = _get(forge, "branch_protections", environ)
    if answer.status != 200 or not isinstance(answer.data, list):
        raise _refused(forge, answer, "read access to the repository's settings (a collaborator with admin rights)")
    rules = [rule for rule in answer.data if isinstance(rule, dict)]
    names = [str(rule.get("rule_name") or rule.get("branch_name") or "") for rule in rules]
    exact = [rule for rule, name in zip(rules, names, strict=True) if name == forge.branch]
    fitting = exact or [rule for rule, name in zip(rules, names, strict=True) if fnmatch.fnmatchcase(forge.branch, name)]
    rule = fitting[0] if fitting else {}
    checks = _texts(rule.get("status_check_contexts")) if rule.get("enable_status_check") else ()
    return Protection(branch=forge.branch, wanted=wanted, checks=checks, protected=bool(fitting), rule="branch protection", patterns=True)


def _of_github(forge: Forge, wanted: tuple[str, ...], environ: Mapping[str, str]) -> Protection:
    """Rulesets first: who may read the repository may read them. The older branch protection needs more."""
    branch = quote(forge.branch, safe="")
    rules = _get(forge, f"rules/branches/{branch}", environ)
    ruled = tuple(_ruled(rules.data)) if rules.status == 200 else ()
    classic = _get(forge, f"branches/{branch}/protection/required_status_checks", environ)
    checks = tuple(_classic(classic.data)) if classic.status == 200 else ()
    if classic.status != 200 and not set(wanted) & set(ruled):
        told = str(classic.data.get("message", "")) if isinstance(classic.data, dict) else ""
        if not (classic.status == 404 and re.match(r"(?i)branch not protected|required status checks not enabled", told)):
            raise _refused(forge, classic, "a token with read access to administration of the repository")
        if rules.status != 200:
            raise _refused(forge, rules, "a token that may read the repository")
    every = tuple(dict.fromkeys((*ruled, *checks)))
    where = "ruleset" if set(wanted) & set(ruled) else "branch protection"
    return Protection(branch=forge.branch, wanted=wanted, checks=every, protected=bool(every) or classic.status == 200, rule=where, patterns=False)


def _ruled(data: Any) -> list[str]:
    found = []
    for rule in data if isinstance(data, list) else []:
        if isinstance(rule, dict) and rule.get("type") == "required_status_checks":
            listed = (rule.get("parameters") or {}).get("required_status_checks") or []
            found += [str(check.get("context", "")) for check in listed if isinstance(check, dict)]
    return found


def _classic(data: Any) -> list[str]:
    checks = [str(check.get("context", "")) for check in data.get("checks") or [] if isinstance(check, dict)] if isinstance(data, dict) else []
    return checks or list(_texts(data.get("contexts") if isinstance(data, dict) else None))


def reviewers_asked(forge: Forge, environment: str, environ: Mapping[str, str]) -> bool:
    """True when a job that runs in this environment waits for a reviewer. Raises CouldNotLook; only GitHub has environments."""
    if forge.kind is not ForgeKind.GITHUB:
        what = f"{forge.kind.value} asks no reviewer before a job: its environments protect nothing"
        raise CouldNotLook(what, where=forge.url, remedy=f"take {environment} out of automation.reviewed")
    answer = _get(forge, f"environments/{quote(environment, safe='')}", environ)
    if answer.status != 200 or not isinstance(answer.data, dict):
        raise _refused(forge, answer, "a token that may read the repository's environments")
    rules = [rule for rule in answer.data.get("protection_rules") or [] if isinstance(rule, dict)]
    return any(rule.get("type") == "required_reviewers" and rule.get("reviewers") for rule in rules)


def issue(tracker: Tracker, number: int, environ: Mapping[str, str]) -> Issue:
    """An issue, or the pull request of that number. Raises CouldNotLook when the forge cannot be asked, or says nothing of it that can be judged."""
    answer = _get(tracker, f"issues/{number}", environ)
    where = f"{tracker.repository}#{number}"
    if answer.status != 200:
        raise CouldNotLook(f"{tracker.url} answered {answer.status} when asked about {where}", where=where, remedy=_issue_remedy(tracker, answer, where))
    data = answer.data if isinstance(answer.data, dict) else {}
    labels = data.get("labels") or []
    if data.get("number") != number or data.get("state") not in ("open", "closed") or not isinstance(labels, list):
        raise CouldNotLook(f"what {tracker.url} answered is no issue {number}", where=where, remedy=_POINT)
    return Issue(
        number=number,
        repository=tracker.repository,
        open=data["state"] == "open",
        dropped=str(data.get("state_reason") or "").replace("_", " ") if data.get("state_reason") in ("not_planned", "duplicate") else "",
        labels=tuple(_label(one, where) for one in labels),
        pull_request=data.get("pull_request") is not None,
    )


def _label(given: Any, where: str) -> str:
    """The name of a label, which is an object or, says GitHub's schema, a plain text."""
    name = given.get("name") if isinstance(given, dict) else given
    if not isinstance(name, str) or not name.strip():
        raise CouldNotLook("one of its labels has no name", where=where, remedy="look at the issue; is this the API of a forge of that kind?")
    return name.strip()


_POINT = "point `url` of the forge at its API: https://api.github.com, or https://HOST/api/v1"


def _issue_remedy(tracker: Tracker, answer: _Answer, where: str) -> str:
    variable = tracker.token_env or "a token (`token_env` of the forge)"
    scope = "Issues: read" if tracker.kind is ForgeKind.GITHUB else "read:issue"
    told = str(answer.data.get("message", "")) if isinstance(answer.data, dict) else ""
    if answer.status == 429 or (answer.status == 403 and "rate limit" in told.casefold()):
        return f"wait a few minutes and look again{'' if tracker.token_env else '; a token (`token_env` of the forge) may ask more often'}"
    match answer.status:
        case 401:
            return f"the forge does not know the token: put a new one with the scope {scope} into {variable}"
        case 403:
            return f"give {variable} the scope {scope} of {tracker.repository}"
        case 404:
            return f"correct `issue` of the action or `repository` of the forge; where the repository is private, give {variable} the scope {scope}"
        case 410:
            return "the issue was deleted: name the one that stands for it in `issue` of the action"
        case 301 | 302 | 307 | 308:
            return f"{where} was moved: name the repository and the number that it has now"
        case _:
            return "look whether the forge is well, and look again"


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _get(forge: Tracker, path: str, environ: Mapping[str, str]) -> _Answer:
    """One GET below the repository, without following to another host. Raises CouldNotLook when there is no answer, or none that is JSON."""
    import requests
    from urllib3.exceptions import HTTPError

    token = environ.get(forge.token_env, "") if forge.token_env is not None else ""
    if forge.token_env is not None and not token:
        raise CouldNotLook(f"{forge.token_env} is not set", where=forge.url, remedy=f"export {forge.token_env}, a token that may read {forge.repository}")
    scheme = "Bearer" if forge.kind is ForgeKind.GITHUB else "token"
    headers = {"Accept": "application/json", **({"Authorization": f"{scheme} {token}"} if token else {})}
    url = f"{forge.url.rstrip('/')}/repos/{forge.repository}/{path}"
    try:
        with requests.Session() as session:
            session.trust_env = False  # no .netrc: what is sent is what the site names
            with session.get(url, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as got:
                content = _body(got.raw, time.monotonic() + TIMEOUT_S)
                status = got.status_code
    except (requests.RequestException, HTTPError, OSError) as error:
        why = type(error).__name__
        raise CouldNotLook(f"{forge.url} gave no answer ({why})", where=forge.url, remedy="look whether the forge can be reached from here") from error
    if len(content) > MOST_BYTES:
        raise CouldNotLook(f"{forge.url} answered with more than {MOST_BYTES:,} bytes", where=forge.url, remedy=_POINT)
    try:
        return _Answer(status=status, data=json.loads(content) if content.strip() else None)
    except ValueError as error:
        if status == 200:
            raise CouldNotLook(f"{forge.url} answered no JSON", where=forge.url, remedy=_POINT) from error
        return _Answer(status=status, data=None)


def _body(raw: Any, deadline: float) -> bytes:
    """The bytes of an answer, at most one more than are read of any. Raises TimeoutError."""
    body = b""
    while len(body) <= MOST_BYTES and (more := raw.read1(65536, decode_content=True)):
        body += more
        if time.monotonic() > deadline:
            raise TimeoutError("it answered too slowly")
    return body[: MOST_BYTES + 1]


def _refused(forge: Forge, answer: _Answer, needs: str) -> CouldNotLook:
    what = f"{forge.url} answered {answer.status} when asked about {forge.branch} of {forge.repository}"
    variable = forge.token_env or "a token (automation.forge.token_env)"
    return CouldNotLook(what, where=forge.url, remedy=f"give {variable} {needs}; or correct `repository` and `branch`")

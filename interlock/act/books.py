"""Where does a site keep its plans, approvals, journals and lock? In `.interlock/` beside its site file: private, and never cleaned up by us."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from interlock.act.private import private_folder, sync_folder, write_private
from interlock.errors import EvidenceError, StaleError, UsageError
from interlock.facts.canonical import canonical, digest
from interlock.gate.plan import BLOBS, FILE, LIMIT, Plan
from interlock.nouns import dataclass
from interlock.observe.private import read_private
from interlock.observe.statements import APPROVALS, FOLDER, PLANNER
from interlock.patterns import regex

_DIGITS = regex(r"(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The folders below `.interlock/`. `open` makes what is missing; everything in them is 0600 in 0700."""

    folder: Path

    @classmethod
    def open(cls, root: Path) -> Self:
        """Raises EvidenceError when they cannot be made, or are not this user's alone."""
        folder = private_folder(root / FOLDER)
        books = cls(folder=folder)
        for inner in (books.plans, books.approvals, books.journals, books.follow_ups):
            private_folder(inner)
        return books

    @property
    def plans(self) -> Path:
        """One folder for each plan."""
        return self.folder / "plans"

    @property
    def approvals(self) -> Path:
        """One folder for each plan that somebody approved."""
        return self.folder / APPROVALS

    @property
    def journals(self) -> Path:
        """One folder for each action that was begun."""
        return self.folder / "journal"

    @property
    def follow_ups(self) -> Path:
        """One folder for each action that was begun without its second person, and that somebody has looked at."""
        return self.folder / "follow-ups"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan as it lies in its folder. `digest` is over the bytes that lie there."""

    folder: Path
    plan: Plan
    digest: str

    def blob(self, of: str) -> bytes:
        """Content that lies beside the plan. Raises StaleError when it is gone or another."""
        path = self.folder / BLOBS / of.removeprefix("sha256:")
        try:
            data = read_private(path, limit=LIMIT)
        except (OSError, ValueError) as error:
            raise StaleError("content of the plan is gone", where=str(path), why=str(error), remedy="make a new plan") from error
        if digest(data) != of:
            raise StaleError("content of the plan was changed", where=str(path), why=f"it comes to {digest(data)}", remedy="make a new plan")
        return data


def plan_name(action: str, plan_digest: str) -> str:
    """The name of a plan's folder: `release-3fa94c1e5b60d2aa`."""
    return f"{action}-{plan_digest.removeprefix('sha256:')[:16]}"


def store_plan(books: Books, plan: Plan, blobs: Mapping[str, bytes], planner: Mapping[str, Any] | None) -> Path:
    """Write a plan and its content, all or nothing. Returns the path of its plan.json. Raises EvidenceError."""
    final = books.plans / plan_name(plan.action, plan.digest)
    making = books.plans / f".{final.name}.{secrets.token_hex(4)}"
    try:
        try:
            private_folder(making)
            private_folder(making / BLOBS)
            for of, data in blobs.items():
                write_private(making / BLOBS / of.removeprefix("sha256:"), data)
            if planner is not None:
                write_private(making / PLANNER, canonical(planner) + b"\n")
            write_private(making / FILE, plan.to_bytes())
            if final.is_dir():  # made a moment ago: the same content within the same second
                shutil.rmtree(making)
            else:
                making.rename(final)
            sync_folder(books.plans)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    except OSError as error:
        raise EvidenceError(f"the plan cannot be written: {error.strerror}", where=str(final), remedy="make room, or let this user write there") from error
    return final / FILE


def load_plan(path: Path) -> StoredPlan:
    """The plan in a folder, or the one whose plan.json `path` is. Raises UsageError when there is none, StaleError when it is not as it was written."""
    file = path / FILE if path.is_dir() else path
    try:
        raw = read_private(file, limit=LIMIT)
    except (OSError, ValueError) as error:
        raise UsageError("there is no plan to read", where=str(file), why=str(error), remedy="name a folder below .interlock/plans, or make a plan") from error
    stored = StoredPlan(folder=file.parent, plan=Plan.parse(raw, where=str(file)), digest=digest(raw))
    if file.parent.name != plan_name(stored.plan.action, stored.digest):
        raise StaleError("this plan was edited, or its folder renamed", where=str(file), why=f"it comes to {stored.digest}", remedy="make a new plan")
    return stored


def find_plan(books: Books, named: str) -> StoredPlan:
    """The plan that an operator means: a path, a folder's name below plans/, or the first digits of its digest. Raises UsageError."""
    path = Path(named)
    if path.exists():
        return load_plan(path)
    digits = _DIGITS.fullmatch(named)
    found = [folder for folder in _folders(books.plans) if folder.name == named or (digits and folder.name.rpartition("-")[2].startswith(digits[1][:16]))]
    if len(found) == 1:
        return load_plan(found[0])
    several = ", ".join(folder.name for folder in found)
    raise UsageError(
        f"{named} names several plans: {several}" if found else f"there is no plan {named}",
        where=str(books.plans),
        remedy="name one by its path: interlock plan prints it",
    )


def plans_of(books: Books, action: str) -> Iterator[StoredPlan]:
    """The plans of an action that lie there; what is no plan any more is left out."""
    for folder in _folders(books.plans):
        if folder.name.startswith(f"{action}-"):
            with suppress(UsageError, StaleError):
                stored = load_plan(folder)
                if stored.plan.action == action:
                    yield stored


def _folders(parent: Path) -> Iterator[Path]:
    with os.scandir(parent) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."))
    return (parent / name for name in names)


def signed(approval: Mapping[str, Any], signature: str) -> dict[str, Any]:
    """An approval and its signature as one document."""
    return {"approval": dict(approval), "signature": signature}


def store_signed(folder: Path, document: Mapping[str, Any]) -> Path:
    """Keep what somebody signed, in a folder of the books. Returns its path. Raises EvidenceError."""
    try:
        path = private_folder(folder) / f"{document['approval']['nonce']}.json"
        write_private(path, canonical(document) + b"\n")
    except OSError as error:
        raise EvidenceError(f"what was signed cannot be written: {error.strerror}", where=str(folder), remedy="make room") from error
    return path


def approvals_of(books: Books, stored: StoredPlan) -> Path:
    """The folder of a plan's approvals, which need not be there."""
    return books.approvals / stored.folder.name


def follow_ups_of(books: Books, action_id: str) -> Path:
    """The folder of what was found afterwards, for an action that was begun; it need not be there."""
    return books.follow_ups / action_id

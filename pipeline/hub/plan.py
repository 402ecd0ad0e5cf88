"""What a push would change: the files that a repository is to hold, compared with those that it holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.text import printable

_KEPT = {".gitattributes"}  # the Hub's own, made with the repository
_FORBIDDEN_IN_TAG = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-./@]|[./]$")


class HubError(UserError):
    """The Hub refused, or could not be reached; the message says what to do and never has the token in it."""


@dataclass(frozen=True)
class File:
    """A file for the repository, on disk or, if it is small, in memory; `sha256` is its content's."""

    path: str
    content: Path | bytes
    size: int
    sha256: str

    @classmethod
    def of_text(cls, path: str, content: bytes) -> File:
        """Return a file that is kept in memory."""
        return cls(path, content, len(content), hashlib.sha256(content).hexdigest())

    def read(self) -> bytes:
        """Return the content."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class RemoteFile:
    """A file that the repository holds: `sha256` of one in large-file storage, else only git's `blob_id`."""

    size: int
    blob_id: str
    sha256: str | None


@dataclass(frozen=True)
class Remote:
    """A repository as it is: its last commit, that commit's files, and the commit of each tag."""

    exists: bool
    head: str | None = None
    files: dict[str, RemoteFile] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a push would do."""

    added: list[File]
    changed: list[File]
    deleted: list[str]
    same: int

    @property
    def empty(self) -> bool:
        """Whether the repository already holds just these files."""
        return not (self.added or self.changed or self.deleted)

    @property
    def bytes(self) -> int:
        """Size of the files to upload; what the Hub has already is not sent again."""
        return sum(file.size for file in (*self.added, *self.changed))

    @property
    def total(self) -> str:
        """The numbers of files and bytes, in a line."""
        return (
            f"{len(self.added)} to add, {len(self.changed)} to change, {len(self.deleted)} to delete,"
            f" {self.same} unchanged; {self.bytes:,} bytes to upload"
        )

    def __str__(self) -> str:
        lines = [f"  add     {printable(file.path)}  {file.size:,} bytes" for file in self.added]
        lines += [f"  change  {printable(file.path)}  {file.size:,} bytes" for file in self.changed]
        lines += [f"  delete  {printable(path)}" for path in self.deleted]
        return "\n".join([*lines, self.total])


def changes(files: Iterable[File], remote: Remote) -> Plan:
    """Compare `files`, all that the repository is to hold, with what it holds."""
    added, changed, wanted, same = [], [], set(_KEPT), 0
    for file in sorted(files, key=lambda file: file.path):
        wanted.add(file.path)
        there = remote.files.get(file.path)
        if there is None:
            added.append(file)
        elif _differs(file, there):
            changed.append(file)
        else:
            same += 1
    return Plan(added, changed, sorted(set(remote.files) - wanted), same)


def check_tag_name(name: str) -> None:
    """Raise HubError unless `name` can be a git tag that is no branch and no commit."""
    if not name or _FORBIDDEN_IN_TAG.search(name) or name == "main" or re.fullmatch(r"[0-9a-fA-F]{40}", name):
        raise HubError(
            f"{name!r} can't be a tag: take letters, digits, '.', '_' and '-', such as v1.0.0, and neither 'main' nor a"
            " commit's 40 digits"
        )


def check_tag(name: str, plan: Plan, remote: Remote, repository: str) -> None:
    """Raise HubError if tag `name` is there and is not what this push would put it on."""
    commit = remote.tags.get(name)
    if commit is not None and not (plan.empty and commit == remote.head):
        raise HubError(tag_elsewhere(name, commit, repository))


def tag_elsewhere(name: str, commit: str | None, repository: str) -> str:
    """Return the sentence for a tag that stands on another commit than it should."""
    return (
        f"tag {name} of {repository} is on commit {commit}, and a tag never moves: give what has changed a new version,"
        " --tag with another name"
    )


def _differs(file: File, there: RemoteFile) -> bool:
    if there.sha256 is not None:
        return there.sha256 != file.sha256
    if there.size != file.size:
        return True
    content = file.read()
    return there.blob_id != hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # git's object id

"""A repository on the Hugging Face Hub: what it holds, what would change, and the change in one commit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors, get_token
from huggingface_hub.hf_api import RepoFile

from pipeline.errors import UserError
from pipeline.run.progress import progress

_KEPT = {".gitattributes"}  # the Hub's own, made with the repository
_BATCH = 50  # files whose upload is one step: what a killed push may have to send again
_ATTEMPTS = 3
_WAIT = 1.0  # seconds before the second attempt of a commit; doubled for each further one
_HTTP_ERROR: Any = errors.HfHubHTTPError.__bases__[0]  # of the client's HTTP library, whichever it is


class HubError(UserError):
    """The Hub refused, or could not be reached; the message says what to do and never has the token in it."""


class Raced(HubError):
    """Somebody else pushed between looking and committing."""


@dataclass(frozen=True)
class File:
    """A file for the repository, on disk or, if it is small, in memory; `sha256` is its content's."""

    path: str
    content: Path | bytes
    size: int
    sha256: str

    def read(self) -> bytes:
        """Return the content."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class Remote:
    """A repository as it is: its last commit, the files of it, and what its tags stand on."""

    exists: bool
    head: str | None = None
    files: dict[str, RepoFile] = field(default_factory=dict)
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
        lines = [f"  add     {file.path}  {file.size:,} bytes" for file in self.added]
        lines += [f"  change  {file.path}  {file.size:,} bytes" for file in self.changed]
        lines += [f"  delete  {path}" for path in self.deleted]
        return "\n".join([*lines, self.total])


class Repository:
    """One repository, spoken to with the token of HF_TOKEN or of the stored login.

    `kind` is ``dataset`` or ``model``. Every method raises HubError.
    """

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self._api = HfApi(library_name="medimeta-c")

    def look(self) -> Remote:
        """Return what the repository holds now; one that is not there, or not to be seen, does not exist."""
        with self._explained():
            for attempt in range(_ATTEMPTS):
                try:
                    return self._look()
                except errors.RepositoryNotFoundError:
                    return Remote(exists=False)
                except _HTTP_ERROR as failure:
                    if not _passing(failure) or attempt == _ATTEMPTS - 1:
                        raise
                    _wait(attempt)
            raise AssertionError

    def _look(self) -> Remote:
        refs = self._api.list_repo_refs(self.name, repo_type=self.kind)
        head = next((branch.target_commit for branch in refs.branches if branch.name == "main"), None)
        tree = self._api.list_repo_tree(self.name, recursive=True, revision=head, repo_type=self.kind) if head else ()
        files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        return Remote(True, head, files, {tag.name: tag.target_commit for tag in refs.tags})

    def create(self, *, public: bool) -> None:
        """Create the repository, private unless `public`."""
        with self._explained():
            self._api.create_repo(self.name, repo_type=self.kind, private=not public)

    def publish(self) -> None:
        """Make the repository public."""
        with self._explained():
            self._api.update_repo_settings(self.name, repo_type=self.kind, private=False)

    def push(self, plan: Plan, files: Sequence[File], parent: str | None, message: str) -> str:
        """Upload what `plan` adds and changes, then commit all of it on top of `parent`; return the commit.

        Until the commit nothing of the repository changes, and what was uploaded by a push that died is not sent
        again. Raised is Raced if `parent` is the last commit no more.
        """
        additions = [_addition(file) for file in (*plan.added, *plan.changed)]
        deletions = [CommitOperationDelete(path, is_folder=False) for path in plan.deleted]
        with (
            self._explained(),
            progress(total=plan.bytes, unit="B", unit_scale=True, desc="upload") as bar,
        ):
            for start in range(0, len(additions), _BATCH):
                batch = additions[start : start + _BATCH]
                self._api.preupload_lfs_files(self.name, batch, repo_type=self.kind)
                bar.update(sum(addition.upload_info.size for addition in batch))
            return self._commit([*additions, *deletions], files, parent, message)

    def tag(self, name: str, commit: str) -> None:
        """Put tag `name` on `commit`; a tag that is there already has to be on it."""
        with self._explained():
            try:
                self._api.create_tag(self.name, tag=name, revision=commit, repo_type=self.kind)
                return
            except errors.HfHubHTTPError as refused:
                if refused.response.status_code != 409:
                    raise
        on = self.look().tags.get(name)
        if on != commit:
            raise HubError(_tag_elsewhere(name, on, self.name))

    def _commit(
        self,
        operations: list[CommitOperationAdd | CommitOperationDelete],
        files: Sequence[File],
        parent: str | None,
        message: str,
    ) -> str:
        for attempt in range(_ATTEMPTS):
            try:
                made = self._api.create_commit(
                    self.name, operations, commit_message=message, repo_type=self.kind, parent_commit=parent
                )
                return str(made.oid)
            except _HTTP_ERROR as failure:
                if _status(failure) == 412:
                    raise Raced(self._raced(self.look().head)) from None
                if not _passing(failure) or attempt == _ATTEMPTS - 1:
                    raise
            _wait(attempt)
            now = self.look()  # the commit may have been made, and only its answer lost
            if now.head != parent:
                if now.head and changes(files, now).empty:
                    return now.head
                raise Raced(self._raced(now.head))
        raise AssertionError

    def _raced(self, head: str | None) -> str:
        return (
            f"{self.name} has changed since this push began, it is at commit {head} now; nothing of this push is in"
            " it: run again to see what would change"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except (_HTTP_ERROR, OSError, RuntimeError, ValueError) as failure:
            # RuntimeError wraps what went wrong with one upload, ValueError is an answer that the client refuses
            raise HubError(without_token(self._sentence(failure))) from None

    def _sentence(self, failure: BaseException) -> str:
        cause: BaseException = failure
        while cause.__cause__ is not None and not isinstance(cause, (_HTTP_ERROR, OSError)):
            cause = cause.__cause__
        status, said = _status(cause), " ".join(str(cause).split())
        again = "what was uploaded stays there and the revision before is untouched: run again to go on"
        if isinstance(cause, errors.LocalTokenNotFoundError):
            return "no token: set HF_TOKEN, or log in with `hf auth login`"
        if isinstance(cause, errors.OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, so the Hub cannot be reached"
        if status == 401 and "credentials" in said:
            return "the Hub does not know the token (expired or mistyped): set HF_TOKEN, or log in with `hf auth login`"
        if isinstance(cause, errors.RepositoryNotFoundError) or status in (401, 404):
            return f"no {self.kind} repository {self.name} on the Hub, or the token may not see it; --create makes it"
        if status == 403:
            return f"the token may not write to {self.name}: take one with write access to it ({said})"
        if status is not None and status >= 500:
            return f"the Hub fails with status {status}; {again} ({said})"
        if status is None and isinstance(cause, (_HTTP_ERROR, OSError)):
            return f"cannot reach the Hub ({type(cause).__name__}: {said}); {again}"
        return f"the Hub refuses this for {self.name}: {said}"


def changes(files: Iterable[File], remote: Remote) -> Plan:
    """Compare `files`, all that the repository is to hold, with what it holds."""
    added, changed, wanted, same = [], [], set(_KEPT), 0
    for file in sorted(files, key=lambda one: one.path):
        wanted.add(file.path)
        there = remote.files.get(file.path)
        if there is None:
            added.append(file)
        elif _differs(file, there):
            changed.append(file)
        else:
            same += 1
    return Plan(added, changed, sorted(set(remote.files) - wanted), same)


def check_tag(name: str, plan: Plan, remote: Remote, repository: str) -> None:
    """Raise HubError if tag `name` is there and is not what this push would put it on."""
    on = remote.tags.get(name)
    if on is not None and not (plan.empty and on == remote.head):
        raise HubError(_tag_elsewhere(name, on, repository))


def check_token() -> None:
    """Raise HubError if there is no token."""
    if get_token() is None:
        raise HubError("no token: set HF_TOKEN, or log in with `hf auth login`")


def without_token(text: str) -> str:
    """Return `text` with the token, should it stand there, blacked out."""
    token = get_token()
    return text.replace(token, "***") if token else text


def _addition(file: File) -> CommitOperationAdd:
    made = CommitOperationAdd(file.path, file.content if isinstance(file.content, bytes) else str(file.content))
    made.upload_info.sha256 = bytes.fromhex(file.sha256)  # known already, and files are large
    return made


def _differs(file: File, there: RepoFile) -> bool:
    if there.lfs is not None:
        return bool(there.lfs.sha256 != file.sha256)
    if there.size != file.size:
        return True
    content = file.read()
    return bool(there.blob_id != hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())  # git's object id


def _status(failure: BaseException) -> int | None:
    return failure.response.status_code if isinstance(failure, errors.HfHubHTTPError) else None


def _passing(failure: BaseException) -> bool:
    """Say whether a failure may pass: no answer at all, or the server's own fault."""
    status = _status(failure)
    return status is None or status >= 500


def _wait(attempt: int) -> None:
    time.sleep(_WAIT * 2**attempt)


def _tag_elsewhere(name: str, on: str | None, repository: str) -> str:
    return (
        f"tag {name} of {repository} is on commit {on}, and a tag never moves: give what has changed a new version,"
        " --tag with another name"
    )

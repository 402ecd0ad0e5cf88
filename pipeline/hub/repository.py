"""A repository on the Hugging Face Hub: what it holds, and its change in one commit and one tag."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, errors, get_token
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from pipeline.errors import UserError
from pipeline.hub.plan import File, HubError, Plan, Remote, RemoteFile, changes, tag_elsewhere
from pipeline.run.progress import progress

T = TypeVar("T")

_BATCH = 50  # files whose upload is one step: what a killed push may have to send again
_ATTEMPTS = 5
_WAIT = 1.0  # seconds before the second attempt; doubled for each further one
_LONGEST_WAIT = 330.0  # seconds; the Hub counts requests in windows of five minutes
_HTTP_ERROR: Any = errors.HfHubHTTPError.__bases__[0]  # of the client's HTTP library, whichever it is
_FAILURES: Any = (_HTTP_ERROR, OSError, RuntimeError, ValueError)
"""What the client raises: RuntimeError is the failure of an upload, ValueError an answer that it refuses."""
_NO_ANSWER: Any = (_HTTP_ERROR, ConnectionError, TimeoutError)


class Repository:
    """One repository, spoken to with the token of HF_TOKEN or of the stored login.

    `kind` is ``dataset`` or ``model``. Every method raises HubError, whose message says what has happened so far.
    """

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self._api = HfApi(library_name="medimeta-c")
        self._so_far = "nothing was changed"

    def look(self) -> Remote:
        """Return what the repository holds now; one that is not there, or not to be seen, does not exist."""
        with self._explained():
            try:
                return self._retried(self._look)
            except errors.RepositoryNotFoundError:
                return Remote(exists=False)

    def _look(self) -> Remote:
        refs = self._api.list_repo_refs(self.name, repo_type=self.kind)
        head = next((branch.target_commit for branch in refs.branches if branch.name == "main"), None)
        tags = {tag.name: tag.target_commit for tag in refs.tags}
        return Remote(True, head, self._tree(head) if head else {}, tags)

    def _tree(self, commit: str) -> dict[str, RemoteFile]:
        tree = self._api.list_repo_tree(self.name, recursive=True, revision=commit, repo_type=self.kind)
        return {
            entry.path: RemoteFile(entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
            for entry in tree
            if isinstance(entry, RepoFile)
        }

    def create(self) -> None:
        """Create the repository, private."""
        with self._explained():
            try:
                self._retried(lambda: self._api.create_repo(self.name, repo_type=self.kind, private=True))
            except errors.HfHubHTTPError as refused:
                if refused.response.status_code != 409:  # it is there: the answer to an earlier attempt was lost
                    raise
        self._so_far = "the repository is there, without the files"

    def make_public(self) -> None:
        """Make the repository public."""
        with self._explained():
            self._retried(lambda: self._api.update_repo_settings(self.name, repo_type=self.kind, private=False))

    def push(self, plan: Plan, files: Sequence[File], parent: str | None, message: str) -> str:
        """Upload what `plan` adds and changes, commit all of it on top of `parent`, and check it; return the commit.

        Until the commit nothing of the repository changes, and what was uploaded by a push that died is not sent
        again. If somebody else has committed the same files meanwhile, that commit is returned.
        """
        additions = [_addition(file) for file in (*plan.added, *plan.changed)]
        deletions = [CommitOperationDelete(path, is_folder=False) for path in plan.deleted]
        self._so_far = "no file of the repository has changed, and what was uploaded is not sent again"
        with (
            self._explained(),
            progress(total=plan.bytes, unit="B", unit_scale=True, desc="upload") as bar,
        ):
            for start in range(0, len(additions), _BATCH):
                batch = additions[start : start + _BATCH]
                self._retried(
                    lambda batch=batch: self._api.preupload_lfs_files(self.name, batch, repo_type=self.kind)  # type: ignore[misc]
                )
                bar.update(sum(addition.upload_info.size for addition in batch))
            commit = self._commit([*additions, *deletions], files, parent, message)
            self._so_far = f"commit {commit} is made, and what comes after it is not"
            self._check(commit, files)
        return commit

    def tag(self, name: str, commit: str) -> None:
        """Put tag `name` on `commit`; a tag that is there already has to be on it."""
        with self._explained():
            try:
                self._retried(lambda: self._api.create_tag(self.name, tag=name, revision=commit, repo_type=self.kind))
            except errors.HfHubHTTPError as refused:
                if refused.response.status_code != 409:
                    raise
                tagged = self._retried(self._look).tags.get(name)  # perhaps by this, and only the answer was lost
                if tagged != commit:
                    raise HubError(tag_elsewhere(name, tagged, self.name)) from None
        self._so_far = f"commit {commit} and tag {name} are there"

    def _commit(
        self,
        operations: list[CommitOperationAdd | CommitOperationDelete],
        files: Sequence[File],
        parent: str | None,
        message: str,
    ) -> str:
        """Commit on top of `parent`. A commit is not asked for again before a look whether it was made."""
        for attempt in range(_ATTEMPTS):
            self._so_far = "whether the commit was made is not known, and another run finds it out"
            try:
                info = self._api.create_commit(
                    self.name, operations, commit_message=message, repo_type=self.kind, parent_commit=parent
                )
                return str(info.oid)
            except _HTTP_ERROR as failure:
                if _status(failure) not in (409, 412):
                    if _status(failure) is not None and not _passing(failure):
                        self._so_far = "no file of the repository has changed, and what was uploaded is not sent again"
                    if not _passing(failure) or attempt == _ATTEMPTS - 1:
                        raise
                    time.sleep(_delay(failure, attempt))
            now = self._retried(self._look)
            if now.head == parent:
                continue
            if now.head and changes(files, now).empty:
                return now.head
            raise HubError(
                f"{self.name} has changed since this push began, it is at commit {now.head} now; nothing of this push"
                " is in it: run again to see what would change"
            )
        raise HubError(f"the Hub takes no commit on top of {parent}, which is its own last one: run again later")

    def _check(self, commit: str, files: Sequence[File]) -> None:
        """Raise HubError unless `commit` holds just `files`."""
        plan = changes(files, Remote(True, commit, self._retried(lambda: self._tree(commit))))
        if not plan.empty:
            wrong = [*(file.path for file in (*plan.added, *plan.changed)), *plan.deleted]
            raise HubError(
                f"commit {commit} of {self.name} is made, and {len(wrong)} of its files are not what was pushed"
                f" ({wrong[0]}); no tag was set: run again to push what is missing"
            )

    def _retried(self, call: Callable[[], T]) -> T:
        """Return what `call` returns; call it again after a failure that may pass."""
        for attempt in range(_ATTEMPTS - 1):
            try:
                return call()
            except _FAILURES as failure:
                if not _passing(failure):
                    raise
                time.sleep(_delay(failure, attempt))
        return call()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except _FAILURES as failure:
            raise HubError(_without_secrets(self._sentence(_cause(failure)))) from None

    def _sentence(self, failure: BaseException) -> str:
        status, words = _status(failure), " ".join(str(failure).split())
        again = f"{self._so_far}: run again to go on"
        wait = f", and asks to wait {seconds:.0f} seconds" if (seconds := _asked_wait(failure)) else ""
        if isinstance(failure, errors.LocalTokenNotFoundError):
            return _NO_TOKEN
        if isinstance(failure, errors.OfflineModeIsEnabled):
            return f"HF_HUB_OFFLINE is set, so the Hub cannot be reached; {self._so_far}"
        if _is_storage(failure):
            return f"the Hub's storage refuses an upload with status {status}{wait}; {again}"
        if status == 401 and "credentials" in words:
            return (
                "the Hub does not know the token (expired or mistyped): set HF_TOKEN, or log in with `hf auth login`;"
                f" {self._so_far}"
            )
        if isinstance(failure, errors.RepositoryNotFoundError) or status in (401, 404):
            return (
                f"no {self.kind} repository {self.name} on the Hub, or the token may not see it, --create makes it;"
                f" {self._so_far}"
            )
        if status == 403:
            return f"the token may not write to {self.name}: take one with write access to it ({words}); {self._so_far}"
        if status == 429:
            return f"the Hub takes no more requests for now (429){wait}; {again}"
        if status is not None and status >= 500:
            return f"the Hub fails with status {status}{wait}; {again} ({words})"
        if status is None and isinstance(failure, (*_NO_ANSWER, OSError, RuntimeError)):
            what = "cannot reach the Hub" if isinstance(failure, _NO_ANSWER) else "the upload failed"
            return f"{what} ({type(failure).__name__}: {words}); {again}"
        return f"the Hub refuses this for {self.name}: {words}; {self._so_far}"


_NO_TOKEN = "no token: set HF_TOKEN, or log in with `hf auth login`"


def check_token() -> None:
    """Raise HubError if there is no token."""
    if get_token() is None:
        raise HubError(_NO_TOKEN)


def _addition(file: File) -> CommitOperationAdd:
    addition = CommitOperationAdd(file.path, file.content if isinstance(file.content, bytes) else str(file.content))
    addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # known already, and files are large
    return addition


def _cause(failure: BaseException) -> BaseException:
    """Return the failure of the request that the client has wrapped."""
    while failure.__cause__ is not None and not isinstance(failure, (_HTTP_ERROR, OSError)):
        failure = failure.__cause__
    return failure


def _status(failure: BaseException) -> int | None:
    return failure.response.status_code if isinstance(failure, errors.HfHubHTTPError) else None


def _is_storage(failure: BaseException) -> bool:
    """Say whether the answer is not the Hub's own, but that of the storage whose addresses it signs."""
    return isinstance(failure, errors.HfHubHTTPError) and not str(failure.response.url).startswith(constants.ENDPOINT)


def _passing(failure: BaseException) -> bool:
    """Say whether a failure may pass: no answer, too many requests, the server's own fault, or a link that expired.

    A RuntimeError without a cause is one of Xet's.
    """
    failure = _cause(failure)
    status = _status(failure)
    if status is None:
        offline = isinstance(failure, errors.OfflineModeIsEnabled)
        return isinstance(failure, (*_NO_ANSWER, RuntimeError)) and not offline
    may_pass = status >= 500 or status in (408, 429) or _is_storage(failure)
    return may_pass and _asked_wait(failure) <= _LONGEST_WAIT


def _delay(failure: BaseException, attempt: int) -> float:
    """Return the seconds to wait before the next attempt."""
    return min(_asked_wait(_cause(failure)) or _WAIT * 2**attempt, _LONGEST_WAIT)


def _asked_wait(failure: BaseException) -> float:
    """Return the seconds that the answer asks to wait, 0 if it does not say."""
    if not isinstance(failure, errors.HfHubHTTPError):
        return 0.0
    headers = failure.response.headers
    after, limit = headers.get("Retry-After", "").strip(), parse_ratelimit_headers(headers)
    if after.isdecimal():
        return float(after)
    if after:
        try:
            return max(0.0, (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            pass  # no date either; a date without a time zone cannot be compared
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else 0.0


def _without_secrets(text: str) -> str:
    """Return `text` with the token blacked out, and without what signs an address."""
    token = get_token()
    text = text.replace(token, "***") if token else text
    return re.sub(r"(https?://)(?:[^/\s'\"@]*@)?([^/\s'\"?]+)([^\s'\"?]*)[^\s'\"]*", _shortened, text)


def _shortened(address: re.Match[str]) -> str:
    scheme, host, path = address.groups()
    return f"{scheme}{host}{path if f'{scheme}{host}' == constants.ENDPOINT else ''}"

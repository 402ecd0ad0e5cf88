"""Load one revision of the published data set, and prove that it is the one.

`datasets.load_dataset(..., revision=...)` with the Hub out of reach takes whichever revision its cache has, and says so
in no more than a log line (huggingface/datasets#7928). Here the commit that was loaded is compared with the commit that
was asked for, before a row is read.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from datasets import load_dataset_builder
from huggingface_hub import HfApi, errors

from pipeline.errors import UserError
from pipeline.text import COMMIT

_UNREACHABLE: Any = (errors.HfHubHTTPError.__bases__[0], OSError)


class WrongRevision(UserError):
    """What would be loaded is another revision, or cannot be proven to be the right one."""


def load_pinned(
    repo: str,
    config: str,
    *,
    split: str,
    revision: str,
    commit: str | None = None,
    streaming: bool = False,
    **options: Any,
) -> Any:
    """Return what ``datasets.load_dataset(repo, config, split=split, revision=revision)`` does, of that revision only.

    Args:
        repo: ``ORG/NAME`` on the Hub.
        config: ``<dataset>`` or ``<dataset>-<corruption>``.
        split: ``validation`` or ``test``.
        revision: a tag or a full commit hash.
        commit: the commit that a tag stands on, such as publish.json says. With it, or with a commit as `revision`,
            no question is asked of the Hub, so a cache can be proven offline.
        streaming: return an ``IterableDataset``.
        options: further arguments of ``datasets.load_dataset_builder``, such as ``filters``: with them plain
            `load_dataset` works only as a stream, since it compares the rows with the card's numbers.

    Raises:
        WrongRevision: the tag stands on another commit than `commit`, the commit cannot be found out, or what
            ``datasets`` would load is of another commit.
    """
    expected = commit or (revision if re.fullmatch(COMMIT, revision) else _commit_of(repo, revision))
    builder = load_dataset_builder(repo, config, revision=revision, **options)
    loaded = PurePath(builder.cache_dir).name
    if loaded != expected:
        raise WrongRevision(
            f"{repo} at {revision} is commit {expected}, and what would be loaded is of {loaded or 'no commit'}:"
            " reach the Hub to load the right one, or clear the cache"
        )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    # The card counts all rows of a split, so a filtered one can be compared with nothing.
    builder.download_and_prepare(verification_mode="no_checks" if options.get("filters") is not None else None)
    return builder.as_dataset(split=split)


def _commit_of(repo: str, tag: str) -> str:
    try:
        refs = HfApi().list_repo_refs(repo, repo_type="dataset")
    except _UNREACHABLE as failure:
        raise WrongRevision(
            f"cannot ask the Hub which commit {tag} of {repo} is ({type(failure).__name__}): give commit="
        ) from None
    commits = {reference.name: reference.target_commit for reference in (*refs.branches, *refs.tags)}
    if tag not in commits:
        raise WrongRevision(f"{repo} has no revision {tag!r}; have {', '.join(commits)}")
    return str(commits[tag])

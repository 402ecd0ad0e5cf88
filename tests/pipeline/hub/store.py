"""What the stand-in Hub holds: repositories as chains of commits, and the large files that commits point to."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

LARGE = (".parquet", ".npz", ".png", ".safetensors")
"""What the Hub's default .gitattributes keeps in large-file storage."""


@dataclass(frozen=True)
class Blob:
    """A file of a commit; `sha256` is set for one in large-file storage, else `content`."""

    size: int
    oid: str
    sha256: str | None = None
    content: bytes = b""

    @classmethod
    def regular(cls, content: bytes) -> Blob:
        return cls(len(content), hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), None, content)

    @classmethod
    def large(cls, sha256: str, size: int) -> Blob:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return cls(size, cls.regular(pointer).oid, sha256)

    def described(self, path: str) -> dict[str, object]:
        """Return the entry of the tree and paths-info endpoints."""
        entry: dict[str, object] = {"type": "file", "path": path, "size": self.size, "oid": self.oid}
        if self.sha256:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return entry


@dataclass
class Repo:
    """One repository: commits by id, each the whole tree, the branch main, and tags."""

    kind: str
    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    main: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def commit(self, tree: dict[str, Blob], message: str) -> str:
        """Add a commit on top of main."""
        listed = "".join(f"{path} {blob.oid}\n" for path, blob in sorted(tree.items()))
        self.main = hashlib.sha1(f"{self.main} {message}\n{listed}".encode()).hexdigest()
        self.commits[self.main] = tree
        self.messages.append(message)
        return self.main

    def resolve(self, revision: str) -> str | None:
        """Return the commit of a branch, tag or commit."""
        if revision == "main":
            return self.main
        found = self.tags.get(revision, revision)
        return found if found in self.commits else None

    @property
    def tree(self) -> dict[str, Blob]:
        """Files of main."""
        return self.commits[self.main]


@dataclass
class Store:
    """All repositories, by ``datasets/ORG/NAME`` or ``models/ORG/NAME``, and the large files, by SHA-256."""

    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)

    def create(self, kind: str, name: str, *, private: bool) -> Repo:
        """Create a repository with the commit that the Hub begins with."""
        repo = Repo(kind, private)
        repo.commit(
            {".gitattributes": Blob.regular(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")}, "initial commit"
        )
        self.repos[f"{kind}s/{name}"] = repo
        return repo

    def content(self, blob: Blob) -> bytes:
        """Return the bytes of a file."""
        return self.large[blob.sha256] if blob.sha256 else blob.content

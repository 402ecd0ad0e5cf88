"""Where a model's files come from, and that they are the published ones."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from benchmark.models.components.packages import package
from benchmark.models.record import ModelFile, ModelRecord
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from pipeline.io.records import explain
from pipeline.io.regular import read_regular

C = TypeVar("C", bound=BaseModel)


class Files:
    """The files of one model: in a local folder if one is given, else in the Hub's cache or on the Hub."""

    def __init__(self, record: ModelRecord, *, folder: Path | None = None, offline: bool = False) -> None:
        self.record = record
        self.folder = folder
        self.offline = offline
        self._read: dict[str, ModelFile] = {}

    def weights(self) -> Path:
        """Return where the weights lie, the record's first file, as `path` does."""
        return self.path(self.record.files[0].name)

    def path(self, name: str) -> Path:
        """Return where the file `name` lies; fetch it if need be, and check its checksum if its record has one.

        A file that the record does not name comes from where its first file does.

        Raises:
            UserError: it can't be had, or its bytes are not the published ones.
        """
        first = self.record.files[0].changed(name=name, sha256=None, older_name=None)
        file = next((file for file in self.record.files if file.name == name), first)
        path = self._local(file) if self.folder is not None or file.repo is None else self._cached(file)
        checksum = file_checksum(path)
        if file.sha256 not in (None, checksum):
            raise UserError(f"{path} is not the published {name}: its SHA-256 is {checksum}, not {file.sha256}")
        read = file.older_name if path.name == file.older_name else name
        self._read[name] = file.changed(name=read, older_name=None, sha256=checksum)
        return path

    def optional(self, name: str) -> Path | None:
        """Return where the file `name` lies, or None where the model has none.

        Raises:
            UserError: nobody can say whether it has one.
        """
        repo = self.record.files[0].repo
        if self.folder is not None or repo is None:
            return self.path(name) if self.folder is not None and (self.folder / name).is_file() else None
        hub, errors = package("huggingface_hub"), package("huggingface_hub.errors")
        cached = hub.try_to_load_from_cache(repo, name, revision=self.record.files[0].revision)
        if not isinstance(cached, str) and (cached is not None or self.offline):
            return None  # the Hub has said so before, or what the cache has is all that there is
        try:
            return self.path(name)
        except UserError as problem:
            if isinstance(problem.__cause__, errors.RemoteEntryNotFoundError):
                return None
            raise

    def as_read(self) -> tuple[ModelFile, ...]:
        """Return the record's files, and all others that were read, these with the name and SHA-256 that they have."""
        named = {file.name: file for file in self.record.files}
        return tuple((named | self._read).values())

    def _local(self, file: ModelFile) -> Path:
        origin = file.origin or f"{file.repo}@{file.revision}"
        if self.folder is None:
            raise UserError(
                f"{self.record.name} has its {file.name} not on the Hub, or at no pinned commit: get it from {origin}"
                " and give its folder"
            )
        for name in filter(None, (file.name, file.older_name)):
            if (self.folder / name).is_file():
                return self.folder / name
        raise UserError(
            f"{self.record.name} needs {self.folder / file.name}, which is not there; it comes from {origin}"
        )

    def _cached(self, file: ModelFile) -> Path:
        hub, errors = package("huggingface_hub"), package("huggingface_hub.errors")
        names = [name for name in (file.name, file.older_name) if name]
        attempts = [(name, True) for name in names] + [(name, False) for name in names if not self.offline]
        logging = package("huggingface_hub.utils.logging")
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # else it tells of every attempt before the sentence below does
        problem: Exception | None = None
        try:
            for name, local in attempts:
                try:
                    return Path(hub.hf_hub_download(file.repo, name, revision=file.revision, local_files_only=local))
                except (OSError, ValueError, ImportError, errors.HTTPError, *_url_errors()) as error:
                    # no network, no such file, no permission, a proxy that httpx can't read or has no package for
                    problem = error
                    if not local and not isinstance(error, errors.RemoteEntryNotFoundError):
                        break  # whoever can't be asked for one file can't be asked for another
        finally:
            logging.set_verbosity(verbosity)
        raise UserError(
            f"{self.record.name} needs {file.name} of {file.repo}@{file.revision}, which is neither in the Hub's cache"
            f" nor to be had ({self._reason(problem, file)}); give a folder that holds it"
        ) from problem

    def _reason(self, problem: Exception | None, file: ModelFile) -> str:
        """Return why a file could not be had, without the addresses that an error may repeat."""
        if isinstance(problem, package("huggingface_hub.errors").GatedRepoError):
            return self.record.gated or f"accept the terms on huggingface.co/{file.repo}, then log in: `hf auth login`"
        if "SOCKS" in str(problem):
            return "a SOCKS proxy (ALL_PROXY) needs socksio: pip install 'httpx[socks]'"
        if isinstance(problem, _url_errors()) or "proxy URL" in str(problem):
            return "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no address of a proxy"
        return type(problem).__name__ + f"; {self.record.gated}" * bool(self.record.gated)


def _url_errors() -> tuple[type[Exception], ...]:
    """Return what the Hub's client of HTTP raises for a proxy whose address it can't read."""
    for client in ("httpx2", "httpx"):
        if importlib.util.find_spec(client) is not None:
            return (importlib.import_module(client).InvalidURL,)
    return ()


def one_line(error: BaseException) -> str:
    """Return what a library says, on one line and not too long, or the error's kind where it says nothing."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def parse(content: Any, kind: type[C], where: object) -> C:
    """Return what others wrote as `kind`; UserError, which begins with `where`, if it is none."""
    try:
        return kind.model_validate(content)
    except ValidationError as wrong:
        raise UserError(f"{where}: {explain(wrong.errors()[0], kind)}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file that others wrote; UserError if it holds none."""
    try:
        content = json.loads(read_regular(path))
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold names and values, as in {{name: value}}")
    return content

"""Bring what the source needs to data/raw/<source>/, and list every file of it in manifests/source.json.

medimeta: the data sets' archives from Zenodo, unpacked. medmnist: the 224-pixel npz files from Zenodo. imagefolder and
phantom: nothing is brought. What is there already is checked and kept; a download that stopped goes on.

With --unless-prepared, as DVC runs it, a data set whose clean images are there already, pulled perhaps, is not brought
for its own sake: what the list says of it stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from pipeline import sources
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.io.records import Record, read_record, write_record
from pipeline.io.regular import is_leftover
from pipeline.run import command_line
from pipeline.sources import SourceFile
from pipeline.workspace.cell import RELEASED, Cell
from pipeline.workspace.paths import Workspace

BASE_URL = "https://zenodo.org"


class SourceManifest(Record):
    """manifests/source.json: the files that the source's data sets are read from, by their paths in its folder.

    `others` has those of other sources, by source, where data sets name some.
    """

    source: str
    files: dict[str, SourceFile]
    others: dict[str, dict[str, SourceFile]] = Field(default_factory=dict)


def fetch(
    workspace: Workspace,
    source: str,
    datasets: Sequence[str],
    *,
    others: Mapping[str, Sequence[str]] | None = None,
    base_url: str = BASE_URL,
    unless_prepared: bool = False,
) -> None:
    """Bring what `datasets` of `source` need, whole or absent, and write manifests/source.json.

    `others` are data sets of other sources, by source. With `unless_prepared` nothing is brought of a data set that is
    listed there and has its clean images.

    Raises:
        UserError: something cannot be had, or what is there is not what it should be.
    """
    base_url = _checked_base_url(base_url)
    brought = {
        name: _fetch(workspace, name, of_source, base_url, unless_prepared=unless_prepared)
        for name, of_source in {source: datasets, **(others or {})}.items()
    }
    record = SourceManifest(source=source, files=brought.pop(source))
    write_record(workspace.manifests / "source.json", record.changed(others=brought) if brought else record)


def _fetch(
    workspace: Workspace, source: str, datasets: Sequence[str], base_url: str, *, unless_prepared: bool
) -> dict[str, SourceFile]:
    module = sources.find(source, datasets)
    folder = workspace.raw(source)
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        _check_links(folder, dataset)
    with _locked(folder):
        kept = dict(_not_needed(workspace, source, datasets)) if unless_prepared else {}
        files = module.fetch(folder, [dataset for dataset in datasets if dataset not in kept], base_url)
    for dataset, listed in kept.items():
        print(f"fetch: {folder} has no {dataset}, and nothing needs it now; its list in manifests/source.json stays")
        files |= listed
    return files


def _not_needed(
    workspace: Workspace, source: str, datasets: Sequence[str]
) -> Iterator[tuple[str, dict[str, SourceFile]]]:
    """Yield each data set that is listed but not there, and of which prepare has made the images, with its list.

    Also one that DVC tracks and has not pulled: to run this without its data, somebody has allowed that it is missing.
    """
    try:
        before = read_record(workspace.manifests / "source.json", SourceManifest, remedy="it is made anew")
    except UserError:
        return
    folder = workspace.raw(source)
    files = before.files if before.source == source else before.others.get(source, {})
    for dataset in datasets:
        places = (dataset, f"{dataset}_224.npz")  # a folder, or MedMNIST's file
        listed = {name: file for name, file in files.items() if name.partition("/")[0] in places}
        prepared = [workspace.rows(dataset), *(workspace.npz(Cell(dataset, split)) for split in RELEASED)]
        is_tracked = any((folder / f"{place}.dvc").exists() for place in places)
        is_absent = not any(os.path.lexists(folder / place) for place in places)
        if listed and is_absent and (is_tracked or all(path.exists() for path in prepared)):
            yield dataset, listed


def _checked_base_url(url: str) -> str:
    """Return a base URL without the slash at its end; UserError, without its secrets, if nothing can be had from it."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        begins = f"begins with {scheme}://" if separator else "names no scheme"
        raise UserError(f"--base-url {begins}; it must be http://HOST or https://HOST")
    if re.search(r"[?#\\]", url):
        raise UserError("--base-url must have no ?, # or \\: paths are put after it")
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or re.search(r"\s", url):
            raise ValueError
    except ValueError:
        raise UserError("--base-url must be http://HOST or https://HOST, with no port or one from 1 to 65535") from None
    return url.rstrip("/")


def _check_links(folder: Path, dataset: str) -> None:
    """Refuse links to folders in a data set's own: DVC does not look behind them, so changes there would build nothing.

    Behind links to files, and behind `folder` itself, it does.
    """
    own = folder / dataset
    below = (Path(parent, name) for parent, names, _ in os.walk(own) for name in names if not is_leftover(name))
    for path in (own, *below):
        if path.is_symlink() and path.is_dir():
            raise UserError(
                f"{path} is a link to a folder, and DVC sees no change behind it: replace it by a folder of links to"
                f" files, as `cp -rs` makes it, or let {folder} be the link"
            )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, so that two runs never write the same files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is fetching into {folder}; wait for it to end") from None
        yield
    finally:
        os.close(descriptor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--base-url", default=BASE_URL, help=f"a mirror of Zenodo's files (default: {BASE_URL})")
    parser.add_argument(
        "--unless-prepared", action="store_true", help="bring nothing of a data set whose clean images are there"
    )
    args = parser.parse_args(argv)

    def run() -> None:
        workspace = Workspace(args.root)
        config = read_config(workspace)
        others = {name: config.datasets_of(name) for name in map(str, config.sources.values()) if name != config.source}
        fetch(
            workspace,
            config.source,
            config.datasets_of(config.source),
            others=others,
            base_url=args.base_url,
            unless_prepared=args.unless_prepared,
        )

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())

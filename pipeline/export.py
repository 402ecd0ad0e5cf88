"""Export the npz tree as a repository for the Hugging Face Hub: parquet, card, Croissant file and checksums.

Writes data/export/ (README.md, croissant.json, SHA256SUMS, data/<dataset>/<validation|test>/*.parquet) and
metrics/export.json, the record of every file of the repository. The npz files are part of the repository too, but
are not copied: publish takes them from data/MediMeta-C. A parquet file is written again only if what it is made of has
changed or the file itself is damaged; every npz is compared with its manifest on the way.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.hub.build import Build, Dataset, read_build, warnings_of_own
from pipeline.hub.records import EXPORT_VERSION, Entries, ExportRecord, FileEntry, made_with
from pipeline.io.atomic import atomic_write, is_temporary, remove_leftover
from pipeline.io.checksums import file_checksum
from pipeline.io.records import read_record, write_record
from pipeline.io.regular import read_regular
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.cell import CLEAN, Cell
from pipeline.workspace.paths import Workspace

_SAVE_EVERY = 5.0  # seconds of work that a killed export may have to do again


def export(workspace: Workspace, config: Config, *, workers: int, gallery: Path | None = None) -> None:
    """Write the export of params.yaml's data sets and its record; `gallery` is a picture for the card."""
    if left_out := [name for name in config.datasets if name not in config.datasets_of(config.source)]:
        command_line.warn(f"export: {', '.join(left_out)} are left out: a repository has one source, {config.source}")
    build = read_build(workspace, config)
    for warning in warnings_of_own(workspace, build):
        command_line.warn(f"warning: {warning}")
    entries = _cells(workspace, build, _previous(workspace), workers)
    entries |= _manifests(workspace, build)
    entries |= _documents(workspace, config, build, entries, gallery)
    _remove_strays(workspace.export, entries)
    _save(workspace, entries, manifest.build_checksum(workspace, config.datasets))


def _cells(workspace: Workspace, build: Build, before: Entries, workers: int) -> Entries:
    """Bring the files of every cell up to date; return their entries."""
    from pipeline.hub.shards import Exporter  # pyarrow and datasets take seconds to import

    exporters = {dataset.name: Exporter(workspace, dataset, before) for dataset in build.datasets}

    def work(pair: tuple[Dataset, Cell]) -> tuple[Entries, int]:
        dataset, cell = pair
        return exporters[dataset.name].export(cell), dataset.entry(cell).count

    entries: Entries = {}
    saved = time.monotonic()
    with progress(total=build.images, unit="img", desc="export") as bar:
        try:
            for written, images in ordered(work, build.cells(), workers=workers):
                entries |= written
                bar.update(images)
                if time.monotonic() - saved > _SAVE_EVERY:
                    _save(workspace, before | entries, None)
                    saved = time.monotonic()
        finally:
            _save(workspace, before | entries, None)
    return entries


def _previous(workspace: Workspace) -> Entries:
    try:
        return read_record(workspace.export_record, ExportRecord, remedy="it is made anew").files
    except UserError:
        return {}  # nothing vouches for what may lie there, so everything is written again


def _save(workspace: Workspace, entries: Entries, build: str | None) -> None:
    """Write metrics/export.json; `build` is the checksum of the manifests, or None while the export is unfinished."""
    record = ExportRecord(export_version=EXPORT_VERSION, made_with=made_with(), build=build, files=entries)
    write_record(workspace.export_record, record)


def _manifests(workspace: Workspace, build: Build) -> Entries:
    paths = [
        workspace.manifest(dataset.name, name) for dataset in build.datasets for name in (CLEAN, *dataset.corrupted)
    ]
    return {path.relative_to(workspace.root).as_posix(): _entry(path) for path in paths}


def _documents(workspace: Workspace, config: Config, build: Build, entries: Entries, gallery: Path | None) -> Entries:
    """Write card, Croissant file, checksums and picture; return their entries."""
    from pipeline.hub import card, croissant  # mlcroissant and datasets take seconds to import

    sums = "".join(f"{entry.sha256}  {path}\n" for path, entry in sorted(entries.items())).encode()
    checksum = hashlib.sha256(sums).hexdigest()
    text = card.dataset_card(build, config, entries, checksum=checksum, picture=gallery is not None)
    contents = {"SHA256SUMS": sums, "README.md": text.encode(), "croissant.json": croissant.describe(build).encode()}
    if gallery is not None:
        contents[card.PICTURE] = read_regular(gallery)
    for name, content in contents.items():
        with atomic_write(workspace.export / name) as handle:
            handle.write(content)
    return {name: _entry(workspace.export / name) for name in contents}


def _entry(path: Path) -> FileEntry:
    return FileEntry(sha256=file_checksum(path), size=path.stat().st_size)


def _remove_strays(folder: Path, entries: Entries) -> None:
    for path in folder.rglob("*"):
        if is_temporary(path):
            remove_leftover(path)  # another run may be writing it
        elif path.is_file() and path.relative_to(folder).as_posix() not in entries:
            path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--gallery", type=Path, help="picture for the card, PNG")
    command_line.add_workers(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        workspace = Workspace(args.root)
        export(workspace, read_config(workspace), workers=args.workers, gallery=args.gallery)

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())

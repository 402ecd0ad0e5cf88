"""Publish the export, or an adapter, to the Hugging Face Hub: a dry run unless told to --push.

A data-set repository gets what metrics/export.json lists, parquet and npz alike: what is new or changed is uploaded,
then all of it enters in one commit, then comes the tag. Until the commit the revision before stays as it is, so an
interrupted push is finished by running it again. A push of what is there already does nothing. The token is that of
HF_TOKEN or of the stored login. Writes metrics/publish.json.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.utils.tqdm import disable_progress_bars

from pipeline import manifest
from pipeline.config import read_config
from pipeline.errors import UserError
from pipeline.hub import card
from pipeline.hub import repository as hub
from pipeline.hub.build import SYNTHETIC, Build, local_path, read_build
from pipeline.hub.repository import File, Plan, Repository
from pipeline.io.checksums import file_checksum
from pipeline.io.records import write_json
from pipeline.paths import Workspace
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress

METRICS = Path("metrics") / "publish.json"
ADAPTER_METRICS = Path("metrics") / "publish-adapter.json"

_RECORD = "tune.json"
_TEXTS = ("README.md", "croissant.json")  # where the repository's name is filled in


def dataset_files(workspace: Workspace, names: tuple[str, ...], repo: str, *, workers: int) -> list[File]:
    """Return the files of the data-set repository, each compared with metrics/export.json on the way."""
    recorded = _json(workspace.export_record, "nothing is exported yet: run `dvc repro export` first")
    if recorded["build"] != manifest.build_checksum(workspace):
        raise UserError("data/export is not of these manifests, or is unfinished: run `dvc repro export`")
    build = read_build(workspace, names)
    entries: dict[str, dict[str, Any]] = recorded["files"]

    def proven(path: str) -> File:
        return _proven(local_path(workspace, path), path, entries[path])

    files = []
    with progress(
        total=sum(e["size"] for e in entries.values()), unit="B", unit_scale=True, desc="check"
    ) as bar:
        for file in ordered(proven, sorted(entries), workers=workers):
            files.append(_named(file, repo) if file.path in _TEXTS else file)
            bar.update(file.size)
    missing = {p.relative_to(workspace.release).as_posix() for _, c in build.cells() for p in [workspace.npz(c)]}
    if missing - entries.keys():
        raise UserError(f"metrics/export.json lacks {min(missing - entries.keys())}: run `dvc repro export`")
    return files


def adapter_files(folder: Path, repo: str, *, source: str) -> tuple[list[File], str, bool]:
    """Return the files of an adapter's folder with a card, its name, and whether it was tuned on synthetic images.

    The folder is one that PEFT saved. If tune.json is in it or beside it, the adapter was tuned here on images from
    `source`, and the record becomes a file of the repository.
    """
    config = _json(folder / "adapter_config.json", f"{folder} holds no adapter that PEFT saved")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    found = {name: path for name, path in found.items() if not any(part.startswith(".") for part in Path(name).parts)}
    beside = folder.parent / _RECORD
    if _RECORD not in found and beside.is_file():
        found[_RECORD] = beside
    record = _json(found[_RECORD], "") if _RECORD in found else {}
    synthetic = bool(record) and source == SYNTHETIC
    name = folder.resolve().parent.name if folder.resolve().name == "adapter" else folder.resolve().name
    described = found.pop("README.md", None)
    head = card.head(described.read_text(encoding="utf-8")) if described else {}
    text = card.adapter_card(name, config, record, head, {*found, "README.md"}, synthetic=synthetic).encode()
    files = [File(where, path, path.stat().st_size, file_checksum(path)) for where, path in found.items()]
    return [*files, _named(File("README.md", text, len(text), ""), repo)], name, synthetic


def check_verified(workspace: Workspace) -> None:
    """Raise UserError unless verify has passed for the manifests as they are, and git holds them as they are."""
    path = workspace.root / "metrics" / "verify.json"
    verified = _json(path, f"no {path}: only what `python -m pipeline.verify` has passed is published")
    if verified.get("findings") != 0:
        raise UserError(f"verify has {verified.get('findings')} findings: only what it has passed is published")
    if verified.get("manifests") != manifest.build_checksum(workspace):
        raise UserError("the manifests are not those that verify has passed: run `python -m pipeline.verify` again")
    git = ["git", "-C", str(workspace.root), "status", "--porcelain", "--untracked-files=all", "--"]
    git += ["manifests", str(Workspace("").export_record)]
    try:
        status = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise UserError(f"{workspace.root} is in no git repository, so nobody could say what was published") from None
    if status:
        changed = ", ".join(line[3:] for line in status.splitlines()[:3])
        raise UserError(f"git does not hold the manifests as they are ({changed}): commit them, then publish")


def check_name(repo: str, *, synthetic: bool, force: bool) -> None:
    """Raise UserError if `repo` is no ORG/NAME, or synthetic images are about to go where the name hides it."""
    parts = repo.split("/")
    if len(parts) != 2 or not all(parts):
        raise UserError(f"a repository is ORG/NAME, not {repo!r}")
    if synthetic and SYNTHETIC not in parts[1].lower() and not force:
        raise UserError(
            f"the images are the {SYNTHETIC}'s, synthetic ones, and {repo} does not say so: take a name with"
            f" {SYNTHETIC!r} in it, or --force"
        )


def publish(
    repository: Repository, files: list[File], message: str, *, push: bool, tag: str | None, public: bool, create: bool
) -> str | None:
    """Print what would change and, if `push`, change it; return the commit pushed."""
    remote = repository.look()
    plan = hub.changes(files, remote)
    listed = plan.total if push else str(plan)
    print(f"{repository.name} holds all {plan.same} files already" if plan.empty else listed)
    if tag:
        hub.check_tag(tag, plan, remote, repository.name)
    if not push:
        _print_dry(repository, plan, remote, tag)
        return None
    if not remote.exists:
        if not create:
            raise UserError(f"no {repository.kind} repository {repository.name}, or the token may not see it; --create")
        repository.create(public=public)
        remote = repository.look()
        plan = hub.changes(files, remote)
    commit = remote.head if plan.empty and remote.head else repository.push(plan, files, remote.head, message)
    if tag:
        repository.tag(tag, commit)
    if public:
        repository.publish()
    print(f"{repository.name} is at {commit}" + (f", tag {tag}" if tag else ""))
    return commit


def _print_dry(repository: Repository, plan: Plan, remote: hub.Remote, tag: str | None) -> None:
    if not remote.exists:
        print(f"{repository.name} is not there, or not to be seen: --push --create makes it")
    print("dry run: nothing was changed" + (f"; with --push, tag {tag} would be set" if tag else ""))


def _json(path: Path, otherwise: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(otherwise) from None
    except ValueError as broken:
        raise UserError(f"{path} is not JSON ({broken})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no record: make it anew")
    return value


def _proven(local: Path, path: str, entry: dict[str, Any]) -> File:
    if not local.is_file():
        raise UserError(f"{local} is not there: run `dvc repro export`, or `dvc pull`")
    if file_checksum(local) != entry["sha256"]:
        raise UserError(f"{local} is not what metrics/export.json says: run `dvc repro export`")
    return File(path, local, entry["size"], entry["sha256"])


def _named(file: File, repo: str) -> File:
    """Return a text with the repository's name in it."""
    content = file.read().replace(card.REPO.encode(), repo.encode())
    return File(file.path, content, len(content), hashlib.sha256(content).hexdigest())


def _message(build: Build, tag: str | None) -> str:
    shared = build.settings
    return (
        f"MediMeta-C{f' {tag}' if tag else ''}: {len(build.datasets)} data sets from {build.source}, profile"
        f" {shared['profile']}, seed {shared['seed']}, bytes {shared['bytes_version']}"
    )


def _run(given: Any) -> None:
    workspace = Workspace(given.root)
    options = {"push": given.push, "tag": given.tag, "public": given.public, "create": given.create}
    disable_progress_bars()  # the client's; there is one bar for the whole upload
    if given.push:
        hub.check_token()
    if given.adapter:
        files, name, synthetic = adapter_files(
            given.adapter, given.repo, source=read_config(Workspace(given.root)).source
        )
        check_name(given.repo, synthetic=synthetic, force=given.force)
        message, kind, metrics = f"{name}{f' {given.tag}' if given.tag else ''}", "model", ADAPTER_METRICS
    else:
        check_verified(workspace)
        names = read_config(Workspace(given.root)).datasets
        build = read_build(workspace, names)
        check_name(given.repo, synthetic=build.synthetic, force=given.force)
        files = dataset_files(workspace, names, given.repo, workers=given.workers)
        message, kind, metrics = _message(build, given.tag), "dataset", METRICS
    commit = publish(Repository(given.repo, kind), files, message, **options)
    if commit:
        sums = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda one: one.path))
        record = {
            "repo": given.repo,
            "tag": given.tag,
            "commit": commit,
            "files": len(files),
            "bytes": sum(file.size for file in files),
            "checksums": hashlib.sha256(sums.encode()).hexdigest(),
        }
        write_json(workspace.root / metrics, record)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--repo", required=True, metavar="ORG/NAME")
    parser.add_argument("--push", action="store_true", help="do it; without this nothing is changed")
    parser.add_argument("--tag", help="put this tag on the commit; a tag never moves")
    parser.add_argument("--create", action="store_true", help="create the repository if it is not there")
    parser.add_argument("--public", action="store_true", help="make the repository public")
    parser.add_argument("--force", action="store_true", help="phantom images into a repository not named so")
    parser.add_argument("--adapter", type=Path, metavar="FOLDER", help="publish this adapter, not the data set")
    command_line.add_workers(parser)
    given = parser.parse_args(argv)
    return command_line.run(lambda: _run(given))


if __name__ == "__main__":
    sys.exit(main())

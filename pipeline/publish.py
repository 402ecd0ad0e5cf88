"""Publish the export, or an adapter, to the Hugging Face Hub: a dry run unless told to --push.

A data-set repository gets what metrics/export.json lists, parquet and npz alike: what is new or changed is uploaded,
then all of it enters in one commit, then comes the tag. Until the commit the revision before stays as it is, so an
interrupted push is finished by running it again. A push of what is there already does nothing. The token is that of
HF_TOKEN or of the stored login. Writes metrics/publish.json.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.config.params import Config, read_config
from pipeline.errors import UserError
from pipeline.hub import card
from pipeline.hub.build import SYNTHETIC, Build, local_path, read_build
from pipeline.hub.plan import File, Remote, changes, check_tag, check_tag_name
from pipeline.hub.records import AdapterConfig, ExportRecord, FileEntry, PublishRecord, VerifyRecord
from pipeline.io.checksums import file_checksum
from pipeline.io.records import read_record, write_record
from pipeline.run import command_line
from pipeline.run.parallel import ordered
from pipeline.run.progress import progress
from pipeline.workspace import manifest
from pipeline.workspace.paths import Workspace

if TYPE_CHECKING:
    from pipeline.hub.repository import Repository

_TUNE_RECORD = "tune.json"
_TEXTS = ("README.md", "croissant.json")  # where names are filled in


def dataset_files(workspace: Workspace, config: Config, build: Build, repo: str, *, workers: int) -> list[File]:
    """Return the files of the data-set repository, each compared with metrics/export.json on the way."""
    recorded = read_record(workspace.export_record, ExportRecord, remedy="run `dvc repro export` first")
    if recorded.build != manifest.build_checksum(workspace, config.datasets):
        raise UserError("data/export is not of these manifests, or is unfinished: run `dvc repro export`")
    entries = recorded.files
    missing = {cell.path for _, cell in build.cells()} - entries.keys()
    if missing:
        raise UserError(f"metrics/export.json lacks {min(missing)}: run `dvc repro export`")
    names = {card.REPO: repo, card.CODE: _code(workspace)}
    files = []
    with progress(total=sum(entry.size for entry in entries.values()), unit="B", unit_scale=True, desc="check") as bar:
        for file in ordered(lambda path: _checked(workspace, path, entries[path]), sorted(entries), workers=workers):
            files.append(_filled(file, names) if file.path in _TEXTS else file)
            bar.update(file.size)
    return files


def adapter_files(folder: Path, repo: str, *, source: str) -> tuple[list[File], str, bool]:
    """Return the files of an adapter's folder, its name, and whether it was tuned on synthetic images.

    The folder is one that PEFT saved. If tune.json is in it or beside it, the adapter was tuned here on images from
    `source`: the record becomes a file of the repository, and the card is the one that tune wrote. Any other adapter
    gets a card made from its configuration.
    """
    config = read_record(
        folder / "adapter_config.json", AdapterConfig, remedy="--adapter takes a folder that PEFT saved"
    )
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    paths = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in Path(name).parts)}
    beside = folder.parent / _TUNE_RECORD
    if _TUNE_RECORD not in paths and beside.is_file():
        paths[_TUNE_RECORD] = beside
    name = folder.resolve().parent.name if folder.resolve().name == "adapter" else folder.resolve().name
    readme = paths.pop("README.md", None)
    text = readme.read_text(encoding="utf-8", errors="replace") if readme else ""
    tuned_here = _TUNE_RECORD in paths
    if not tuned_here:
        text = _adapter_card(name, config, _head(text))
    elif not text:
        raise UserError(f"{folder} has no README.md, which tune writes: run `dvc repro` for this model again")
    files = [File(name, path, path.stat().st_size, file_checksum(path)) for name, path in paths.items()]
    described = _filled(File.of_text("README.md", text.encode()), {card.ADAPTER_REPO: repo})
    return [*files, described], name, tuned_here and source == SYNTHETIC


def check_verified(workspace: Workspace, config: Config) -> None:
    """Raise UserError unless verify has passed for the manifests as they are, and git holds them as they are."""
    remedy = "only what `python -m pipeline.verify` has passed is published"
    verified = read_record(workspace.metrics / "verify.json", VerifyRecord, remedy=remedy)
    if verified.findings:
        raise UserError(f"verify has {verified.findings} findings: only what it has passed is published")
    if verified.manifests != manifest.build_checksum(workspace, config.datasets):
        raise UserError("the manifests are not those that verify has passed: run `python -m pipeline.verify` again")
    changed = _git(workspace, "status", "--porcelain", "--untracked-files=all", "--", *_recorded_paths()).splitlines()
    if changed:
        listed = ", ".join(line[3:] for line in changed[:3])
        raise UserError(f"git does not hold the manifests as they are ({listed}): commit them, then publish")


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
    """Print what would change and, if `push`, change it; return the commit pushed.

    A new repository is private until the commit and the tag are done.
    """
    remote = repository.look()
    plan = changes(files, remote)
    print(f"{repository.name} holds all {plan.same} files already" if plan.empty else plan.total if push else plan)
    if tag:
        check_tag(tag, plan, remote, repository.name)
    if not push:
        _print_dry(repository, remote, tag)
        return None
    if not remote.exists:
        if not create:
            raise UserError(f"no {repository.kind} repository {repository.name}, or the token may not see it; --create")
        repository.create()
        remote = repository.look()
        plan = changes(files, remote)
    commit = remote.head if plan.empty and remote.head else repository.push(plan, files, remote.head, message)
    if tag:
        repository.tag(tag, commit)
    if public:
        repository.make_public()
    print(f"{repository.name} is at {commit}" + (f", tag {tag}" if tag else ""))
    return commit


def _print_dry(repository: Repository, remote: Remote, tag: str | None) -> None:
    if not remote.exists:
        print(f"{repository.name} is not there, or not to be seen: --push --create makes it")
    print("dry run: nothing was changed" + (f"; with --push, tag {tag} would be set" if tag else ""))


def _checked(workspace: Workspace, path: str, entry: FileEntry) -> File:
    local = local_path(workspace, path)
    if not local.is_file():
        raise UserError(f"{local} is not there: run `dvc repro export`, or `dvc pull`")
    if file_checksum(local) != entry.sha256:
        raise UserError(f"{local} is not what metrics/export.json says: run `dvc repro export`")
    return File(path, local, entry.size, entry.sha256)


def _filled(file: File, names: dict[str, str]) -> File:
    """Return a text with the names in it that are known now."""
    content = file.read().decode()
    for placeholder, name in names.items():
        content = content.replace(placeholder, name)
    return File.of_text(file.path, content.encode())


def _code(workspace: Workspace) -> str:
    """Return the address of the code's repository and the commit of the manifests, for the card.

    That commit, and not the last one of all, since the card must not change with each commit beside it.
    """
    commit = _git(workspace, "log", "-1", "--format=%H", "--", *_recorded_paths()).strip()
    remote = _git(workspace, "config", "--default", "", "--get", "remote.origin.url").strip()
    address = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", remote).removesuffix(".git")
    address = re.sub(r"^(https?://)[^/@]*@", r"\1", address)  # without a password
    public = re.match(r"https?://", address)
    return f"[{address}]({address}) at commit `{commit}`" if public else f"commit `{commit}` of a checkout"


def _recorded_paths() -> list[str]:
    return ["manifests", str(Workspace("").export_record)]


def _git(workspace: Workspace, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(workspace.root), *arguments], capture_output=True, encoding="utf-8", check=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise UserError(f"{workspace.root} is in no git repository, so nobody could say what was published") from None


def _head(text: str) -> dict[str, Any]:
    """Return the metadata block of a card that others wrote; empty if it has none."""
    parts = text.split("---\n", 2)
    try:
        head = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}  # the card is made anew, and only loses what cannot be read
    return head if isinstance(head, dict) else {}


def _adapter_card(name: str, config: AdapterConfig, head: dict[str, Any]) -> str:
    base = str(head.get("base_model") or config.base_model_name_or_path or "its base model")
    return card.adapter_card(
        name,
        base=base,
        base_model=base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else None,
        licence=str(head.get("license", "other")),
        facts={"rank, alpha": f"{config.r}, {config.lora_alpha}"},
    )


def _message(build: Build, tag: str | None) -> str:
    return (
        f"{build.title}{f', {tag}' if tag else ''}: {len(build.datasets)} data sets from {build.source}, profile"
        f" {build.profile}, seed {build.seed}, bytes {build.bytes_version}"
    )


def _run(args: argparse.Namespace) -> None:
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from pipeline.hub.repository import Repository, check_token

    workspace = Workspace(args.root)
    disable_progress_bars()  # the client's; there is one bar for the whole upload
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # its warnings of retries have signed addresses in them
    if args.tag is not None:
        check_tag_name(args.tag)
    if args.push:
        check_token()
    config = read_config(workspace)
    if args.adapter:
        files, name, synthetic = adapter_files(args.adapter, args.repo, source=config.source)
        check_name(args.repo, synthetic=synthetic, force=args.force)
        message, kind, record_name = f"{name}{f', {args.tag}' if args.tag else ''}", "model", "publish-adapter.json"
    else:
        check_verified(workspace, config)
        build = read_build(workspace, config)
        check_name(args.repo, synthetic=build.synthetic, force=args.force)
        files = dataset_files(workspace, config, build, args.repo, workers=args.workers)
        message, kind, record_name = _message(build, args.tag), "dataset", "publish.json"
    commit = publish(
        Repository(args.repo, kind),
        files,
        message,
        push=args.push,
        tag=args.tag,
        public=args.public,
        create=args.create,
    )
    if commit:
        sums = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda file: file.path))
        record = PublishRecord(
            repo=args.repo,
            tag=args.tag,
            commit=commit,
            files=len(files),
            bytes=sum(file.size for file in files),
            checksums=hashlib.sha256(sums.encode()).hexdigest(),
        )
        write_record(workspace.metrics / record_name, record)


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
    args = parser.parse_args(argv)
    return command_line.run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())

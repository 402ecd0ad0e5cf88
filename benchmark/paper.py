"""Run a preset in a workspace of its own: the whole of the paper, or the same scaled down on the phantom.

The workspace is a folder with a copy of the code and dvc.yaml, the preset as its params.yaml, links to data/raw and its
own DVC, so that the project's build stays as it is. What runs there is plain `dvc repro verify report`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pipeline.config.benchmark import Protocol
from pipeline.config.params import SOURCES, read_config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.run import command_line
from pipeline.workspace.paths import Workspace

CODE = ("corruptions", "pipeline", "benchmark", "cards", "dvc.yaml", ".dvcignore")
"""What the stages depend on, beside data and parameters."""

TARGETS = ("verify", "report")

_DVC = """[core]
    analytics = false
    check_update = false
    no_scm = true
[cache]
    type = "reflink,hardlink,symlink"
"""


def make_workspace(root: Path, preset: str, folder: Path, *, protocol: str | None = None) -> Workspace:
    """Make or renew the workspace of a preset; what was built there stays.

    `protocol` takes the place of the preset's.

    Raises:
        UserError: there is no such preset, or it says something that params.yaml must not say.
    """
    path = root / "presets" / f"{preset}.yaml"
    if not path.is_file():
        choices = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise UserError(f"no preset {preset!r}; have {choices}")
    folder.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    if protocol is not None:
        text = re.sub(r"(?m)^  protocol: \S+", f"  protocol: {protocol}", text)
    with atomic_write(folder / "params.yaml") as handle:
        handle.write(text.encode())
    workspace = Workspace(folder)
    read_config(workspace)
    for name in CODE:
        if (root / name).is_dir():
            _copy_code(root / name, folder / name)
        else:
            shutil.copy2(root / name, folder / name)
    for source in SOURCES:
        link, raw = workspace.raw(source), Workspace(root).raw(source).resolve()
        raw.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(raw)
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc" / "config").write_text(_DVC, encoding="utf-8")
    return workspace


def _copy_code(source: Path, target: Path) -> None:
    """Copy a package, and delete what is no longer in it; what Python and Numba compiled stays."""
    for path in target.rglob("*.*"):
        if "__pycache__" not in path.parts and not (source / path.relative_to(target)).exists():
            path.unlink()
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


def check(workspace: Workspace) -> None:
    """Say what the run brings and how long it takes; UserError that names all that is missing, before any work."""
    from benchmark.preflight import preflight  # torch takes seconds to import

    needs = preflight(workspace, read_config(workspace))
    for note in needs.notes:
        print(note, flush=True)
    if needs.missing:
        raise UserError(f"{len(needs.missing)} things are missing: {'; '.join(needs.missing)}")


def bring_adapters(workspace: Workspace) -> None:
    """Bring the published checkpoints that are not there yet, at their pinned commits, and convert them."""
    plan = read_config(workspace).benchmark
    for name, checkpoint in plan.published.items():
        if name not in plan.models or workspace.adapter(name).exists():
            continue
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        from benchmark.models import registry, robustmedclip
        from benchmark.models.components.files import one_line
        from benchmark.models.model import Model

        base = registry.find_record(checkpoint.model).base or ""
        folder = workspace.root / plan.weights[base] if base in plan.weights else None
        try:
            path = hf_hub_download(checkpoint.repo, checkpoint.file, revision=checkpoint.revision)
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as problem:
            where = f"{checkpoint.repo}@{checkpoint.revision}"
            raise UserError(f"{checkpoint.file} can't be had from {where}: {one_line(problem)}") from None
        model = registry.load(base, weights_dir=folder)
        assert isinstance(model, Model), f"{base} is the base of an adapter"
        robustmedclip.convert(Path(path), workspace.adapter(name), base=model)
        print(f"brought {name} from {checkpoint.repo}@{checkpoint.revision}", flush=True)


def repro(folder: Path) -> None:
    """Run `dvc repro` in the workspace; UserError if a stage fails, which has said why."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", "repro", *TARGETS]
    if subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, check=False).returncode:
        raise UserError(f"a stage failed, as it says above; the next run goes on from there, in {folder}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--preset", default="paper", help="a file of presets/, without .yaml (default: paper)")
    parser.add_argument("--protocol", choices=get_args(Protocol), help="in place of the preset's")
    parser.add_argument("--check", action="store_true", help="only say what is missing and how long it takes")
    parser.add_argument("--folder", type=Path, help="of the workspace (default: build/<preset>)")
    args = parser.parse_args(argv)

    def run() -> None:
        folder = args.folder or Path(args.root) / "build" / args.preset
        workspace = make_workspace(Path(args.root), args.preset, folder, protocol=args.protocol)
        check(workspace)
        if args.check:
            return
        bring_adapters(workspace)
        repro(folder)
        print(f"wrote {workspace.reports / 'index.html'}")

    return command_line.run(run)


if __name__ == "__main__":
    sys.exit(main())

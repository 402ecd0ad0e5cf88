"""Formatter, linters, type checker, the direction of imports and the pinned versions, as tests."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.matrix.requirements import canonical, pins, requirements

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"], ["lint-imports"]],
    ids=lambda command: "-".join(command[:2]),
)
def test_the_tree_is_clean(command: list[str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    ended = subprocess.run([program, *command[1:]], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_corruptions_alone_need_no_torch_and_no_pipeline() -> None:
    code = (
        "import sys, numpy as np, corruptions\n"
        "images = np.zeros((1, 8, 8, 1), np.uint8)\n"
        "corruptions.corrupt(images, 'contrast', 1, dataset='pbc', split='test', seed=0)\n"
        "loaded = {'torch', 'cv2', 'dvc', 'PIL', 'skimage', 'pipeline', 'benchmark'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("package", ["corruptions", "pipeline", "benchmark", "examples"])
def test_text_is_never_read_in_the_encoding_of_the_locale(package: str) -> None:
    found = []
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                is_text = ast.unparse(node.func).endswith((".read_text", ".write_text")) or given.get("text") == "True"
                if is_text and "encoding" not in given:
                    found.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}")
    assert not found


@pytest.mark.parametrize("module", ["pipeline.corrupt", "pipeline.verify", "pipeline.prepare"])
def test_the_cpu_pipeline_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("extra", requirements())
def test_every_extra_is_pinned_within_its_bounds(extra: str) -> None:
    for requirement in map(Requirement, requirements()[extra]):
        name = canonical(requirement.name)
        assert name in pins(), f"constraints.txt has no version of {name}"
        assert requirement.specifier.contains(pins()[name]), f"{requirement} is pinned to {pins()[name]}"


def test_what_is_required_in_turn_is_pinned() -> None:
    """Follow the requirements of what is installed here; an extra that is not installed ends there."""
    pinned, seen = pins(), set()
    left = [Requirement(line) for own in requirements().values() for line in own]
    while left:
        requirement = left.pop()
        name, extras = canonical(requirement.name), requirement.extras or {""}
        if (name, *sorted(extras)) in seen:
            continue
        seen.add((name, *sorted(extras)))
        assert name in pinned, f"constraints.txt has no version of {name}"
        try:
            wanted = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        further = map(Requirement, wanted)
        left += [one for one in further if not one.marker or any(one.marker.evaluate({"extra": e}) for e in extras)]


STAGES = [
    f"{package}.{path.stem}"
    for package in ("pipeline", "benchmark")
    for path in sorted((REPOSITORY / package).glob("*.py"))
    if "__main__" in path.read_text()
]
HEAVY = {"dask", "datasets", "h5py", "kornia", "matplotlib", "numba", "pandas", "peft", "pyarrow", "scipy", "skimage"}
HEAVY |= {"torch", "transformers", "xarray"}


@pytest.mark.parametrize("stage", STAGES)
def test_help_loads_nothing_heavy(stage: str) -> None:
    """What these import takes up to seconds, and --help needs none of it."""
    script = f"import runpy, sys; sys.argv = ['', '--help']\ntry: runpy.run_module({stage!r}, run_name='__main__')\n"
    script += "except SystemExit: print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = ended.stdout.splitlines()[-1].split()
    assert "argparse" in loaded
    assert not HEAVY & set(loaded)

"""An install and a home that nobody can write to: everything works, and Numba's cache is elsewhere or absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from corruptions import CORRUPTIONS, PROFILES, SEVERITIES, sweep
from tests.corruptions.pictures import digest, waves

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("corruptions", "pipeline", "benchmark", "cards")
STAGES = [
    f"{package}.{path.stem}"
    for package in ("pipeline", "benchmark")
    for path in sorted((REPOSITORY / package).glob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]

# The superuser may write to any folder; a process that has dropped this capability (prctl's PR_CAPBSET_DROP,
# CAP_DAC_OVERRIDE) before exec may not, as nobody else may.
AS_ANYBODY = """
import ctypes, os, sys
if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0):
    sys.exit("the superuser cannot drop a capability here")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

SWEEPS = """
import hashlib, sys
from corruptions import CORRUPTIONS, PROFILES, sweep
from tests.corruptions.pictures import digest, waves
for channels in (1, 3):
    for profile in PROFILES:
        for name in CORRUPTIONS:
            for _, images in sweep(waves(2, 6, 70 // channels, channels), name, dataset="oct", split="val", seed=3,
                                   profile=profile):
                print(digest(images))
"""


def expected() -> list[str]:
    where = {"dataset": "oct", "split": "val", "seed": 3}
    return [
        digest(images)
        for channels in (1, 3)
        for profile in PROFILES
        for name in CORRUPTIONS
        for _, images in sweep(waves(2, 6, 70 // channels, channels), name, profile=profile, **where)  # type: ignore[arg-type]
    ]


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a copy of the packages and an empty home, none of which can be written to."""
    root = tmp_path_factory.mktemp("install")
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "home").mkdir()
    (root / "tests" / "corruptions").mkdir(parents=True)
    for name in ("__init__.py", "corruptions/__init__.py", "corruptions/pictures.py"):
        shutil.copy(REPOSITORY / "tests" / name, root / "tests" / name)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    check = f"import pathlib; pathlib.Path({str(root)!r}, 'corruptions', 'file').write_text('')"
    if subprocess.run([sys.executable, "-c", AS_ANYBODY, "-c", check], capture_output=True).returncode == 0:
        pytest.skip("this user may write to every folder")
    yield root
    for folder in folders:
        folder.chmod(0o755)


def run(install: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_", "MPL"))}
    settings = inherited | {"PYTHONPATH": str(install), "HOME": str(install / "home")} | environment
    program = [sys.executable, "-c", AS_ANYBODY, *command]
    return subprocess.run(program, cwd=install, env=settings, capture_output=True, text=True)


def test_without_any_cache_the_kernels_work_and_say_so_once(install: Path) -> None:
    ended = run(install, "-W", "always", "-c", SWEEPS)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == expected()
    assert ended.stderr.count("Warning") == 1, ended.stderr
    assert "set NUMBA_CACHE_DIR to a folder that can be written" in ended.stderr


def test_a_cache_elsewhere_is_used_without_a_word(install: Path, tmp_path: Path) -> None:
    ended = run(install, "-W", "error", "-c", "import corruptions.cpu.levels", NUMBA_CACHE_DIR=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert any(tmp_path.iterdir())


def test_without_the_compiler_the_bytes_are_the_same(install: Path) -> None:
    ended = run(install, "-W", "error", "-c", SWEEPS, NUMBA_DISABLE_JIT="1")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == expected()
    assert len(expected()) == 2 * len(PROFILES) * len(CORRUPTIONS) * len(SEVERITIES)
    assert np.unique(expected()).size > 100


@pytest.mark.parametrize("stage", STAGES)
def test_every_help_is_printed(stage: str, install: Path) -> None:
    ended = run(install, "-m", stage, "--help")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("usage:")
    assert not ended.stderr


@pytest.mark.parametrize("setting", [{"NUMBA_DISABLE_JIT": "1"}, {"HOME": ""}, {"HOME": "/nowhere"}])
def test_importing_needs_no_cache_and_no_home(setting: dict[str, str], install: Path) -> None:
    ended = run(install, "-W", "error", "-c", "import corruptions; corruptions.CORRUPTIONS", **setting)
    assert ended.returncode == 0, ended.stderr

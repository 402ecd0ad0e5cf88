"""What is built for others: the source distribution holds the project, and the wheel works on its own."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("corruptions", "pipeline", "benchmark")
BUILD = "import setuptools.build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"


def tracked() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in listed if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of both distributions, built from a copy of what git holds."""
    copy = tmp_path_factory.mktemp("copy")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, copy / name)
    (copy / "dist").mkdir()
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, check=True)
    return copy / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder)
    program = folder / "bin" / "python"
    install = ["-m", "pip", "--python", str(program), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install, "--disable-pip-version-check"], check=True)
    return program


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the wheel's code; the packages that it needs are lent by the environment of the tests."""
    environment = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib"), "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_source_distribution_holds_what_git_holds(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in names if name == "PKG-INFO" or name.startswith("medimeta_c.egg-info/")}
    assert names - made == set(tracked())


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    folders = {**{package: package for package in PACKAGES}, "cards": "pipeline/card_files"}
    files = [Path(name) for name in tracked() if name.partition("/")[0] in folders]
    assert names == {f"{folders[file.parts[0]]}/{Path(*file.parts[1:])}" for file in files}


def test_the_metadata_says_whose_it_is_and_where_to_read_on(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Author"] == "The MediMeta-C developers"
    assert metadata["License"] == "MIT"
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert urls["Paper"] == "https://arxiv.org/abs/2505.15425"
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_wheel_works_outside_a_checkout(python: Path, tmp_path: Path) -> None:
    look = "import corruptions, pipeline.workspace.datasets as d; print(corruptions.__file__, d.folder(), *d.DATASETS)"
    ended = run(python, tmp_path, "-c", look)
    assert ended.returncode == 0, ended.stderr
    source, cards, *names = ended.stdout.split()
    assert Path(source).is_relative_to(python.parents[1])
    assert Path(cards).is_relative_to(python.parents[1])
    assert names == sorted(
        path.stem for path in (REPOSITORY / "cards").glob("*.yaml") if "classes:" in path.read_text()
    )
    ended = run(python, tmp_path, "-m", "pipeline.prepare", "--dataset", "pbc")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: no params.yaml: run this in the project's folder")


def test_no_text_names_a_distribution_that_no_index_has() -> None:
    """The project is on no index: whoever reads an advice has a checkout, or the address of one."""
    texts = [Path(name) for name in tracked() if name.endswith((".py", ".md", ".j2", ".cfg", ".yml", ".yaml"))]
    advice = re.compile(r"(?:pip|uv|pipx|poetry|conda)3? (?:install|add)[^\n`]*")
    for path in texts:
        if path.parts[0] in ("tests", "CHANGELOG.md"):
            continue
        for command in advice.findall((REPOSITORY / path).read_text(encoding="utf-8")):
            assert not re.search(r"medimeta[-_]?c(?!\w)(?! ?@)", command, re.IGNORECASE), f"{path}: {command}"
            for extras in re.findall(r"\.\[([\w,]+)\]", command):
                known = Requirement(f"x[{extras}]").extras
                assert known <= extra_names(), f"{path}: {command}"


def extra_names() -> set[str]:
    text = (REPOSITORY / "setup.cfg").read_text(encoding="utf-8")
    section = text.partition("[options.extras_require]")[2].partition("\n[")[0]
    return set(re.findall(r"^(\w+) =", section, re.MULTILINE))

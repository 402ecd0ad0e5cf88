"""A build that was pushed to a DVC remote, as others use it: pull, repro, experiments, import."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions import CORRUPTIONS
from tests.pipeline.conftest import REPOSITORY, write_params
from tests.pipeline.sources.release import write_release

TARGET = "corrupt@{}-contrast"


def run(root: Path, *command: str, code: int = 0) -> str:
    """Run a command as a user of the project; return what it says."""
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | dict.fromkeys(names, "tests") | {"PATH": path}
    environment.pop("PYTHONPATH", None)  # of this checkout: the copy's own code is to run
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def repro(root: Path, *arguments: str) -> list[str]:
    """Run `dvc repro` and return the stages that ran."""
    return re.findall(r"Running stage '([^']+)'", run(root, "dvc", "repro", *arguments))


def own_images(root: Path) -> None:
    random_state = np.random.default_rng(0)
    for split, count in {"train": 2, "val": 2, "test": 3}.items():
        for name in ("healthy", "ill"):
            folder = root / "data" / "raw" / "imagefolder" / "mine" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random_state.integers(0, 256, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")


def pushed(
    root: Path,
    source: str,
    dataset: str,
    put_images: Callable[[Path], object],
    *,
    tracked: bool,
    stages: Sequence[str] = (TARGET,),
    **params: object,
) -> Path:
    """Make a project with one data set, build what the last of `stages` needs of it, and push that to a remote.

    Return the project. `stages` are those that have to run after prepare; `params` change params.yaml.
    """
    project = root / "project"
    for name in run(REPOSITORY, "git", "ls-files", "-co", "--exclude-standard").splitlines():
        if (REPOSITORY / name).is_file() and not name.startswith(("tests/", "manifests/", "dvc.lock", "docs/")):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, project / name)
    write_params(project, source=source, datasets=[dataset], **params)
    put_images(project)
    run(project, "git", "init", "-q", "-b", "main")
    run(project, "dvc", "remote", "add", "--default", "store", str(root / "store"))
    if tracked:
        run(project, "dvc", "add", "-q", f"data/raw/{source}/{dataset}")
    expected = [stage.format(dataset) for stage in stages]
    ran = repro(project, expected[-1])
    assert {*ran[:3]} == {"describe", "fetch", f"prepare@{dataset}"}
    assert ran[-1] == expected[-1]
    assert sorted(ran[3:]) == sorted(expected)
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-q", "-m", "Build")
    run(project, "dvc", "push", "-q")
    return project


def clone(project: Path, place: Path) -> Path:
    run(place.parent, "git", "clone", "-q", str(project), str(place))
    return place


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose raw images are tracked and pushed too."""
    return pushed(tmp_path_factory.mktemp("own"), "imagefolder", "mine", own_images, tracked=True)


@pytest.fixture(scope="module")
def medimeta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose raw files are as MedIMeta's, and nobody else's."""
    root = tmp_path_factory.mktemp("medimeta")
    return pushed(
        root,
        "medimeta",
        "fundus",
        lambda project: write_release(project / "data" / "raw" / "medimeta", "fundus"),
        tracked=False,
    )


def test_own_images_that_are_pulled_leave_nothing_to_run(own: Path, tmp_path: Path) -> None:
    there = clone(own, tmp_path / "clone")
    run(there, "dvc", "pull", "--allow-missing")
    assert (there / "data" / "raw" / "imagefolder" / "mine" / "val" / "ill" / "1.png").is_file()
    assert repro(there, TARGET.format("mine")) == []
    assert run(there, "git", "status", "--porcelain") == ""


def test_without_any_data_the_list_of_files_stays(own: Path, tmp_path: Path) -> None:
    there = clone(own, tmp_path / "clone")
    listed = there / "manifests" / "source.json"
    before = listed.read_text()
    assert repro(there, "--allow-missing", TARGET.format("mine")) == ["fetch"]
    assert listed.read_text() == before
    (there / "data" / "raw" / "imagefolder" / "mine.dvc").unlink()
    assert "no folder data/raw/imagefolder/mine; " in run(there, "dvc", "repro", "-f", TARGET.format("mine"), code=255)
    assert listed.read_text() == before


def test_raw_files_that_nobody_pushed_are_not_brought_again(medimeta: Path, tmp_path: Path) -> None:
    there = clone(medimeta, tmp_path / "clone")
    run(there, "dvc", "pull", "--allow-missing")
    before = (there / "manifests" / "source.json").read_text()
    assert repro(there, TARGET.format("fundus")) == ["fetch"]
    assert (there / "manifests" / "source.json").read_text() == before
    assert repro(there, TARGET.format("fundus")) == []


def test_an_experiment_in_a_folder_of_its_own_has_the_raw_images(own: Path) -> None:
    said = run(own, "dvc", "exp", "run", "--temp", "--name", "few", "--set-param", "limit=2", TARGET.format("mine"))
    assert re.findall(r"Running stage '([^']+)'", said) == ["prepare@mine", TARGET.format("mine")]
    reference = run(own, "git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/few").strip()
    clean = json.loads(run(own, "git", "show", f"{reference}:manifests/mine/clean.json"))
    assert {split: entry["count"] for split, entry in clean["splits"].items()} == {"val": 2, "test": 2}
    assert run(own, "git", "status", "--porcelain") == ""


def test_the_extended_set_is_pulled_and_removed_like_the_rest(tmp_path: Path) -> None:
    core = [f"corrupt@{{}}-{name}" for name in CORRUPTIONS]
    project = pushed(
        tmp_path,
        "imagefolder",
        "mine",
        own_images,
        tracked=True,
        stages=[*core, "extend"],
        corruption_set=["speckle_noise"],
    )
    there = clone(project, tmp_path / "clone")
    assert repro(there, "--allow-missing", "--dry", "extend") == ["fetch"], "which lists raw images"
    run(there, "dvc", "pull", "--allow-missing")
    cell = Path("data", "MediMeta-C-extended", "mine", "test", "speckle_noise_severity_3.npz")
    assert (there / cell).read_bytes() == (project / cell).read_bytes()
    assert repro(there, "extend") == []
    assert run(there, "git", "status", "--porcelain") == ""
    write_params(there, source="imagefolder", datasets=["mine"], corruption_set="core")
    assert repro(there, "extend") == ["extend"]
    assert not (there / cell).exists()
    run(there, "git", "checkout", "-q", ".")
    run(there, "dvc", "checkout", "-q", "extend")
    assert (there / cell).read_bytes() == (project / cell).read_bytes()


def test_tracked_images_that_change_make_what_is_of_them_anew(own: Path, tmp_path: Path) -> None:
    there = clone(own, tmp_path / "clone")
    run(there, "dvc", "pull", "--allow-missing")
    images = there / "data" / "raw" / "imagefolder" / "mine" / "val" / "ill"
    with Image.open(images / "0.png") as picture:
        picture.rotate(90).save(images / "more.png")
    assert repro(there, TARGET.format("mine")) == ["fetch", "prepare@mine", TARGET.format("mine")]
    assert " M data/raw/imagefolder/mine.dvc" in run(there, "git", "status", "--porcelain")


def test_a_file_of_the_build_is_imported_by_another_project(own: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    name = "data/MediMeta-C/mine/test/contrast_severity_3.npz"
    run(tmp_path, "dvc", "import", "-q", str(own), name, "--rev", "main", "--out", "severe.npz")
    assert (tmp_path / "severe.npz").read_bytes() == (own / name).read_bytes()

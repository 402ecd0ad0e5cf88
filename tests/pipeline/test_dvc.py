"""The pipeline as a user runs it: real DVC on a copy of the project, two data sets, a few images."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from corruptions import CORRUPTIONS
from tests.pipeline.conftest import DATASETS, REPOSITORY, write_params

UPSTREAM_OF_SCORES = ["verify", "gallery"]


def run(root: Path, *command: str) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def repro(root: Path, *arguments: str) -> list[str]:
    """Run `dvc repro` and return the stages that ran."""
    said = run(root, "dvc", "repro", *(arguments or UPSTREAM_OF_SCORES))
    return re.findall(r"Running stage '([^']+)'", said)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which the pipeline has run once."""
    root = tmp_path_factory.mktemp("project")
    listed = run(REPOSITORY, "git", "ls-files", "-co", "--exclude-standard").splitlines()
    for name in listed:
        if (REPOSITORY / name).is_file() and not name.startswith(("tests/", "manifests/", "dvc.lock")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    write_params(root)
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        run(root, *command)
    ran = repro(root)
    corrupted = {f"corrupt@{d}-{c}" for d in DATASETS for c in CORRUPTIONS}
    assert set(ran) == {
        "describe",
        "fetch",
        *(f"prepare@{d}" for d in DATASETS),
        *corrupted,
        "extend",
        "verify",
        "gallery",
    }
    return root


def test_a_second_run_does_nothing(project: Path) -> None:
    assert repro(project) == []
    assert json.loads((project / "metrics" / "verify.json").read_text())["findings"] == 0
    assert "metrics/verify.json" in run(project, "dvc", "metrics", "show")


def test_one_severity_reruns_its_corruption_alone(project: Path) -> None:
    table = project / "corruptions" / "table.py"
    before = table.read_text()
    changed = before.replace('"delta": [0.1, 0.2, 0.3, 0.4, 0.5]', '"delta": [0.1, 0.2, 0.3, 0.4, 0.55]')
    assert changed != before
    table.write_text(changed)
    downstream = {"extend", "verify", "gallery"}
    assert set(repro(project)) == {*(f"corrupt@{d}-brightness" for d in DATASETS), *downstream}
    table.write_text(before)
    assert set(repro(project)) <= {*(f"corrupt@{d}-brightness" for d in DATASETS), *downstream}


def test_the_extended_set_is_a_stage_of_its_own(project: Path) -> None:
    """The seven are not made anew, whatever is added to them or taken away."""
    repro(project)
    manifests = {path: path.read_text() for path in (project / "manifests").glob("*/*.json")}
    write_params(project, corruption_set={"pbc": ["speckle_noise"]})
    assert repro(project) == ["extend", "verify", "gallery"]
    assert (project / "data" / "MediMeta-C-extended" / "pbc" / "val" / "speckle_noise_severity_1.npz").is_file()
    write_params(project)
    assert set(repro(project)) <= {"extend", "verify", "gallery"}
    assert {
        path: path.read_text() for path in (project / "manifests").rglob("*/*.json") if path in manifests
    } == manifests
    assert len(list((project / "manifests" / "MediMeta-C-extended").iterdir())) == 1


def edit_cards(project: Path, names: Iterable[str], old: str, new: str) -> None:
    for name in names:
        card = project / "cards" / f"{name}.yaml"
        before = card.read_text(encoding="utf-8")
        card.write_text("# a comment\n" + before.replace(old, new), encoding="utf-8")
        assert new in card.read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    ("edited", "old", "new", "ran"),
    [
        ("others", "title: ", "title: Well known ", ["describe"]),
        ("others", "classes: [", "classes: [another, ", ["describe"]),
        ("others", "modality: ", "modality: very ", ["describe"]),
        ("built", "title: ", "title: Well known ", ["describe", "export"]),
        ("built", "licence: CC BY 4.0", "licence: CC BY 3.0", ["describe", "export"]),
        ("built", "task: ", "task: another", ["describe", "export", "prepare"]),
    ],
)
def test_a_word_in_a_card_reruns_what_it_concerns(
    project: Path, edited: str, old: str, new: str, ran: list[str]
) -> None:
    targets = ["verify", "gallery", "export"]
    repro(project, *targets)
    names = DATASETS if edited == "built" else [name for name in ("fundus", "pneumonia") if name not in DATASETS]
    before = {name: (project / "cards" / f"{name}.yaml").read_bytes() for name in names}
    edit_cards(project, names, old, new)
    assert repro(project, "describe") == ["describe"]
    said = run(project, "dvc", "repro", "--dry", *targets)
    assert sorted({name.partition("@")[0] for name in re.findall(r"Running stage '([^']+)'", said)}) == sorted(
        set(ran) - {"describe"}
    ), said
    for name, text in before.items():
        (project / "cards" / f"{name}.yaml").write_bytes(text)
    repro(project, "describe")


def test_a_deleted_file_comes_back_and_nothing_else_runs(project: Path) -> None:
    lost = project / "data" / "MediMeta-C" / "pbc" / "test" / "zoom_blur_severity_3.npz"
    before = hashlib.sha256(lost.read_bytes()).hexdigest()
    lost.unlink()
    assert set(repro(project)) <= {"corrupt@pbc-zoom_blur"}
    assert hashlib.sha256(lost.read_bytes()).hexdigest() == before


def test_without_the_cache_one_stage_rebuilds_the_same_bytes(project: Path) -> None:
    manifest = project / "manifests" / "pbc" / "contrast.json"
    before = manifest.read_text()
    shutil.rmtree(project / ".dvc" / "cache")
    lost = project / "data" / "MediMeta-C" / "pbc" / "val" / "contrast_severity_1.npz"
    lost.unlink()
    assert repro(project, "-s", "corrupt@pbc-contrast") == ["corrupt@pbc-contrast"]
    assert lost.exists()
    assert manifest.read_text() == before


def test_a_checkout_without_data_has_nothing_to_run(project: Path, tmp_path: Path) -> None:
    repro(project)
    bare = tmp_path / "bare"
    shutil.copytree(project, bare, ignore=shutil.ignore_patterns("cache", "MediMeta-C", "prepared", "gallery", ".git"))
    shutil.rmtree(bare / "data" / "MediMeta-C-extended")
    run(bare, "git", "init", "-q")
    said = run(bare, "dvc", "repro", "--allow-missing", "--dry", *UPSTREAM_OF_SCORES)
    assert "Running stage" not in said, said


def test_the_cache_is_never_written_in_place(project: Path) -> None:
    """What DVC links into the workspace may share its bytes with the cache."""
    repro(project)
    cache = project / ".dvc" / "cache" / "files"

    def checksums() -> dict[str, str]:
        return {str(p): hashlib.md5(p.read_bytes()).hexdigest() for p in cache.rglob("*") if p.is_file()}

    before = checksums()
    run(project, sys.executable, "-m", "pipeline.corrupt", "--dataset", "oct", "--corruption", "contrast")
    run(project, sys.executable, "-m", "pipeline.prepare", "--dataset", "oct")
    assert before
    assert checksums() == before


def test_a_change_behind_a_link_is_seen(tmp_path: Path) -> None:
    """Behind the links that fetch lets pass: to a file, and to the folder of the source's own files."""
    fetch = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["fetch"]
    (raw,) = [dep for dep in fetch["deps"] if dep == "data/raw/imagefolder"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"fetch": {"cmd": "true", "deps": [raw]}}}))
    (tmp_path / "params.yaml").write_text("source: imagefolder")
    for folder in ("mount", "raw/mine/val/a", "data/raw"):
        (tmp_path / folder).mkdir(parents=True)
    files = [tmp_path / "mount" / "1.png", tmp_path / "raw" / "mine" / "val" / "a" / "2.png"]
    for file in files:
        file.write_text("before")
    (files[1].parent / "1.png").symlink_to(files[0])
    (tmp_path / "data" / "raw" / "imagefolder").symlink_to(tmp_path / "raw")
    run(tmp_path, "dvc", "init", "-q", "--no-scm")
    assert repro(tmp_path, "fetch") == ["fetch"]
    assert repro(tmp_path, "fetch") == []
    for file in files:
        file.write_text("after, and longer")
        assert repro(tmp_path, "fetch") == ["fetch"]

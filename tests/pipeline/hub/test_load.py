"""What a stranger gets: plain `datasets`, in a process that cannot see this project, from the Hub and from a folder."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from corruptions import CORRUPTIONS
from pipeline import export
from pipeline.config.params import read_config
from pipeline.hub.build import Build, read_build
from pipeline.hub.card import REPO as REPO_IN_TEXTS
from pipeline.io import npz
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny
from tests.pipeline.hub.conftest import REPO, as_stranger, change, environment, push, taken_for_real
from tests.pipeline.hub.server import Hub

# huggingface_hub 2.4 itself uploads in a way that its HTTP library calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PROJECT = Path(__file__).parents[3]
PRELUDE = """
import hashlib, json, sys
import numpy as np
from datasets import disable_progress_bars, get_dataset_config_names, load_dataset
from huggingface_hub import hf_hub_download
disable_progress_bars()

def rows(dataset):
    names = dataset.features["label"].names
    return sorted(
        [r["corruption"], r["severity"], r["index"], names[r["label"]], r["image_id"],
         hashlib.sha256(np.asarray(r["image"]).tobytes()).hexdigest(), list(np.asarray(r["image"]).shape)]
        for r in dataset
    )
"""


def build_of(workspace: Workspace) -> Build:
    return read_build(workspace, read_config(workspace))


def expected(workspace: Workspace, config: str, split: str) -> list[list[Any]]:
    """Return the rows that `config` must have, read from the npz tree."""
    dataset, corruption = build_of(workspace).configs()[config]
    found = []
    for _, cell in build_of(workspace).cells():
        if (cell.dataset, cell.split) != (dataset.name, split) or corruption not in (None, cell.corruption):
            continue
        arrays = npz.read(workspace.npz(cell))
        for index, (image, label) in enumerate(zip(arrays.images, arrays.labels, strict=True)):
            digest = hashlib.sha256(image.tobytes()).hexdigest()
            name, image_id = dataset.clean.class_names[label], f"{dataset.name}-{split}-{index}"
            shape = [length for length in image.shape if length > 1]  # Pillow's grey images have no third dimension
            found.append([cell.corruption, cell.severity, index, name, image_id, digest, shape])
    return sorted(found)


@pytest.fixture(scope="module")
def published(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Workspace, Workspace]]:
    """Run a Hub with two versions, v1.0.0 and v1.1.0; return it and the workspaces that they were made in."""
    home = tmp_path_factory.mktemp("published")
    first, second = Workspace(exported), Workspace(shutil.copytree(exported, home / "second"))
    change(second, "contrast")
    with taken_for_real(home) as hub:
        assert push(Workspace(shutil.copytree(exported, home / "first")), "--tag", "v1.0.0") == 0
        assert push(second, "--tag", "v1.1.0") == 0
        yield hub, first, second


def test_every_config_of_an_exported_folder_loads_pixel_for_pixel_and_name_for_name(
    exported: Path, tmp_path: Path
) -> None:
    workspace = Workspace(exported)
    said = as_stranger(
        f"""{PRELUDE}
folder = {str(workspace.export)!r}
configs = get_dataset_config_names(folder)
loaded = {{c: {{s: rows(d) for s, d in load_dataset(folder, c).items()}} for c in configs}}
print(json.dumps([loaded, [m for m in sys.modules if m.split(".")[0] in ("pipeline", "corruptions")]]))
""",
        tmp_path,
    )
    loaded, modules = json.loads(said)
    assert not modules
    assert list(loaded) == list(build_of(workspace).configs())
    assert len(loaded) == len(tiny.CLASSES) * 9
    for config, splits in loaded.items():
        assert list(splits) == ["validation", "test"]
        assert splits["validation"] == expected(workspace, config, "val")
        assert splits["test"] == expected(workspace, config, "test")


def test_a_parquet_file_alone_has_names_and_pixels(exported: Path, tmp_path: Path) -> None:
    workspace = Workspace(exported)
    file = workspace.export / "data/pbc/test/zoom_blur_severity_2-00000-of-00001.parquet"
    load = f'load_dataset("parquet", data_files={str(file)!r}, split="train")'
    said = json.loads(as_stranger(f"{PRELUDE}\nprint(json.dumps(rows({load})))", tmp_path))
    assert said == [row for row in expected(workspace, "pbc-zoom_blur", "test") if row[1] == 2]


def test_the_hub_gives_every_config_by_tag_by_commit_and_as_a_stream(
    published: tuple[Hub, Workspace, Workspace], tmp_path: Path
) -> None:
    hub, first, second = published
    commit = hub.store.repos[f"datasets/{REPO}"].tags["v1.0.0"]
    said = as_stranger(
        f"""{PRELUDE}
def load(revision, config="pbc-contrast", **options):
    return load_dataset({REPO!r}, config, split="test", revision=revision, **options)

names = get_dataset_config_names({REPO!r}, revision="v1.1.0")
path = hf_hub_download({REPO!r}, "pbc/test/contrast_severity_4.npz", repo_type="dataset", revision="v1.0.0")
with np.load(path) as arrays:
    digest, kinds = hashlib.sha256(arrays["images"].tobytes()).hexdigest(), [str(arrays[k].dtype) for k in arrays]
print(json.dumps({{
    "tag": rows(load("v1.0.0")),
    "commit": rows(load({commit!r})),
    "next": rows(load("v1.1.0")),
    "filtered": rows(load("v1.1.0", "mammo_mass", streaming=True, filters=[("severity", "==", 5)])),
    "configs": {{name: next(iter(load("v1.1.0", name, streaming=True)))["corruption"] for name in names}},
    "npz": [digest, kinds],
}}))
""",
        tmp_path,
        hub,
    )
    loaded = json.loads(said)
    before, after = (expected(workspace, "pbc-contrast", "test") for workspace in (first, second))
    assert loaded["tag"] == loaded["commit"] == before
    assert loaded["next"] == after != before
    assert loaded["filtered"] == [row for row in expected(second, "mammo_mass", "test") if row[1] == 5]
    configs = build_of(first).configs()
    assert list(loaded["configs"]) == list(configs)
    assert all(corruption in (None, loaded["configs"][name]) for name, (_, corruption) in configs.items())
    images = npz.read(first.npz(Cell("pbc", "test", "contrast", 4))).images
    assert loaded["npz"] == [hashlib.sha256(images.tobytes()).hexdigest(), ["uint8", "int64"]]


def test_every_call_that_docs_and_card_recommend_works(
    published: tuple[Hub, Workspace, Workspace], tmp_path: Path
) -> None:
    hub, first, _ = published
    home = tmp_path / "home"
    home.mkdir()
    commit = hub.store.repos[f"datasets/{REPO}"].tags["v1.0.0"]
    card = (first.export / "README.md").read_text().replace(REPO_IN_TEXTS, REPO)
    text = (PROJECT / "docs" / "hub.md").read_text() + card.replace('"TAG"', '"v1.0.0"')
    blocks = re.findall("```python\n(.*?)```", text, re.DOTALL)
    code = "\n".join(blocks).replace(REPO_IN_TEXTS, REPO).replace("4d10...", commit)
    assert code.count("load_dataset(") >= 7
    assert code.count("load_pinned(") == 3
    command = [sys.executable, "-W", "ignore", "-c", f"{code}\nprint(images.shape, len(ds))"]
    env = {**environment(home, hub), "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    rows = len(CORRUPTIONS) * tiny.COUNTS["test"]
    assert ended.stdout.split("\n")[0] == f"({tiny.COUNTS['test']}, {tiny.SIDE}, {tiny.SIDE}, 3) {rows}"


def test_one_cell_by_data_files_fetches_one_file(published: tuple[Hub, Workspace, Workspace], tmp_path: Path) -> None:
    hub, _, second = published
    hub.requests.clear()
    load = f'load_dataset({REPO!r}, data_files="data/pbc/test/zoom_blur_severity_3-*.parquet", split="train")'
    said = as_stranger(f"{PRELUDE}\nprint(json.dumps(rows({load})))", tmp_path, hub)
    assert json.loads(said) == [row for row in expected(second, "pbc-zoom_blur", "test") if row[1] == 3]
    cell = hub.store.repos[f"datasets/{REPO}"].tree["data/pbc/test/zoom_blur_severity_3-00000-of-00001.parquet"]
    assert {request.split("/storage/")[1] for request in hub.asked("^GET /storage/")} == {cell.sha256}


def test_a_wrong_card_is_caught_by_loading(exported: Path, tmp_path: Path) -> None:
    """A card overrules the files, so one with other names or counts shows in what the other tests compare."""
    workspace = Workspace(exported)
    card = (workspace.export / "README.md").read_text()

    def with_metadata(name: str, spoil: Callable[[dict[str, Any]], None]) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "data").symlink_to(workspace.export / "data")
        metadata = yaml.safe_load(card.split("---\n")[1])
        spoil(next(entry for entry in metadata["dataset_info"] if entry["config_name"] == "mammo_mass-contrast"))
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump(metadata)}---\n")
        return f'load_dataset({str(folder)!r}, "mammo_mass-contrast", split="test")'

    def swap(entry: dict[str, Any]) -> None:
        label = next(feature for feature in entry["features"] if feature["name"] == "label")
        names = label["dtype"]["class_label"]["names"]
        names["0"], names["1"] = names["1"], names["0"]

    def miscount(entry: dict[str, Any]) -> None:
        entry["splits"][0]["num_examples"] += 1

    said = as_stranger(
        f"""{PRELUDE}
print(json.dumps(rows({with_metadata("swapped", swap)})))
try:
    {with_metadata("miscounted", miscount)}
except Exception as wrong:
    print(type(wrong).__name__)
""",
        tmp_path / "home",
    )
    swapped, raised = said.splitlines()
    right = expected(workspace, "mammo_mass-contrast", "test")
    assert json.loads(swapped) != right
    assert [row[5] for row in json.loads(swapped)] == [row[5] for row in right]
    assert raised == "NonMatchingSplitsSizesError"


def test_grey_images_kept_as_one_channel_load_as_grey(tmp_path: Path) -> None:
    workspace = tiny.make(tmp_path / "native", channels="native")
    assert export.main(["--root", str(workspace.root)]) == 0
    load = f'load_dataset({str(workspace.export)!r}, "mammo_mass-contrast", split="test")'
    said = json.loads(as_stranger(f"{PRELUDE}\nprint(json.dumps(rows({load})))", tmp_path / "home"))
    assert said == expected(workspace, "mammo_mass-contrast", "test")
    assert said[0][-1] == [tiny.SIDE, tiny.SIDE]


@pytest.mark.slow
def test_an_export_loads_in_a_fresh_environment(exported: Path, tmp_path: Path) -> None:
    """Needs a package index."""
    workspace = Workspace(exported)
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    packages = [f"{name}=={version(name)}" for name in ("datasets", "Pillow")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
    load = f'load_dataset({str(workspace.export)!r}, "pbc", split="test")'
    said = as_stranger(f"{PRELUDE}\nprint(json.dumps(rows({load})))", tmp_path / "home", python=python)
    assert json.loads(said) == expected(workspace, "pbc", "test")

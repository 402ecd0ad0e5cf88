"""The texts of the repository: card, Croissant file, and what they say of where the images are from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import mlcroissant
import pytest
import yaml

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import export
from pipeline.hub import card
from pipeline.hub.build import Build, Dataset
from pipeline.io import npz
from pipeline.workspace import datasets
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import CleanManifest, CorruptionManifest
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny

# mlcroissant 1.1 itself reads with a class that rdflib calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")

SECTIONS = [
    "Use",
    "Structure",
    "Classes",
    "How it was made",
    "Where the images come from",
    "Licence",
    "Uses, and what it is not for",
    "Personal data",
    "Biases and limits",
    "Checksums",
    "Rebuild",
    "Changes",
    "Citation",
]


def card_of(workspace: Workspace) -> tuple[dict[str, Any], str]:
    """Return metadata and text of an export's card."""
    card = (workspace.export / "README.md").read_text()
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return an export that says that it is of MedIMeta, with a picture."""
    workspace = tiny.make(tmp_path_factory.mktemp("real"), source="medimeta")
    picture = workspace.root / "picture.png"
    picture.write_bytes(b"picture")
    assert export.main(["--root", str(workspace.root), "--gallery", str(picture)]) == 0
    return workspace


def test_the_metadata_describes_every_configuration_and_no_default(exported: Path) -> None:
    metadata, _ = card_of(Workspace(exported))
    names = [name for d in tiny.CLASSES for name in (d, f"{d}-clean", *(f"{d}-{c}" for c in CORRUPTIONS))]
    assert [config["config_name"] for config in metadata["configs"]] == names
    assert sorted(info["config_name"] for info in metadata["dataset_info"]) == sorted(names)
    assert not [config for config in metadata["configs"] if "default" in config]
    assert metadata["license"] == "mit"
    assert metadata["language"] == "en"
    assert metadata["size_categories"] == ["n<1K"]
    info = next(info for info in metadata["dataset_info"] if info["config_name"] == "pbc")
    cells = len(CORRUPTIONS) * len(SEVERITIES) + 1
    counts = {split["name"]: split["num_examples"] for split in info["splits"]}
    assert counts == {"validation": cells * tiny.COUNTS["val"], "test": cells * tiny.COUNTS["test"]}
    sizes = [path.stat().st_size for path in (Workspace(exported).export / "data" / "pbc").rglob("*.parquet")]
    assert info["download_size"] == sum(sizes)
    assert "&id" not in (Workspace(exported).export / "README.md").read_text().split("---\n")[1]


def test_the_seven_data_sets_have_63_configurations() -> None:
    corrupted = dict.fromkeys(CORRUPTIONS, cast(CorruptionManifest, None))
    sets = tuple(Dataset(name, cast(CleanManifest, None), corrupted) for name in datasets.DATASETS)
    assert len(Build(sets, "medimeta", 2025, "imagenet-c", 1).configs()) == 63


def test_a_phantom_says_in_title_and_first_line_that_it_is_synthetic(exported: Path) -> None:
    metadata, text = card_of(Workspace(exported))
    title, first = [line for line in text.splitlines() if line][:2]
    assert title.startswith("# ")
    assert "synthetic" in title
    assert "synthetic" in first
    assert "synthetic" in metadata["tags"]
    assert "synthetic" in metadata["pretty_name"]
    assert "No image is from these data sets" in text


def test_the_card_of_real_images_names_origins_licences_and_citations(real: Workspace) -> None:
    metadata, text = card_of(real)
    assert "synthetic" not in text
    assert re.findall("^## (.+)$", text, re.MULTILINE) == SECTIONS
    for dataset in tiny.CLASSES:
        known = datasets.card(dataset)
        for said in (known.origin.name, known.origin.url, known.origin.licence, known.origin.citation.strip()):
            assert said in text
        assert all(caveat in text for caveat in known.caveats)
    assert "0 benign; 1 malignant" in text
    assert f"![one image of each data set, clean and corrupted]({card.PICTURE})" in text
    assert (real.export / card.PICTURE).read_bytes() == b"picture"
    for change in datasets.changes():
        assert f"### {change.version} ({change.date})" in text
        assert all(f"- {sentence}" in text for sentence in change.changes)
    assert metadata["license"] == "cc-by-sa-4.0"
    assert metadata["source_datasets"] == ["extended|other-medimeta"]
    assert "Not for clinical decisions" in text
    assert "$" not in text


def test_the_card_opens_with_what_a_user_looks_for_first(real: Workspace) -> None:
    _, text = card_of(real)
    opening = text.split("\n## ")[0]
    for name in ("Homepage", "Code that made it", "Paper", "Contact", "Licence"):
        assert f"- **{name}:** " in opening
    assert "https://arxiv.org/abs/2505.15425" in opening
    assert f"https://huggingface.co/datasets/{card.REPO}/discussions" in opening


def test_the_card_has_every_parameter_of_a_rebuild(real: Workspace) -> None:
    _, text = card_of(real)
    (block,) = re.findall("```yaml\n(.*?)```", text, re.DOTALL)
    assert yaml.safe_load(block) == yaml.safe_load(real.params.read_text())


def test_a_rebuild_needs_no_data_set_of_another_source(tmp_path: Path) -> None:
    workspace = tiny.make(tmp_path, source="medimeta")
    params = yaml.safe_load(workspace.params.read_text())
    more = {"datasets": [*params["datasets"], "bloodmnist"], "sources": {"bloodmnist": "medmnist"}}
    workspace.params.write_text(yaml.safe_dump(params | more))
    assert export.main(["--root", str(workspace.root)]) == 0
    _, text = card_of(workspace)
    (block,) = re.findall("```yaml\n(.*?)```", text, re.DOTALL)
    assert yaml.safe_load(block) == params


def test_every_example_names_a_revision_and_a_filter_only_a_stream(real: Workspace) -> None:
    _, text = card_of(real)
    calls = re.findall(r"(?:load_dataset|hf_hub_download)\(.+\)", text)
    assert len(calls) == 5
    assert all('revision="TAG"' in call for call in calls)
    assert all("streaming=True" in call for call in calls if "filters" in call)


def test_the_severities_of_the_card_are_the_tables(real: Workspace) -> None:
    _, text = card_of(real)
    for corruption in CORRUPTIONS:
        (row,) = re.findall(rf"^\| {corruption} \|.*$", text, re.MULTILINE)
        cells = [cell.strip() for cell in row.split("|")[4:9]]
        for severity, cell in zip(SEVERITIES, cells, strict=True):
            for name, value in corruptions.strength(corruption, severity).parameters.items():
                assert name in cell
                assert str(value[-1] if isinstance(value, list) else value) in cell


@pytest.mark.parametrize("source", ["phantom", "medmnist", "imagefolder"])
def test_croissant_of_every_source_is_valid(source: str, tmp_path: Path) -> None:
    workspace = tiny.make(tmp_path, source=source)
    assert export.main(["--root", str(workspace.root)]) == 0
    issues = mlcroissant.Dataset(
        jsonld=json.loads((workspace.export / "croissant.json").read_text())
    ).metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings - {w for w in issues.warnings if source == "imagefolder" and "citeAs" in w}


def test_croissant_is_valid_by_mlcroissants_own_validator(real: Workspace) -> None:
    described = json.loads((real.export / "croissant.json").read_text())
    dataset = mlcroissant.Dataset(jsonld=described)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    assert {part.id for part in dataset.metadata.record_sets} >= set(tiny.CLASSES)
    assert dataset.metadata.ctx.is_v1_1()
    assert described["datePublished"] == str(datasets.changes()[0].date)
    assert described["license"] == "https://spdx.org/licenses/CC-BY-SA-4.0"
    said = {key for key in described if key.startswith("rai:")}
    assert said >= {"rai:dataUseCases", "rai:dataLimitations", "rai:dataBiases", "rai:personalSensitiveInformation"}


@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame:DeprecationWarning")  # mlcroissant's own, too
def test_croissant_gives_the_rows_and_the_class_names(real: Workspace) -> None:
    folder = real.export
    described = json.loads((folder / "croissant.json").read_text())
    dataset = mlcroissant.Dataset(jsonld=described, mapping={"repository": str(folder)})
    records = list(dataset.records("pbc"))
    assert len(records) == (len(CORRUPTIONS) * len(SEVERITIES) + 1) * sum(tiny.COUNTS.values())
    arrays = npz.read(real.npz(Cell("pbc", "test", "contrast", 2)))
    for record in records:
        wanted = (record["pbc/corruption"], record["pbc/severity"], record["pbc/split"]) == (b"contrast", 2, b"test")
        if wanted:
            index = record["pbc/index"]
            assert record["pbc/image"].tobytes() == arrays.images[index].tobytes()
            assert record["pbc/label"] == arrays.labels[index]
    names = [record["pbc-labels/name"] for record in dataset.records("pbc-labels")]
    assert names == tiny.CLASSES["pbc"]

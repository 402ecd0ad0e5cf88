"""The texts of the repository: card, Croissant file, and what they say of where the images are from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import mlcroissant
import pytest
import yaml

import corruptions
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import datasets, export
from pipeline.cell import Cell
from pipeline.hub import build, card
from pipeline.io import npz
from pipeline.paths import Workspace
from tests.pipeline.hub import workspace

# mlcroissant 1.1 itself reads with a class that rdflib calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")

SECTIONS = [
    "Use",
    "Structure",
    "Classes",
    "How it was made",
    "Where the images come from",
    "Uses, and what it is not for",
    "Personal data",
    "Biases and limits",
    "Checksums",
    "Rebuild",
    "Changes",
    "Citation",
]


def card_of(layout: Workspace) -> tuple[dict[str, Any], str]:
    """Return metadata and text of an export's card."""
    card = (build.export_folder(layout) / "README.md").read_text()
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return an export that says that it is of MedIMeta, with a picture and a changelog."""
    layout = workspace.make(tmp_path_factory.mktemp("real"), source="medimeta")
    (layout.root / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0 (2026-11-24)\n\n- The first version.\n")
    picture = layout.root / "picture.png"
    picture.write_bytes(b"picture")
    assert export.main(["--root", str(layout.root), "--gallery", str(picture)]) == 0
    return layout


def test_the_metadata_describes_every_configuration_and_no_default(exported: Path) -> None:
    metadata, _ = card_of(Workspace(exported))
    names = [name for d in workspace.CLASSES for name in (d, f"{d}-clean", *(f"{d}-{c}" for c in CORRUPTIONS))]
    assert [config["config_name"] for config in metadata["configs"]] == names
    assert sorted(info["config_name"] for info in metadata["dataset_info"]) == sorted(names)
    assert not [config for config in metadata["configs"] if "default" in config]
    assert metadata["license"] == "cc-by-sa-4.0"
    assert metadata["size_categories"] == ["n<1K"]
    info = next(info for info in metadata["dataset_info"] if info["config_name"] == "pbc")
    cells = len(CORRUPTIONS) * len(SEVERITIES) + 1
    counts = {split["name"]: split["num_examples"] for split in info["splits"]}
    assert counts == {"validation": cells * workspace.COUNTS["val"], "test": cells * workspace.COUNTS["test"]}
    sizes = [
        path.stat().st_size for path in (build.export_folder(Workspace(exported)) / "data" / "pbc").rglob("*.parquet")
    ]
    assert info["download_size"] == sum(sizes)
    assert "&id" not in (build.export_folder(Workspace(exported)) / "README.md").read_text().split("---\n")[1]


def test_the_seven_data_sets_have_63_configurations() -> None:
    sets = tuple(build.Dataset(name, {}, {}, None) for name in datasets.DATASETS)
    assert len(build.Build(sets).configs()) == 63


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
    for dataset in workspace.CLASSES:
        known = datasets.card(dataset)
        for said in (known.origin.name, known.origin.url, known.origin.licence, known.origin.citation.strip()):
            assert said in text
        assert all(caveat in text for caveat in known.caveats)
    assert "0 benign; 1 malignant" in text
    assert f"![one image of each data set, clean and corrupted]({card.PICTURE})" in text
    assert (build.export_folder(real) / card.PICTURE).read_bytes() == b"picture"
    assert "### 1.0.0 (2026-11-24)" in text
    assert metadata["source_datasets"] == ["extended|other-medimeta"]
    assert "Not for clinical decisions" in text
    assert "$" not in text


def test_the_severities_of_the_card_are_the_tables(real: Workspace) -> None:
    _, text = card_of(real)
    for corruption in CORRUPTIONS:
        (row,) = re.findall(rf"^\| {corruption} \|.*$", text, re.MULTILINE)
        cells = [cell.strip() for cell in row.split("|")[4:9]]
        for severity, cell in zip(SEVERITIES, cells, strict=True):
            for name, value in corruptions.strength(corruption, severity).parameters.items():
                assert name in cell
                assert str(value[-1] if isinstance(value, list) else value) in cell


def test_croissant_is_valid_by_mlcroissants_own_validator(real: Workspace) -> None:
    described = json.loads((build.export_folder(real) / "croissant.json").read_text())
    dataset = mlcroissant.Dataset(jsonld=described)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    assert {part.id for part in dataset.metadata.record_sets} >= set(workspace.CLASSES)


@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame:DeprecationWarning")  # mlcroissant's own, too
def test_croissant_gives_the_rows_and_the_class_names(real: Workspace) -> None:
    folder = build.export_folder(real)
    described = json.loads((folder / "croissant.json").read_text())
    dataset = mlcroissant.Dataset(jsonld=described, mapping={"repository": str(folder)})
    records = list(dataset.records("pbc"))
    assert len(records) == (len(CORRUPTIONS) * len(SEVERITIES) + 1) * sum(workspace.COUNTS.values())
    arrays = npz.read(real.npz(Cell("pbc", "test", "contrast", 2)))
    for record in records:
        wanted = (record["pbc/corruption"], record["pbc/severity"], record["pbc/split"]) == (b"contrast", 2, b"test")
        if wanted:
            index = record["pbc/index"]
            assert record["pbc/image"].tobytes() == arrays.images[index].tobytes()
            assert record["pbc/label"] == arrays.labels[index]
    names = [record["pbc-labels/name"] for record in dataset.records("pbc-labels")]
    assert names == workspace.CLASSES["pbc"]


def test_images_of_ones_own_are_published_under_no_licence_of_ours(tmp_path: Path) -> None:
    layout = workspace.make(tmp_path / "own", source="imagefolder")
    assert export.main(["--root", str(layout.root)]) == 0
    metadata, text = card_of(layout)
    assert metadata["license"] == "other"
    assert "whose they are and under which licence" in text

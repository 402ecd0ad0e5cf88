"""The cards against each other, the severity table and what is known of MedIMeta; and an eighth one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import corruptions
from corruptions.table import COLUMNS
from pipeline.errors import UserError
from pipeline.workspace import datasets
from pipeline.workspace.datasets import DATASETS, card, collection
from pipeline.workspace.paths import Workspace

PROJECT = Path(__file__).parents[3]


def test_every_data_set_of_the_table_has_a_card_and_nothing_else_has() -> None:
    assert set(DATASETS) == set(COLUMNS)


NEW_CARD = """
title: Dermatoscopic images
modality: dermatoscopy
grey: false
mirror: {horizontal: true, vertical: true}
classes: [nevus, melanoma]
classes_source: https://example.org/dataset_info.yaml
task: disease category
counts: {train: 6, val: 3, test: 3}
origin: {name: Skin, url: "https://example.org", licence: CC BY 4.0, citation: "@misc{skin}"}
caveats: [Of a few persons.]
"""


def test_adding_a_data_set_is_adding_a_card(tmp_path: Path) -> None:
    """Copy the project, add a card, and take the data set from MedIMeta's files to clean images and prompts."""
    for package in ("corruptions", "pipeline", "tests", "cards"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    (tmp_path / "cards" / "skin.yaml").write_text(NEW_CARD)
    params = (PROJECT / "params.yaml").read_text()
    lines = [line for line in params.splitlines() if not line.startswith(("datasets:", "source:", "counts:"))]
    counts = "counts: {train: 1, val: 1, test: 1, pretrain: 0, pretest: 0}"
    (tmp_path / "params.yaml").write_text("\n".join(["datasets: [skin]", "source: medimeta", counts, *lines]))
    code = """
from pathlib import Path
from pipeline import prepare
from pipeline.workspace import datasets, manifest
from pipeline.workspace.paths import Workspace
from tests.pipeline.sources.release import write_release
write_release(Path("data/raw/medimeta"), "skin")
assert prepare.main(["--dataset", "skin", "--workers", "1"]) == 0
clean = manifest.read_clean(Workspace(), "skin")
card = datasets.card_from("skin", clean.source)
print(*clean.class_names, clean.split("test").count, card.origin.name, datasets.modality("skin", clean.source), sep=";")
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "nevus;melanoma;3;Skin;dermatoscopy"


def test_a_card_is_only_of_the_images_that_it_speaks_of() -> None:
    assert (
        datasets.card_from("pneumonia", "medimeta") == datasets.card_from("pneumonia", "phantom") == card("pneumonia")
    )
    assert datasets.card_from("pneumonia", "imagefolder") is None
    assert datasets.origin("pneumonia", "imagefolder") is None
    assert datasets.origin("pneumoniamnist", "medmnist") == card("pneumonia").origin
    assert datasets.origin("breastmnist", "medmnist") is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("colour: red", "it has no 'colour'; have title, modality,"),
        ("mirror: {horizontal: true, vertical: true, both: true}", "mirror has no 'both'; have horizontal, vertical"),
        ("grey: 0", "grey must be true or false"),
    ],
)
def test_a_wrong_card_is_refused_in_a_sentence(
    wrong: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for line in NEW_CARD.splitlines() if line.split(":")[0] != wrong.split(":")[0]]
    (tmp_path / "pbc.yaml").write_text("\n".join([*lines, wrong]))
    monkeypatch.setattr(datasets, "folder", lambda: tmp_path)
    with pytest.raises(ValueError, match=said):
        datasets.card.__wrapped__("pbc")


def test_an_own_card_that_is_within_itself_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "own.yaml").write_text("mine: &mine {caveats: [*mine]}\n")
    with pytest.raises(UserError, match=r"own\.yaml, mine has .* a list that is within itself"):
        datasets.own_card(Workspace(tmp_path), "mine")


def test_the_newest_change_is_of_this_version() -> None:
    versions = datasets.changes()
    assert versions[0].version == corruptions.__version__
    assert [change.date for change in versions] == sorted((change.date for change in versions), reverse=True)


@pytest.mark.parametrize(
    ("dataset", "classes"),
    [
        ("mammo_calc", ("benign", "malignant")),
        ("mammo_mass", ("benign", "malignant")),
        ("fundus", ("normal", "abnormal")),
        ("oct", ("CNV", "DME", "DRUSEN", "NORMAL")),
        ("pneumonia", ("NORMAL", "BACTERIA", "VIRUS")),
    ],
)
def test_class_names_stand_in_medimetas_order(dataset: str, classes: tuple[str, ...]) -> None:
    assert card(dataset).classes == classes


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_card_is_complete(dataset: str) -> None:
    known = card(dataset)
    assert len(set(known.classes)) == len(known.classes) >= 2
    assert sorted(known.robustmedclip_order) == sorted(known.classes)
    assert set(known.counts) == {"train", "val", "test"}
    assert known.origin.licence.startswith("CC BY")
    assert known.origin.citation.startswith("@article{")
    assert known.origin.url.startswith("https://")
    assert known.caveats
    assert all(isinstance(caveat, str) for caveat in known.caveats)


def test_robustmedclip_orders_five_of_the_seven_differently() -> None:
    differ = {dataset for dataset in DATASETS if card(dataset).robustmedclip_order != card(dataset).classes}
    assert differ == {"fundus", "mammo_calc", "mammo_mass", "oct", "pbc"}


def test_the_whole_benchmark_has_32163_clean_images() -> None:
    assert sum(card(dataset).counts[split] for dataset in DATASETS for split in ("val", "test")) == 32163


def test_collections_name_their_licence() -> None:
    assert collection("medimeta").licence == "CC BY-SA 4.0"
    assert collection("medmnist").licence == "CC BY 4.0"


def test_unknown_names_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="no card for the data set 'bloodmnist'; have aml, fundus"):
        card("bloodmnist")
    with pytest.raises(ValueError, match="no collection 'imagenet'; have medimeta, medmnist"):
        collection("imagenet")


def test_a_set_of_the_same_images_has_the_same_modality() -> None:
    assert (
        datasets.modality("bloodmnist", "medmnist-c")
        == datasets.card("pbc").modality
        == datasets.modality("pbc", "phantom")
    )
    assert datasets.modality("breastmnist", "medmnist") == "breast ultrasound"
    assert datasets.modality("pbc", "imagefolder") == "medical imaging"

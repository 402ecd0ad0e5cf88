"""The cards against each other, the severity table and what is known of MedIMeta."""

import pytest

from corruptions.table import COLUMNS
from pipeline import datasets
from pipeline.datasets import DATASETS, card, collection


def test_every_data_set_of_the_table_has_a_card_and_nothing_else_has() -> None:
    files = {path.stem for path in datasets.folder().glob("*.yaml")}
    assert files == set(COLUMNS) | {"collections"}
    assert tuple(sorted(COLUMNS)) == DATASETS


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
    facts = card(dataset)
    assert facts.dataset == dataset
    assert len(set(facts.classes)) == len(facts.classes) >= 2
    assert sorted(facts.robustmedclip_order) == sorted(facts.classes)
    assert set(facts.counts) == {"train", "val", "test"}
    assert facts.origin.licence.startswith("CC BY")
    assert facts.origin.citation.startswith("@article{")
    assert facts.origin.url.startswith("https://")
    assert facts.caveats
    assert all(isinstance(caveat, str) for caveat in facts.caveats)


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
    assert datasets.modality("bloodmnist") == datasets.card("pbc").modality == datasets.modality("pbc")
    assert datasets.modality("breastmnist") == "breast ultrasound"
    assert datasets.modality("my-own") == "medical imaging"

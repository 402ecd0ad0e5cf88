"""Describe the parquet files in Croissant 1.1 (MLCommons), which data-set search engines and loaders read."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import mlcroissant as mlc
from datasets import ClassLabel, Image

from pipeline.hub.build import OWN, Build, Dataset
from pipeline.hub.card import REPO, USES, personal
from pipeline.io.parquet import features
from pipeline.workspace import datasets

_REPOSITORY = "repository"
_NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"  # what a git repository has in place of a SHA-256
_TERMS_OF_1_1 = {
    "arrayShape": "cr:arrayShape",
    "containedIn": "cr:containedIn",
    "description": {"@container": "@language"},
    "isArray": "cr:isArray",
    "name": {"@container": "@language"},
}
"""What Croissant 1.1 adds to the terms of 1.0, which is what mlcroissant 1.1 writes."""


def describe(build: Build) -> str:
    """Return croissant.json, valid by mlcroissant's own validator.

    Each data set is a record set with the parquet columns and ``split``; ``<dataset>-labels`` names its classes. The
    fields of the responsible-AI extension say what the card says.
    """
    repository = mlc.FileObject(
        id=_REPOSITORY,
        name=_REPOSITORY,
        description="The data-set repository on the Hugging Face Hub.",
        content_url=f"https://huggingface.co/datasets/{REPO}",
        encoding_formats=["git+https"],
        sha256=_NO_CHECKSUM,
    )
    files = [
        mlc.FileSet(
            id=f"{dataset.name}-files",
            name=f"{dataset.name}-files",
            description=f"The parquet files of {dataset.name}.",
            contained_in=[_REPOSITORY],
            encoding_formats=["application/x-parquet"],
            includes=[f"data/{dataset.name}/*/*.parquet"],
        )
        for dataset in build.datasets
    ]
    newest = datasets.changes()[0]
    caveats = [f"{dataset.name}: {caveat}" for dataset in build.datasets for caveat in dataset.caveats]
    metadata = mlc.Metadata(
        conforms_to=["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        name=re.sub(r"[^\w+]+", "-", build.title.partition(":")[0]),
        description=f"{build.title}: {', '.join(dataset.name for dataset in build.datasets)}, clean and under"
        f" {', '.join(build.corruptions)}.",
        url=f"https://huggingface.co/datasets/{REPO}",
        license=_licences(build),
        version=newest.version,
        date_published=datetime.datetime.combine(newest.date, datetime.time()),
        in_language=["en"],
        cite_as="\n".join(build.citations) or None,
        keywords=["medical", "robustness", "corruption", "image classification"],
        distribution=[repository, *files],
        record_sets=[part for dataset in build.datasets for part in (_labels(dataset), _records(dataset))],
        data_collection=_collection(build),
        data_collection_type=["Synthetic generation" if build.synthetic else "Secondary data analysis"],
        data_preprocessing_protocol=[
            "Images of 224 x 224 pixels of 8 bits; grey ones have their channel three times.",
            f"{len(build.corruptions)} corruptions at five severities, profile {build.profile}, seed {build.seed},"
            f" version {build.bytes_version} of their definition in integers.",
        ],
        data_use_cases=list(USES),
        data_limitations=caveats or None,
        data_biases=caveats or None,
        personal_sensitive_information=[personal(build)],
        data_release_maintenance_plan="Each version is a tag of the repository, and a tag never moves. Reports of"
        " errors and of images that should not be here go to the repository's discussions.",
    )
    described: dict[str, Any] = metadata.to_json()
    described["@context"] |= _TERMS_OF_1_1
    return json.dumps(described, indent=1, ensure_ascii=False, default=str) + "\n"


def _licences(build: Build) -> list[str]:
    """Return the licences: addresses of SPDX's pages, or of the owner's own, or their names."""
    if build.source != OWN:
        name = build.licence.replace(" ", "-")
        return [f"https://spdx.org/licenses/{name}"]
    cards = [dataset.own for dataset in build.datasets]
    return list(dict.fromkeys(card.license_link or card.license_name or card.license or "not stated" for card in cards))


def _collection(build: Build) -> str:
    if build.synthetic:
        return "Formulas drew the images; no person, microscope or scanner was involved."
    if build.source == OWN:
        return "Image files of their owner's; how they were collected is for the owner to say."
    collection = datasets.collection(build.source)
    origins = dict.fromkeys(dataset.origin.name for dataset in build.datasets if dataset.origin)
    return f"Taken unchanged from {collection.name} ({collection.url}), which has them from {', '.join(origins)}."


def _labels(dataset: Dataset) -> mlc.RecordSet:
    name = f"{dataset.name}-labels"
    return mlc.RecordSet(
        id=name,
        name=name,
        description=f"Class names of {dataset.name}.",
        data_types=["sc:Enumeration"],
        key=[f"{name}/label"],
        fields=[
            mlc.Field(id=f"{name}/label", name="label", data_types=mlc.DataType.INTEGER),
            mlc.Field(id=f"{name}/name", name="name", data_types=mlc.DataType.TEXT),
        ],
        data=[{f"{name}/label": label, f"{name}/name": text} for label, text in enumerate(dataset.clean.class_names)],
    )


def _records(dataset: Dataset) -> mlc.RecordSet:
    name, files = dataset.name, f"{dataset.name}-files"

    fields = []
    for key, feature in features(dataset.clean.class_names).items():
        source = mlc.Source(file_set=files, extract=mlc.Extract(column=key))
        kind = mlc.DataType.TEXT if feature.dtype == "string" else mlc.DataType.INTEGER
        if isinstance(feature, Image):
            kind, source.transforms = mlc.DataType.IMAGE_OBJECT, [mlc.Transform(json_path="bytes")]
        fields.append(mlc.Field(id=f"{name}/{key}", name=key, data_types=kind, source=source))
        if isinstance(feature, ClassLabel):
            fields[-1].references = mlc.Source(field=f"{name}-labels/label")
    split = mlc.Source(
        file_set=files,
        extract=mlc.Extract(file_property=mlc.FileProperty.fullpath),
        transforms=[mlc.Transform(regex=f"data/{name}/([^/]+)/.+parquet$")],
    )
    fields.append(mlc.Field(id=f"{name}/split", name="split", data_types=mlc.DataType.TEXT, source=split))
    return mlc.RecordSet(id=name, name=name, description=f"The images of {name}, one a row.", fields=fields)

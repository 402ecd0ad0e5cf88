"""Describe the parquet files in Croissant 1.1 (MLCommons), which data-set search engines and loaders read."""

from __future__ import annotations

import datetime
import json
from typing import Any

import mlcroissant as mlc

import corruptions
from pipeline import datasets
from pipeline.hub.build import Build, Dataset
from pipeline.hub.card import REPO
from pipeline.hub.metadata import licence

_REPOSITORY = "repository"
_NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"  # what a git repository has in place of a SHA-256
_TYPES = {
    "label": mlc.DataType.INTEGER,
    "corruption": mlc.DataType.TEXT,
    "severity": mlc.DataType.INTEGER,
    "index": mlc.DataType.INTEGER,
    "image_id": mlc.DataType.TEXT,
}


def describe(build: Build, published: str | None) -> str:
    """Return croissant.json, valid by mlcroissant's own validator; `published` is a date, such as 2026-11-24.

    Each data set is a record set with the parquet columns and ``split``; ``<dataset>-labels`` names its classes.
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
    title = "MediMeta-C phantom (synthetic)" if build.synthetic else "MediMeta-C"
    metadata = mlc.Metadata(
        name="MediMeta-C-phantom" if build.synthetic else "MediMeta-C",
        description=f"{title}: {', '.join(d.name for d in build.datasets)}, clean and under"
        f" {', '.join(corruptions.CORRUPTIONS)}.",
        url=f"https://huggingface.co/datasets/{REPO}",
        license=[f"https://spdx.org/licenses/{_spdx(build)}"],
        version=corruptions.__version__,
        date_published=datetime.datetime.fromisoformat(published) if published else None,
        cite_as=datasets.collection("medimeta").citation.strip(),
        keywords=["medical", "robustness", "corruption", "image classification"],
        distribution=[repository, *files],
        record_sets=[part for dataset in build.datasets for part in (_labels(dataset), _records(dataset))],
    )
    described: dict[str, Any] = metadata.to_json()
    return json.dumps(described, indent=1, ensure_ascii=False, default=str) + "\n"


def _spdx(build: Build) -> str:
    name = licence(build)
    return "NOASSERTION" if name == "other" else name.upper()


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
        data=[{f"{name}/label": label, f"{name}/name": text} for label, text in enumerate(dataset.class_names)],
    )


def _records(dataset: Dataset) -> mlc.RecordSet:
    name, files = dataset.name, f"{dataset.name}-files"

    def column(of: str, kind: str, **more: Any) -> mlc.Field:
        source = mlc.Source(file_set=files, extract=mlc.Extract(column=of), **more)
        return mlc.Field(id=f"{name}/{of}", name=of, data_types=kind, source=source)

    fields = [column("image", mlc.DataType.IMAGE_OBJECT, transforms=[mlc.Transform(json_path="bytes")])]
    fields += [column(of, kind) for of, kind in _TYPES.items()]
    fields[1].references = mlc.Source(field=f"{name}-labels/label")
    split = mlc.Source(
        file_set=files,
        extract=mlc.Extract(file_property=mlc.FileProperty.fullpath),
        transforms=[mlc.Transform(regex=f"data/{name}/([^/]+)/.+parquet$")],
    )
    fields.append(mlc.Field(id=f"{name}/split", name="split", data_types=mlc.DataType.TEXT, source=split))
    return mlc.RecordSet(id=name, name=name, description=f"The images of {name}, one a row.", fields=fields)

"""The metadata block of a card: what the Hub and `datasets` read of a repository."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import yaml
from datasets import DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from pipeline import datasets
from pipeline.cell import HUB_SPLITS
from pipeline.hub.build import Build, Dataset
from pipeline.io.parquet import features, shards_glob


def licence(build: Build) -> str:
    """Return the Hub's identifier of the build's licence."""
    if build.source == "imagefolder":
        return "other"
    named = datasets.collection(build.source if build.source != "phantom" else "medimeta").licence
    return named.lower().replace(" ", "-")


def metadata(build: Build, files: dict[str, dict[str, Any]], title: str) -> dict[str, Any]:
    """Return the metadata of a data-set card: a configuration for each data set, and for each corruption of it.

    `files` are the entries of metrics/export.json. There is no default configuration. `dataset_info` repeats the
    features, which overrule the files' own, so it is made by the library that reads it.
    """
    data = DatasetCardData(
        license=licence(build),
        pretty_name=title,
        task_categories=["image-classification", "zero-shot-image-classification"],
        size_categories=[_size_category(build.images)],
        source_datasets=[
            "original" if build.source in ("phantom", "imagefolder") else f"extended|other-{build.source}"
        ],
        tags=["medical", "robustness", "corruption", "benchmark", *(["synthetic"] if build.synthetic else [])],
        configs=[_config(name, dataset, corruption) for name, (dataset, corruption) in build.configs().items()],
    )
    DatasetInfosDict(
        {name: _info(files, dataset, corruption) for name, (dataset, corruption) in build.configs().items()}
    ).to_dataset_card_data(data)
    card: dict[str, Any] = data.to_dict()  # type: ignore[no-untyped-call]
    return card


def _config(name: str, dataset: Dataset, corruption: str | None) -> dict[str, Any]:
    paths = [{"split": split, "path": shards_glob(dataset.name, key, corruption)} for key, split in HUB_SPLITS.items()]
    return {"config_name": name, "data_files": paths}


def _info(files: dict[str, dict[str, Any]], dataset: Dataset, corruption: str | None) -> DatasetInfo:
    splits, download = SplitDict(), 0
    for split in HUB_SPLITS.values():
        prefix = f"data/{dataset.name}/{split}/" + (f"{corruption}_severity_" if corruption else "")
        entries = [entry for path, entry in files.items() if path.startswith(prefix)]
        download += sum(entry["size"] for entry in entries)
        splits.add(
            SplitInfo(
                name=split,
                num_bytes=sum(entry["raw"] for entry in entries),
                num_examples=sum(entry["rows"] for entry in entries),
            )
        )
    return DatasetInfo(
        features=features(dataset.class_names),
        splits=splits,
        download_size=download,
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )


def _size_category(images: int) -> str:
    limits = (("1K", 10**3), ("10K", 10**4), ("100K", 10**5), ("1M", 10**6), ("10M", 10**7))
    if images < limits[0][1]:
        return f"n<{limits[0][0]}"
    for (low, _), (high, limit) in pairwise(limits):
        if images < limit:
            return f"{low}<n<{high}"
    return f"n>{limits[-1][0]}"


def front_matter(data: dict[str, Any]) -> str:
    """Return metadata as the block that a card begins with."""
    text = yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n"


class _Plain(yaml.SafeDumper):
    """Writes equal values again instead of pointing to the first: the Hub's reader takes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

"""The cards of the Hub's repositories: one Jinja2 template each in ``cards/``, and the metadata at its head.

What others wrote (class names, titles, licences) is escaped for the form that it is written into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from corruptions.spec import SEVERITIES
from pipeline.config.params import Config
from pipeline.hub.build import NOT_STATED, OWN, Build, Dataset
from pipeline.hub.records import Entries, ParquetEntry, made_with
from pipeline.workspace import datasets
from pipeline.workspace.cell import HUB_SPLITS, RELEASED
from pipeline.workspace.datasets import OwnCard
from pipeline.workspace.manifest import StrengthEntry

REPO = "ORG/MediMeta-C"
"""Stands in the texts for the repository's name, which is known when they are published."""

CODE = "the checkout that publishes it"
"""Stands in the card for the address and the commit of the code, which are known when it is published."""

ADAPTER_REPO = "ORG/ADAPTER"
"""Stands in an adapter's card for its repository's name."""

PICTURE = "gallery.png"
"""Where the card's picture stands in the repository."""

USES = (
    "For measuring how much a classifier or a vision-language model loses when an image is noisy, blurred, badly"
    " exposed or coarse, and for comparing models and ways to adapt them. Report the clean score beside the corrupted"
    " ones, and every data set by itself before any mean.",
    "Not for clinical decisions: neither the data nor a model scored on it says that a device is fit for patients. The"
    " corruptions imitate what goes wrong in acquisition; they are no model of any scanner, and robustness to them is"
    " no proof of robustness elsewhere. Do not train on `test`.",
)
"""What the data are for, and what they are not for."""

_COLUMNS = {
    "image": "PNG, lossless; the pixels of the npz",
    "label": "position in the data set's class names",
    "corruption": "name, or `clean`",
    "severity": "1 to 5, or 0 for clean",
    "index": "position in the split: the same image in every cell, and in the npz",
    "image_id": "which image of the source it is",
}


def dataset_card(build: Build, config: Config, entries: Entries, *, checksum: str, picture: bool) -> str:
    """Return the README.md of a data-set repository.

    Args:
        build: what the repository holds.
        config: params.yaml, of which the card lists what a rebuild needs.
        entries: of metrics/export.json.
        checksum: SHA-256 of SHA256SUMS.
        picture: whether `PICTURE` is in the repository.
    """
    head = metadata(build, entries)
    features = {feature["name"]: feature["dtype"] for feature in head["dataset_info"][0]["features"]}
    body = (
        _environment()
        .get_template("dataset.md.j2")
        .render(
            build=build,
            names=", ".join(dataset.name for dataset in build.datasets),
            corruptions=build.corruptions,
            severities=SEVERITIES,
            splits=HUB_SPLITS,
            picture=PICTURE if picture else None,
            repo=REPO,
            code=CODE,
            example=build.datasets[-1].name,
            clean_images=sum(dataset.count(split) for dataset in build.datasets for split in RELEASED),
            columns=[
                (name, kind if isinstance(kind, str) else "class label", _COLUMNS[name])
                for name, kind in features.items()
            ],
            strength_groups=list(_strength_groups(build)),
            collection=None if build.synthetic or build.source == OWN else datasets.collection(build.source),
            modality=datasets.modality,
            uses=USES,
            personal=personal(build),
            caveats=[(dataset.name, caveat) for dataset in build.datasets for caveat in dataset.caveats],
            checksum=checksum,
            parameters=_parameters(build, config),
            packages=made_with(),
            changes=datasets.changes(),
        )
    )
    return front_matter(head) + "\n" + body


def adapter_card(
    name: str,
    *,
    base: str,
    facts: Mapping[str, str],
    base_model: str | None = None,
    licence: str = "other",
    citation: str = "",
    synthetic: bool = False,
) -> str:
    """Return the README.md of an adapter's model repository.

    Args:
        name: of the adapter.
        base: how the base model is called in a sentence.
        facts: rows of the card's table.
        base_model: the base's repository on the Hub, ``OWNER/NAME``, if it has one.
        licence: of the base; what is no identifier of a licence becomes ``other`` in the metadata.
        citation: of the base, in one line.
        synthetic: whether the adapter was tuned on synthetic images; title and first line say so.
    """
    head = {
        "library_name": "peft",
        "license": licence.lower() if re.fullmatch(r"[A-Za-z0-9.-]+", licence) else "other",
        **({"base_model": base_model} if base_model else {}),
        "tags": ["lora", "medical", "clip", "robustness", *(["synthetic"] if synthetic else [])],
    }
    body = _environment().get_template("adapter.md.j2")
    text = body.render(name=name, base=base, facts=facts, citation=citation, synthetic=synthetic, repo=ADAPTER_REPO)
    return front_matter(head) + "\n" + text


def personal(build: Build) -> str:
    """Return what the images tell of persons."""
    if build.synthetic:
        return "None: the images show nobody."
    if build.source == OWN:
        return (
            "The images are their owner's own; this project does not know whom they show. The names of their files,"
            " which may name a person or a date, are left out: `image_id` is a number. What cameras and scanners write"
            " into files (EXIF) is left out too. Do not try to identify anyone."
        )
    return (
        "The images are medical ones, published by their makers as de-identified; nothing that names a person was"
        " added, and `image_id` is the source's own numbering. Do not try to identify anyone. Tell the maintainers of"
        " an image that should not be here, and it will be left out of the next revision."
    )


def metadata(build: Build, entries: Entries) -> dict[str, Any]:
    """Return the metadata of a data-set card: a configuration for each data set, and for each corruption of it.

    There is no default configuration. `dataset_info` repeats the features, which overrule the files' own, so it is
    made by the library that reads it.
    """
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        language="en",
        **_license(build),
        pretty_name=build.title,
        task_categories=["image-classification", "zero-shot-image-classification"],
        size_categories=[_size_category(build.images)],
        source_datasets=["original" if build.synthetic or build.source == OWN else f"extended|other-{build.source}"],
        tags=["medical", "robustness", "corruption", "benchmark", *(["synthetic"] if build.synthetic else [])],
        configs=[_config(name, dataset, corruption) for name, (dataset, corruption) in build.configs().items()],
    )
    infos = {name: _info(entries, dataset, corruption) for name, (dataset, corruption) in build.configs().items()}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    head: dict[str, Any] = data.to_dict()  # type: ignore[no-untyped-call]
    return head


def front_matter(head: Mapping[str, Any]) -> str:
    """Return metadata as the block that a card begins with."""
    text = yaml.dump(dict(head), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n"


def escaped(text: object) -> str:
    """Return text on one line that Markdown shows as it is, in a paragraph or a table."""
    line = " ".join(re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", str(text)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)


class _WithoutAliases(yaml.SafeDumper):
    """Writes equal values again instead of pointing to the first: the Hub's reader takes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(datasets.folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "text": escaped,
        "stated": lambda value: escaped(value or NOT_STATED),
        "code": _fenced,
        "span": _span,
        "licence_line": _licence_line,
    }
    environment.filters |= filters
    return environment


def _fenced(text: str) -> str:
    """Return text that cannot end a block of code."""
    return text.replace("```", "'''")


def _span(value: Any) -> str:
    return f"{value[0]} to {value[-1]} ({len(value)})" if isinstance(value, list) else str(value)


def _licence_line(own: OwnCard) -> str:
    name = escaped(own.license_name or own.license or NOT_STATED)
    return f"{name} ({escaped(own.license_link)})" if own.license_link else name


def _license(build: Build) -> dict[str, Any]:
    """Return the licence in the Hub's terms."""
    if build.source != OWN:
        return {"license": build.licence.lower().replace(" ", "-")}
    cards = [dataset.own for dataset in build.datasets]
    if len({(card.license, card.license_name, card.license_link) for card in cards}) > 1:
        return {"license": "other", "license_name": "by-data-set", "license_link": "#licence"}
    card = cards[0]
    if card.license in (None, "other"):
        link = {"license_link": card.license_link} if card.license_link else {}
        return {"license": "other", "license_name": card.license_name or "not-stated", **link}
    return {"license": card.license}


def _strength_groups(build: Build) -> Iterator[tuple[str, tuple[StrengthEntry, ...], str]]:
    """Yield each corruption's strengths and the data sets that share them."""
    for corruption in build.corruptions:
        having = [dataset for dataset in build.datasets if corruption in dataset.corrupted]
        groups: list[tuple[tuple[StrengthEntry, ...], list[str]]] = []
        for dataset in having:
            strengths = dataset.corrupted[corruption].strengths
            names = next((names for known, names in groups if known == strengths), None)
            if names is None:
                groups.append((strengths, [dataset.name]))
            else:
                names.append(dataset.name)
        for strengths, names in groups:
            yield corruption, strengths, "all" if len(names) == len(build.datasets) else ", ".join(names)


def _config(name: str, dataset: Dataset, corruption: str | None) -> dict[str, Any]:
    shards = f"{corruption}_severity_*" if corruption else "*"
    paths = [{"split": split, "path": f"data/{dataset.name}/{split}/{shards}.parquet"} for split in HUB_SPLITS.values()]
    return {"config_name": name, "data_files": paths}


def _info(entries: Entries, dataset: Dataset, corruption: str | None) -> Any:
    """Return the `datasets.DatasetInfo` of a configuration."""
    from datasets import DatasetInfo, SplitDict, SplitInfo

    from pipeline.io.parquet import features

    splits, download = SplitDict(), 0
    for split in HUB_SPLITS.values():
        prefix = f"data/{dataset.name}/{split}/" + (f"{corruption}_severity_" if corruption else "")
        shards = [e for path, e in entries.items() if path.startswith(prefix) and isinstance(e, ParquetEntry)]
        download += sum(shard.size for shard in shards)
        splits.add(
            SplitInfo(
                name=split,
                num_bytes=sum(shard.raw for shard in shards),
                num_examples=sum(shard.rows for shard in shards),
            )
        )
    return DatasetInfo(
        features=features(dataset.clean.class_names),
        splits=splits,
        download_size=download,
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )


def _parameters(build: Build, config: Config) -> str:
    """Return what a rebuild of this repository needs of params.yaml: data sets of other sources are in others."""
    kept = config.model_dump(mode="json", exclude={"sources", "hub", "benchmark"}, exclude_defaults=True)
    return yaml.safe_dump(kept | {"datasets": [dataset.name for dataset in build.datasets]}, sort_keys=False)


def _size_category(images: int) -> str:
    limits = (("1K", 10**3), ("10K", 10**4), ("100K", 10**5), ("1M", 10**6), ("10M", 10**7))
    if images < limits[0][1]:
        return f"n<{limits[0][0]}"
    for (low, _), (high, limit) in pairwise(limits):
        if images < limit:
            return f"{low}<n<{high}"
    return f"n>{limits[-1][0]}"

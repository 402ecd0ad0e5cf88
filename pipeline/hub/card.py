"""The cards of the Hub's repositories: one template each in ``cards/``, filled from facts on disk alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import Template
from typing import Any

import yaml
from datasets import Value

from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import datasets
from pipeline.cell import HUB_SPLITS, RELEASED
from pipeline.hub.build import Build, Dataset
from pipeline.hub.metadata import front_matter, metadata
from pipeline.io.parquet import features
from pipeline.manifest import StrengthEntry

REPO = "ORG/MediMeta-C"
"""Stands in the texts for the repository's name, which is known when they are published."""

PICTURE = "gallery.png"
"""Where the card's picture stands in the repository."""

_PARQUET_COLUMNS = (
    ("image", "PNG, lossless; the pixels of the npz"),
    ("label", "position in the data set's class names"),
    ("corruption", "name, or `clean`"),
    ("severity", "1 to 5, or 0 for clean"),
    ("index", "position in the split: the same image in every cell, and in the npz"),
    ("image_id", "which image of the source it is"),
)


def dataset_card(build: Build, files: dict[str, dict[str, Any]], *, sums: str, picture: bool, changelog: str) -> str:
    """Return the README.md of a data-set repository.

    `files` are the entries of metrics/export.json, `sums` is the SHA-256 of SHA256SUMS.
    """
    title = "MediMeta-C phantom: synthetic images" if build.synthetic else "MediMeta-C"
    seven = [dataset.card for dataset in build.datasets if dataset.card]
    body = Template((datasets.folder() / "dataset.md").read_text(encoding="utf-8")).substitute(
        title=title,
        opening=_opening(build),
        picture=f"![one image of each data set, clean and corrupted]({PICTURE})" if picture else "",
        repo=REPO,
        example=build.datasets[-1].name,
        dataset_count=len(build.datasets),
        corruption_count=len(CORRUPTIONS),
        severity_count=len(SEVERITIES),
        clean_images=f"{sum(d.count(split) for d in build.datasets for split in RELEASED):,}",
        images=f"{build.images:,}",
        config_count=len(build.configs()),
        columns=_table(("column", "type", "meaning"), _columns(build.datasets[0])),
        counts=_table(("data set", *HUB_SPLITS.values(), "channels of the source"), map(_counts, build.datasets)),
        classes=_table(("data set", "classes, from label 0"), map(_classes, build.datasets)),
        creation=_creation(build),
        strengths=_table(("corruption", "kernel", "data sets", *map(str, SEVERITIES), "from"), _strengths(build)),
        sources=_sources(build),
        personal=_personal(build),
        caveats=_caveats(build, seven),
        sums=sums,
        changelog=_demoted(changelog) or "This is the first version.",
        citations="\n".join(_citations(seven)),
        **build.settings,
    )
    return front_matter(metadata(build, files, title)) + "\n" + body


def adapter_card(
    name: str,
    config: dict[str, Any],
    record: dict[str, Any],
    metadata: dict[str, Any],
    files: Iterable[str],
    *,
    synthetic: bool,
) -> str:
    """Return the README.md of an adapter's model repository.

    `config` is PEFT's adapter_config.json, `record` the tune.json of an adapter that was tuned here, or empty, and
    `metadata` what the card in its folder says of base and licence. One tuned on synthetic images says so in its
    title and its first line.
    """
    base = metadata.get("base_model") or record.get("base") or config.get("base_model_name_or_path") or "its base model"
    opening = f"A low-rank adapter for the image tower of {base}."
    if synthetic:
        opening = f"Tuned on synthetic images, drawn by formulas, and on no real ones. {opening}"
    body = Template((datasets.folder() / "adapter.md").read_text(encoding="utf-8")).substitute(
        title=name + (": tuned on synthetic images" if synthetic else ""),
        opening=opening,
        repo=REPO,
        base=base,
        facts=_table(("fact", "value"), _adapter_facts(config, record)),
        files=_bullets(f"`{file}`" for file in sorted(files)),
    )
    tags = ["lora", "medical", "robustness", *(["synthetic"] if synthetic else [])]
    told = {"library_name": "peft", "license": metadata.get("license", "other"), "tags": tags}
    if "/" in base:
        told["base_model"] = base
    return front_matter(told) + "\n" + body


def head(card: str) -> dict[str, Any]:
    """Return the metadata block of a card; empty if it has none."""
    parts = card.split("---\n", 2)
    found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    return found if isinstance(found, dict) else {}


def _adapter_facts(config: dict[str, Any], record: dict[str, Any]) -> Iterable[Sequence[str]]:
    yield "rank, alpha", f"{config.get('r')}, {config.get('lora_alpha')}"
    if "parameters" in record:
        yield "trained parameters", f"{record['parameters']:,}"
    if "shots" in record:
        images = ", ".join(f"{dataset} {len(indices)}" for dataset, indices in record["shots"].items())
        yield "images it was tuned on", images
    if "corruptions" in record:
        yield "corruptions it has seen", ", ".join(record["corruptions"]) or "none"
    for line in record.get("history", ()):
        if line.get("epoch") == record.get("best_epoch") and "validation" in line:
            yield f"validation accuracy of the epoch kept, {line['epoch']}", f"{line['validation']:.1%}"
    for key, value in sorted(record.get("settings", {}).items()):
        yield key, str(value)


def _opening(build: Build) -> str:
    names = ", ".join(dataset.name for dataset in build.datasets)
    cells = f"{len(CORRUPTIONS)} corruptions ({', '.join(CORRUPTIONS)}) at {len(SEVERITIES)} severities"
    if build.synthetic:
        return (
            "These images are synthetic: formulas drew them, and no patient, microscope or scanner was involved."
            f" They stand in for the data sets {names}, under {cells}, so that code can be tried where the real"
            " images may not go. A score on them says nothing of medical images."
        )
    return f"A robustness benchmark of medical images: {names}, each clean and under {cells}."


def _columns(dataset: Dataset) -> Iterable[Sequence[str]]:
    kinds = features(dataset.class_names)
    for name, meaning in _PARQUET_COLUMNS:
        kind = kinds[name]
        yield f"`{name}`", kind.dtype if isinstance(kind, Value) else type(kind).__name__, meaning


def _counts(dataset: Dataset) -> Sequence[str]:
    channels = {1: "1 (grey)", 3: "3 (colour)"}[dataset.clean.native_channels]
    stored = "" if dataset.clean.channels == dataset.clean.native_channels else ", stored as 3"
    return dataset.name, *(f"{dataset.count(split):,}" for split in HUB_SPLITS), channels + stored


def _classes(dataset: Dataset) -> Sequence[str]:
    return dataset.name, "; ".join(f"{label} {name}" for label, name in enumerate(dataset.class_names))


def _creation(build: Build) -> str:
    made = {
        "phantom": "The clean images are drawn by formulas (source `phantom`).",
        "medimeta": "The clean images are MedIMeta's, unchanged: 224 x 224 pixels, its splits and its labels.",
        "medmnist": "The clean images are MedMNIST+'s, unchanged: 224 x 224 pixels, its splits and its labels.",
        "imagefolder": "The clean images are from folders of image files, brought to 224 x 224 pixels.",
    }[build.source]
    shared = build.settings
    return (
        f"{made} Each was corrupted in the profile `{shared['profile']}` with seed {shared['seed']}, by version"
        f" {shared['bytes_version']} of the corruptions' definition."
    )


def _strengths(build: Build) -> Iterable[Sequence[str]]:
    for corruption in CORRUPTIONS:
        alike: list[tuple[tuple[StrengthEntry, ...], list[str]]] = []
        for dataset in build.datasets:
            strengths = dataset.corrupted[corruption].strengths
            names = next((names for known, names in alike if known == strengths), None)
            if names is None:
                alike.append((strengths, [dataset.name]))
            else:
                names.append(dataset.name)
        for levels, names in alike:
            where = "all" if len(names) == len(build.datasets) else ", ".join(names)
            values = [", ".join(f"{k} {_span(v)}" for k, v in level.parameters.items()) for level in levels]
            yield corruption, f"`{levels[0].kernel}`", where, *values, levels[0].source


def _span(value: Any) -> str:
    return f"{value[0]} to {value[-1]} ({len(value)})" if isinstance(value, list) else str(value)


def _sources(build: Build) -> str:
    known = [dataset for dataset in build.datasets if dataset.card]
    if build.source == "imagefolder" or not known:
        return "From folders of image files; whoever publishes this says here whose they are and under which licence."
    rows = [
        (d.name, d.card.title, f"[{d.card.origin.name}]({d.card.origin.url})", d.card.origin.licence)
        for d in known
        if d.card
    ]
    table = _table(("data set", "what it shows", "origin", "licence of the origin"), rows)
    if build.synthetic:
        return f"No image is from these data sets: their look and their classes were the model.\n\n{table}"
    through = datasets.collection(build.source)
    return f"All come through [{through.name}]({through.url}), {through.licence}.\n\n{table}"


def _personal(build: Build) -> str:
    if build.synthetic:
        return "None: the images show nobody."
    return (
        "The images are medical ones, published by their makers as de-identified; nothing that names a person was"
        " added, and `image_id` is the source's own numbering. Do not try to identify anyone. Tell the maintainers of"
        " an image that should not be here, and it will be left out of the next revision."
    )


def _caveats(build: Build, seven: Sequence[datasets.Card]) -> str:
    known = _bullets(f"{card.dataset}: {caveat}" for card in seven for caveat in card.caveats)
    if not known:
        return "None are known to this project; whoever publishes this says here what they know."
    if build.synthetic:
        return f"What is known of the real data sets, which these images only resemble:\n\n{known}"
    return known


def _citations(seven: Sequence[datasets.Card]) -> list[str]:
    collected = [datasets.collection("medimeta").citation, *(card.origin.citation for card in seven)]
    return [text.strip() for text in dict.fromkeys(collected)]


def _demoted(text: str) -> str:
    """Return a changelog without its title, with headings one level further down."""
    lines = [f"#{line}" if line.startswith("##") else line for line in text.splitlines() if not line.startswith("# ")]
    return "\n".join(lines).strip()


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)

"""What was scored: every model's weights, settings, prompts and versions, as the record of its predictions has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from benchmark.data.prompts import ClosedSet
from benchmark.prediction.records import FileDescription, PredictionRecord
from benchmark.reporting.tables import Column, Entry, Table, number, slug
from benchmark.scoring.records import ScoresRecord
from benchmark.tuning.records import ProbeSummary, TuningSummary

COLUMNS = (Column("What", is_text=True), Column("Value", is_text=True))


def model_table(name: str, title: str, record: PredictionRecord) -> Table:
    """Return all that the record says, but for the prompts."""
    known = record.model
    lines = [
        ("Base", record.base or known.base or "itself"),
        ("Architecture", known.architecture),
        ("Paper", known.citation),
        ("Licence", known.licence),
        ("Image tower, SHA-256", record.weights_sha256),
        *(("File", _file(file)) for file in known.files),
        ("Images", known.preprocessing),
        ("Prompts", f"at most {known.context_length} tokens" if known.context_length else ""),
        ("Logit scale", f"{record.logit_scale:.4g}" + (f", bias {record.logit_bias:.4g}" if record.logit_bias else "")),
        *(_tuning(record.tuning) if record.tuning else ()),
        *(_probe(record.probe) if record.probe else ()),
        *(("Question", p.questions[0]) for p in list(record.prompts.values())[:1] if isinstance(p, ClosedSet)),
        ("Device", record.device),
        ("Versions", _named(record.versions)),
        ("Remarks", known.notes),
    ]
    return _table(slug("model", name), title, lines)


def prompts_table(record: PredictionRecord) -> Table:
    """Return the sentences of every data set's classes: the first template's of all, and the number of templates."""
    lines = [
        (
            f"{dataset} ({prompts.templates}, {len(prompts.sentences[0])} a class)",
            "; ".join(f"“{sentences[0]}”" for sentences in prompts.sentences),
        )
        for dataset, prompts in record.prompts.items()
    ]
    return _table(slug("prompts"), "Prompts", lines)


def data_sets_table(scores: ScoresRecord) -> Table:
    """Return the scored split of every data set: its source, size and checksum."""
    rows = [
        [
            Entry(name),
            Entry(d.modality),
            Entry(d.source),
            Entry(number(d.seed, "d")),
            Entry(f"{d.count:,}"),
            Entry(d.images),
        ]
        for name, d in scores.datasets.items()
    ]
    text = [Column(word, is_text=True) for word in ("Data set", "Modality", "Source", "Images, SHA-256")]
    return Table(slug("data-sets"), "Data sets", [*text[:3], Column("Seed"), Column("Images"), text[3]], rows)


def _table(name: Markup, title: str, lines: list[tuple[str, str]]) -> Table:
    return Table(name, title, COLUMNS, [[Entry(what), Entry(value)] for what, value in lines if value])


def _file(file: FileDescription) -> str:
    source = f"{file.repo} at {file.revision}" if file.repo else file.origin or "a local folder"
    return f"{file.name} of {source}" + (f", SHA-256 {file.sha256}" if file.sha256 else "")


def _tuning(tuning: TuningSummary) -> Iterator[tuple[str, str]]:
    yield "Tuned", _named(tuning.settings.model_dump())
    yield "Shots", _named(tuning.shots)
    yield "Parameters trained", f"{tuning.parameters:,}"
    yield "Corruptions seen", ", ".join(tuning.corruptions) or "none"
    yield "Kept", tuning.kept()


def _probe(probe: ProbeSummary) -> Iterator[tuple[str, str]]:
    choice = "no image was left to choose on"
    if probe.chosen_on is not None:
        choice = f"chosen on {probe.chosen_on}"
    yield "Probe", {"linear": "logistic regression", "means": "nearest class mean"}[probe.probe.head]
    yield f"Shots of {probe.split}", _named(probe.shots)
    yield "Strength", f"{_named(probe.strengths)}; {choice}"


def _named(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())

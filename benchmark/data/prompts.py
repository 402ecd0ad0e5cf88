"""Class names to sentences: one set of templates, for tuning and for scoring.

Names are never typed here. They come in label order from manifests/<dataset>/clean.json, which has them from the
source; the modality comes from the data set's card, and so does the order that RobustMedCLIP's code gives the names.
"""

from __future__ import annotations

import re

from pipeline.errors import UserError
from pipeline.io.records import Record
from pipeline.workspace import datasets, manifest
from pipeline.workspace.paths import Workspace

TEMPLATES = {
    "single": ("a medical image of {class}, {modality}",),
    "ensemble": (
        "a medical image of {class}, {modality}",
        "{modality} showing {class}",
        "a {modality} image of {class}",
        "this is a case of {class}, seen by {modality}",
        "an example of {class} in {modality}",
    ),
    "robustmedclip": ("a medical image of a {class} belonging to {dataset}",),
    "robustmedclip-tuning": ("a medical image of {class} belonging to {dataset}",),
}
"""Sets by name; of an ensemble the unit-length features of the sentences are averaged and brought to unit length.

The last two are BioMedIA-MBZUAI/RobustMedCLIP's, evaluate.py (default of ``--prompt_template``) and dataset.py
(`setup_class_prompts`). With them names stand as they are, in that code's order.
"""

QUESTION = (
    "This is a medical image: {modality}. Which of the following does it show?\n{choices}\n"
    "Answer with one of these lines, and nothing else."
)
"""Of generative models. The answer is the name itself, since letters before the choices have a bias of their own."""


class Prompts(Record):
    """The sentences of one data set.

    Attributes:
        dataset: its name.
        class_names: in label order, as the source has them, or as RobustMedCLIP's code orders them.
        modality: as its card has it.
        templates: name of the set in `TEMPLATES`.
        sentences: of each class, in label order.
    """

    dataset: str
    class_names: tuple[str, ...]
    modality: str
    templates: str
    sentences: tuple[tuple[str, ...], ...]


class ClosedSet(Prompts):
    """What a generative model is asked about one data set: `sentences` are the answers, one a class.

    Attributes:
        questions: in as many orders as there are classes, so that each stands in each place once.
    """

    questions: tuple[str, ...]


def prompts(workspace: Workspace, dataset: str, *, templates: str = "ensemble") -> Prompts:
    """Return the prompts of `dataset`; UserError if there is no such set of templates, or no manifest yet."""
    clean = manifest.read_clean(workspace, dataset)
    return prompts_of(dataset, clean.class_names, clean.source, templates=templates)


def prompts_of(dataset: str, names: tuple[str, ...], source: str, *, templates: str = "ensemble") -> Prompts:
    """Return the prompts of a data set with the classes `names`; UserError if there is no such set of templates."""
    if templates not in TEMPLATES:
        raise UserError(f"no templates {templates!r}; have {', '.join(TEMPLATES)}")
    modality = datasets.modality(dataset, source)
    words = tuple(readable(name) for name in names)
    if templates.startswith("robustmedclip"):
        names = words = datasets.robustmedclip_order(dataset, names)
    sentences = tuple(
        tuple(t.format(**{"class": word, "modality": modality, "dataset": dataset}) for t in TEMPLATES[templates])
        for word in words
    )
    return Prompts(dataset=dataset, class_names=names, modality=modality, templates=templates, sentences=sentences)


def closed_set(workspace: Workspace, dataset: str) -> ClosedSet:
    """Return the question of `dataset` that generative models are asked; UserError if it has no manifest yet."""
    clean = manifest.read_clean(workspace, dataset)
    modality, answers = datasets.modality(dataset, clean.source), [readable(name) for name in clean.class_names]
    orders = [answers[k:] + answers[:k] for k in range(len(answers))]
    return ClosedSet(
        dataset=dataset,
        class_names=clean.class_names,
        modality=modality,
        templates="question",
        sentences=tuple((answer,) for answer in answers),
        questions=tuple(QUESTION.format(modality=modality, choices="\n".join(order)) for order in orders),
    )


def readable(name: str) -> str:
    """Return a class name as it stands in a sentence: "BAS Basophil" as "basophil", DRUSEN as "drusen", CNV as it is.

    A leading three-letter code before its own meaning (aml) goes; a word of four or more capitals is put in small ones.
    """
    name = re.sub(r"^[A-Z]{3} (?=[A-Z])", "", name.replace("_", " "))
    return re.sub(r"\b[A-Z]{4,}\b|\b[A-Z][a-z]+\b", lambda word: word.group().lower(), name)

"""What is known of a model before its weights are read: one frozen record a model, every number with its source."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

_COMMIT = re.compile(r"[0-9a-f]{40}")


class ModelError(ValueError):
    """A model, its weights or its packages are not there or not what they should be; one sentence says what to do."""


@dataclass(frozen=True)
class File:
    """One file of a model.

    Attributes:
        name: the file's name, in a local folder and in the Hub repository.
        sha256: of the whole file; None where nobody has published it, which docs/models.md says.
        repo: Hub repository, ``owner/name``; None where the file is only ever local.
        revision: commit of `repo`, 40 hexadecimal digits.
        otherwise: name of the file that is taken where `name` is not there, as older repositories have it.
        url: where a person finds the file, if it is not on the Hub.
    """

    name: str
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None
    otherwise: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if self.repo is not None and not _COMMIT.fullmatch(self.revision or ""):
            raise ModelError(
                f"{self.repo} needs a pinned revision, the 40 hexadecimal digits of a commit, not {self.revision!r}"
            )


@dataclass(frozen=True)
class View:
    """How a model wants to see an image: what happens between uint8 pixels and the tensor that its tower takes.

    Attributes:
        size: height and width of the tower's input, pixels.
        mean, std: of each channel, of values scaled to 0..1.
        interpolation: of the resize, antialiased.
        resize: ``shortest`` brings the shorter side to `size` and crops the centre; ``squash`` brings both sides to it;
            ``pad`` puts the image in the middle of a black square first.
        grey: take the luma before anything else (Pillow's ``L``) and repeat it three times.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest", "squash", "pad"] = "shortest"
    grey: bool = False


@dataclass(frozen=True)
class Bert:
    """Size of a BERT text encoder and how its tokenizer reads.

    Attributes:
        vocabulary: rows of the table of word vectors, if no weights say otherwise.
        width, layers: of the encoder; heads are 64 wide.
        lowercase: whether text is lowercased before it is cut into words.
    """

    vocabulary: int
    width: int
    layers: int
    lowercase: bool = True


@dataclass(frozen=True)
class Record:
    """One model.

    Attributes:
        name: what params.yaml and the command line call it.
        title: what tables and figures call it.
        family: module of `benchmark.models` that builds it.
        architecture: the family's own name of it.
        files: every file that it is made from, the weights first.
        view: its preprocessing.
        context_length: tokens of a prompt at most; longer ones are cut.
        embedding: length of its feature vectors.
        lora_targets: modules of its image tower that LoRA is put on: a regular expression over their whole names.
        bert: its text encoder, if that is one.
        base: the record whose towers this one is an adapter on.
        licence: of the weights, an SPDX name where there is one.
        citation: the paper, in one line.
        sources: where the numbers above come from.
        notes: what a reader of the table should know, in a sentence.
    """

    name: str
    title: str
    family: str
    architecture: str
    files: tuple[File, ...]
    view: View
    context_length: int
    embedding: int
    lora_targets: str
    licence: str
    citation: str
    sources: tuple[str, ...]
    bert: Bert | None = None
    base: str | None = None
    notes: str = ""

    def but(self, **changes: object) -> Record:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

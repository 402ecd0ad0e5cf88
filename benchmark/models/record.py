"""What is known of a model before its weights are read; importing this imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.errors import UserError
from pipeline.io.records import Record
from pipeline.text import COMMIT

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""openai/CLIP, clip/clip.py, `_transform`; BiomedCLIP's open_clip_config.json and UniMedCLIP's transform.py agree."""

RESBLOCK_ATTENTION = r"transformer\.resblocks\.\d+\.attn"
"""open_clip's ViT: PEFT puts LoRA on the joint q, k, v matrix and on the output of every block's attention."""

ATTENTION = r".*\.(self_attn|attention\.self)\.(q_proj|k_proj|v_proj|query|key|value)"
"""Towers of transformers: q, k and v of every layer's attention."""


Commit = Annotated[str, Field(pattern=f"^{COMMIT}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Channels = tuple[float, float, float]
Kind = Literal["zero-shot", "generative", "encoder"]


class ModelFile(Record):
    """One file of a model.

    Attributes:
        name: the file's name, in a local folder and in the Hub repository.
        sha256: of the whole file; None if nobody has published it, which docs/models.md says.
        repo: Hub repository, ``owner/name``; None if the file is not on the Hub.
        revision: commit of `repo`.
        older_name: file that is read if `name` is not there, as in older repositories.
        origin: where a file comes from that is not on the Hub: an address, or the command that makes it.
    """

    name: str
    sha256: Sha256 | None = None
    repo: str | None = None
    revision: Commit | None = None
    older_name: str | None = None
    origin: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.repo is None) != (self.revision is None):
            raise ValueError("a repository needs a pinned revision, and a revision its repository")
        return self


class Preprocessing(Record):
    """What happens between uint8 pixels and the tensor that an image tower takes.

    Attributes:
        size: height and width of the tower's input, pixels.
        mean, std: of each channel, of values scaled to 0..1.
        interpolation: of the resize, antialiased.
        resize: ``shortest`` brings the shorter side to `resized`, ``squash`` both sides; ``pad`` puts the image in the
            middle of a black square first; ``none`` leaves it as it is; ``processor`` leaves all of this to the image
            processor that comes with the model, whose images are about `size` pixels.
        resized: pixels that the resize brings to, of which the centre is cropped to `size`; `size` if not given.
        library: with ``processor``, which one that is, and what it is told; mean and deviation are then what it comes
            down to for images of the tower's own size.
        grey: take the luma before anything else (Pillow's ``L``) and repeat it three times.
    """

    size: Annotated[int, Field(ge=1)]
    mean: Channels
    std: Channels
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest", "squash", "pad", "none", "processor"] = "shortest"
    resized: Annotated[int, Field(ge=1)] | None = None
    grey: bool = False
    library: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.resized is not None and self.resized < self.size:
            raise ValueError(f"a resize to {self.resized} pixels leaves nothing to crop {self.size} from")
        return self

    def in_words(self) -> str:
        """Return all of it in one line, for tables."""
        if self.resize == "processor":
            processor = self.library or "the model's own processor"
            return f"{self.size} px, by {processor}"
        to = f" to {self.resized}" if self.resized is not None else ""
        steps = {"shortest": f"shorter side{to}", "squash": f"both sides{to}", "pad": "on a black square"}
        fit = steps.get(self.resize, "not resized")
        if self.resize in ("shortest", "none") or to:
            fit += ", centre crop"
        colour = "grey, " if self.grey else ""
        if self.mean == (0, 0, 0) and self.std == (1, 1, 1):
            values = "values 0 to 1"
        else:
            values = f"mean {_in_words(self.mean)}, sd {_in_words(self.std)}"
        return f"{colour}{self.size} px {self.interpolation}, {fit}; {values}"


def _in_words(channels: Channels) -> str:
    distinct = channels[:1] if len(set(channels)) == 1 else channels
    return " ".join(f"{value:.4f}" for value in distinct)


class Bert(Record):
    """Size of a BERT text encoder and how its tokenizer reads.

    Attributes:
        vocabulary: rows of the table of word vectors, if no weights say otherwise.
        width, layers: of the encoder; heads are 64 wide.
        lowercase: put text into small letters before it is cut into words.
        clean: mend wrongly decoded characters, read HTML entities and join white space before that, as tokenizers of
            open_clip do.
    """

    vocabulary: int
    width: int
    layers: int
    lowercase: bool = True
    clean: bool = False


class ModelRecord(Record):
    """One model.

    Attributes:
        name: what params.yaml and the command line call it.
        title: what tables and figures call it.
        kind: ``zero-shot`` compares images with prompts, ``generative`` answers a question, and an ``encoder`` has no
            text side, so that it needs a probe.
        family: module of `benchmark.models.families` that builds it.
        architecture: the family's own name of it.
        files: every file that it is made from, the weights first.
        preprocessing: of images.
        context_length: tokens of a prompt at most; longer ones are cut.
        embedding: length of its feature vectors.
        lora_targets: modules of its image tower that LoRA is put on: a regular expression over their whole names.
        licence: of the weights, an SPDX name where there is one.
        gated: what has to be accepted before its files can be had, and where; empty if nothing.
        parameters: number of them, in millions, as its authors or the Hub say, or of its architecture in its library.
        citation: the paper, in one line.
        sources: where the numbers above come from.
        bert: its text encoder, if that is a BERT.
        base: the model that it is an adapter on, if it is one.
        notes: what a reader of the table should know, in a sentence.
    """

    name: str
    title: str
    kind: Kind = "zero-shot"
    family: str
    architecture: str
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]
    preprocessing: Preprocessing
    context_length: int
    embedding: int
    lora_targets: str
    licence: str
    gated: str = ""
    parameters: float | None = None
    citation: str
    sources: tuple[str, ...]
    bert: Bert | None = None
    base: str | None = None
    notes: str = ""


class AdapterRecord(Record):
    """A model that is an adapter on the image tower of another one, `base`; fields as in `ModelRecord`.

    What is not given is the base's. `sources` are added to the base's own.
    """

    name: str
    title: str
    base: str
    citation: str
    notes: str
    sources: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    licence: str | None = None

    def on(self, base: ModelRecord) -> ModelRecord:
        """Return the record of the adapted model."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return base.changed(**own | {"sources": (*base.sources, *self.sources)})


def pinned(repo: str, commit: str) -> dict[str, str]:
    """Return the fields `repo` and `revision` of a file on the Hub, none of them without a commit.

    Raises:
        UserError: `repo` is none, or `commit` is something else, such as a branch.
    """
    if commit and not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        raise UserError(f"{repo!r} is no repository of the Hub; have OWNER/NAME")
    if commit and not re.fullmatch(COMMIT, commit):
        raise UserError(f"{repo} needs a pinned revision, the 40 hexadecimal digits of a commit, not {commit!r}")
    return {"repo": repo, "revision": commit} if commit else {}

"""Generative vision-language models of transformers on the Hub, by name and commit, or in a folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.models.components.files import Files
from benchmark.models.components.packages import package
from benchmark.models.components.pretrained import CONFIG, fetch, read_config, read_network
from benchmark.models.generative import Generator
from benchmark.models.record import ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError
from pipeline.io.records import explain

PREFIX = "vlm:"
ADAPTED = "#adapter"
"""Ending of the names of models that have a PEFT adapter in ``data/models/<name>/adapter``."""

FORMS = (f"{PREFIX}OWNER/NAME@COMMIT", f"{PREFIX}OWNER/NAME@COMMIT{ADAPTED}")

KINDS = (
    "gemma3",
    "idefics3",
    "internvl",
    "llava",
    "llava_next",
    "llava_onevision",
    "qwen2_5_vl",
    "qwen2_vl",
    "smolvlm",
)
"""Model types whose log-likelihoods are tested against a plain pass of the library's own class."""

PROCESSOR = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
)
"""Files that a processor is read from, where a repository has them."""

GENERATIVE = ModelRecord(
    name="vlm",
    title="generative",
    kind="generative",
    family="vlm",
    architecture="see its config.json",
    files=(ModelFile(name=CONFIG),),
    preprocessing=Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1), resize="processor"),
    context_length=0,
    embedding=0,
    lora_targets="",
    licence="see the weights' own page",
    citation="see the weights' own page",
    sources=("its config.json",),
)
"""What is alike of all, and what is not known of one before its files are read."""

RECORDS: tuple[ModelRecord, ...] = ()


def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    """Return the record of ``vlm:OWNER/NAME@COMMIT``, read from its config.json.

    With a `folder` the commit may be left out.

    Raises:
        UserError: the files can't be had, or are of no kind in `KINDS`.
    """
    repo, _, commit = name.removeprefix(PREFIX).removesuffix(ADAPTED).partition("@")
    if folder is None and not commit:
        raise UserError(f"{name!r} has no commit: say {FORMS[0]}, or give a folder")
    unread = GENERATIVE.changed(
        name=name,
        title=repo.rpartition("/")[2],
        files=(ModelFile(name=CONFIG, **pinned(repo, commit)),),
        base=repo if name.endswith(ADAPTED) else None,
    )
    content = read_config(Files(unread, folder=folder, offline=offline), KINDS)
    try:
        config = _Config.model_validate(content)
    except ValidationError as wrong:
        raise UserError(f"{CONFIG} of {name}: {explain(wrong.errors()[0], _Config)}") from None
    size = config.vision_config.image_size
    return unread.changed(
        architecture=content["model_type"],
        preprocessing=GENERATIVE.preprocessing.changed(size=size if isinstance(size, int) else size[0]),
        context_length=config.text_config.max_position_embeddings,
        embedding=config.text_config.hidden_size,
    )


class _Vision(BaseModel):
    """What is told of a model's images; Qwen's have no size of their own, and are of 224 pixels here."""

    image_size: int | list[int] = 224


class _Text(BaseModel):
    """What is told of a model's text; where config.json leaves it to the library, 0."""

    max_position_embeddings: int = 0
    hidden_size: int = 0


class _Config(BaseModel):
    """What is read here of config.json; transformers reads the rest."""

    model_config = ConfigDict(strict=True)

    vision_config: _Vision = _Vision()
    text_config: _Text = _Text()


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Generator:
    """Make a model and its processor from the files that transformers saves them in."""
    read_config(files, KINDS)
    folder = fetch(files, PROCESSOR)
    transformers = package("transformers")
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        # Pillow's image processors are on every machine, and torchvision's, the default where it is, differ from them
        images = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
    except ImportError as error:
        raise UserError(
            f"{record.name} has a processor that needs another package, such as torchvision for videos:"
            f" pip install -e '.[zoo]' ({str(error).splitlines()[0]})"
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{folder} has no processor that can be read: {str(error).splitlines()[0]}") from error
    processor.image_processor = images
    if not getattr(processor, "chat_template", None):
        raise UserError(f"{record.name} has no chat template, so nobody can say how to ask it a question")
    return Generator(read_network(files, "AutoModelForImageTextToText", random_init=random_init), processor)

"""Generative vision-language models of transformers on the Hub, by name and commit, or in a folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmark.models.components.files import Files, one_line, parse
from benchmark.models.components.packages import package
from benchmark.models.components.pretrained import CONFIG, fetch, read_config, read_network
from benchmark.models.components.processors import pillow_processor
from benchmark.models.generative import Generator
from benchmark.models.record import ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError

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
    "qwen3_vl",
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

MEDGEMMA = GENERATIVE.changed(
    name="medgemma",
    title="MedGemma 4B",
    architecture="gemma3",
    files=(ModelFile(name=CONFIG, repo="google/medgemma-4b-it", revision="290cda5eeccbee130f987c4ad74a59ae6f196408"),),
    preprocessing=GENERATIVE.preprocessing.changed(size=896),
    licence="Health AI Developer Foundations terms of use",
    gated="accept the terms on huggingface.co/google/medgemma-4b-it, then log in with `hf auth login`",
    parameters=4000,
    citation="Sellergren et al., MedGemma Technical Report, arXiv 2507.05201, 2025",
    sources=("google/medgemma-4b-it, model card", "transformers, models/gemma3"),
    notes="Instruction-tuned. All other files of the commit, weights and processor, are read too.",
)

LLAVA_MED = GENERATIVE.changed(
    name="llava-med",
    title="LLaVA-Med 1.5 7B",
    architecture="llava",
    files=(
        ModelFile(
            name=CONFIG,
            origin="https://huggingface.co/chaoyinshe/llava-med-v1.5-mistral-7b-hf",
        ),
    ),
    preprocessing=GENERATIVE.preprocessing.changed(size=336),
    licence="see microsoft/llava-med-v1.5-mistral-7b",
    parameters=7000,
    citation="Li et al., LLaVA-Med: Training a Large Language-and-Vision Assistant for Biomedicine in One Day,"
    " NeurIPS 2023, arXiv 2306.00890",
    sources=("microsoft/llava-med-v1.5-mistral-7b", "transformers, models/llava"),
    notes="A conversion by others, as transformers can't read its authors' files; no commit of it is known here: look"
    " at one yourself and name it, `vlm:chaoyinshe/llava-med-v1.5-mistral-7b-hf@COMMIT`, or give its folder.",
)

RECORDS: tuple[ModelRecord, ...] = (MEDGEMMA, LLAVA_MED)


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
        title=repo + " with an adapter" * name.endswith(ADAPTED),
        files=(ModelFile(name=CONFIG, **pinned(repo, commit)),),
        base=repo if name.endswith(ADAPTED) else None,
    )
    content = read_config(Files(unread, folder=folder, offline=offline), KINDS)
    config = parse(content, _Config, f"{CONFIG} of {name}")
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
    except ImportError as error:
        raise UserError(
            f"{record.name} has a processor that needs another package, such as torchvision for videos:"
            f" pip install -e '.[zoo]' ({one_line(error)})"
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{folder} has no processor that can be read: {one_line(error)}") from error
    processor.image_processor = pillow_processor(folder, f"the image processor of {record.name}")
    if not getattr(processor, "chat_template", None):
        raise UserError(f"{record.name} has no chat template, so nobody can say how to ask it a question")
    network = read_network(files, "AutoModelForImageTextToText", random_init=random_init)
    words, rows = len(processor.tokenizer), network.get_input_embeddings().weight.shape[0]
    if words > rows:
        raise UserError(f"the tokenizer of {record.name} has {words} words, and the model vectors for {rows}")
    return Generator(network, processor)

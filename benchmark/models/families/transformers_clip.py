"""Any model of transformers that has image and text features, on the Hub by name and commit, or in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.models.components.checkpoints import check_finite, check_names, read_tensors
from benchmark.models.components.files import Files, one_line, read_json
from benchmark.models.components.packages import BROKEN, package, quietly
from benchmark.models.components.processors import PREPROCESSOR, LibraryProcessor, read_image_processor
from benchmark.models.components.tokenizers import TOKENIZER_FILES, Tokenizer
from benchmark.models.model import Towers
from benchmark.models.record import ATTENTION, ModelFile, ModelRecord, Preprocessing, pinned
from pipeline.errors import UserError

PREFIX = "hub:"
FORMS = (f"{PREFIX}OWNER/NAME@COMMIT",)
RECORDS: tuple[ModelRecord, ...] = ()

WEIGHTS, OLDER_WEIGHTS = "model.safetensors", "pytorch_model.bin"
CONFIG = "config.json"
WITHOUT_MASK = ("siglip", "siglip2")
"""Their text sides saw every prompt filled up to its full length, without a mask (Zhai et al. 2023)."""


class Tower(nn.Module):
    """One side of a model: the modules that belong to it, and the features that the whole model makes with them."""

    def __init__(self, model: nn.Module, features: Callable[..., Any], *, is_text: bool) -> None:
        super().__init__()
        for name, child in model.named_children():
            if name.startswith("text") == is_text:
                self.add_module(name, child)
        self._features = features

    def forward(self, pixel_values: Tensor | None = None, **tokens: Tensor) -> Tensor:
        arguments = tokens if pixel_values is None else {"pixel_values": pixel_values}
        output = self._features(**arguments)
        features: Tensor = getattr(output, "pooler_output", output)
        return features


def describe(name: str, *, folder: Path | None, offline: bool) -> ModelRecord:
    """Return the record of ``hub:OWNER/NAME@COMMIT``, read from its config.json and preprocessor_config.json.

    With a `folder` the commit may be left out.

    Raises:
        UserError: the files can't be had, or are not those of a model with image and text features.
    """
    repo, _, commit = name.removeprefix(PREFIX).partition("@")
    if folder is None and not commit:
        raise UserError(f"{name!r} has no commit: say {FORMS[0]}, or give a folder")
    hub = pinned(repo, commit)
    weights = ModelFile(name=WEIGHTS, older_name=OLDER_WEIGHTS, **hub)
    unread = ModelRecord(
        name=name,
        title=repo,
        family="transformers_clip",
        architecture="CLIPModel",
        files=(weights, *(ModelFile(name=file, **hub) for file in (CONFIG, PREPROCESSOR))),
        preprocessing=Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1)),
        context_length=77,
        embedding=512,
        lora_targets=ATTENTION,
        licence="see the weights' own page",
        citation="see the weights' own page",
        sources=("its config.json and preprocessor_config.json",),
    )
    files = Files(unread, folder=folder, offline=offline)
    config, model_class = read_config(files, name)
    if not list(filter(None, map(files.optional, TOKENIZER_FILES))):
        raise UserError(f"{name} has no tokenizer: none of {', '.join(TOKENIZER_FILES)} is there")
    text = config.text_config
    longest = getattr(text, "max_position_embeddings", unread.context_length)
    if config.model_type == "altclip":  # XLM-R counts positions from after its padding token's
        longest -= text.pad_token_id + 1
    widths = (getattr(config, "projection_dim", None), getattr(text, "projection_size", None), text.hidden_size)
    return unread.changed(
        architecture=model_class.__name__,
        files=files.as_read(),
        preprocessing=read_image_processor(files).settings,
        context_length=longest,
        embedding=next(width for width in widths if width),
    )


def read_config(files: Files, name: str) -> tuple[Any, Any]:
    """Return the configuration of config.json and the class of transformers that it is for.

    Raises:
        UserError: transformers has no such class, or none with image and text features, or can't read the settings.
    """
    package("transformers")
    modeling = package("transformers.models.auto.modeling_auto")
    configurations = package("transformers.models.auto.configuration_auto").CONFIG_MAPPING
    content = read_json(files.path(CONFIG))
    kind = content.get("model_type")
    if not isinstance(kind, str) or kind not in configurations:
        raise UserError(f"{name} is a {kind!r}, which transformers does not have; code in a repository is never run")
    try:
        with quietly():
            config = configurations[kind].from_dict(content)
            model_class: Any = modeling.MODEL_MAPPING.get(type(config), None)
            for features in ("get_image_features", "get_text_features"):
                if not hasattr(model_class, features):
                    raise UserError(f"{name} is a {kind!r}, and such a model has no image and text features")
            return config, model_class
    except UserError:
        raise
    except (*BROKEN, package("huggingface_hub.errors").StrictDataclassError) as error:
        raise UserError(f"{CONFIG} of {name} can't be read: {one_line(error)}") from error


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make the model from its weights, config.json and its tokenizer's files."""
    config, model_class = read_config(files, record.name)
    tokenize = read_tokenizer(record, files, config)
    try:
        with quietly():
            model = _load(model_class, config, files, record.name, random_init=random_init)
    except BROKEN as error:
        raise UserError(f"{record.name} can't be built: {one_line(error)}") from error
    processor = read_image_processor(files)
    processor.check_size(record)
    towers = Towers(
        Tower(model, model.get_image_features, is_text=False),
        Tower(model, model.get_text_features, is_text=True),
        tokenize,
        *_scale(model, record.name),
        preprocess=processor,
    )
    check_logits(model, towers, processor, record.name)
    return towers


def _load(model_class: Any, config: Any, files: Files, name: str, *, random_init: bool) -> Any:
    if random_init:
        return model_class(config).eval()
    tensors = read_tensors(files.weights())
    check_finite(tensors, f"the weights of {name} are damaged")
    model, report = model_class.from_pretrained(
        None,
        config=config,
        state_dict=tensors,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
    )
    check_names(
        missing=[key for key in report["missing_keys"] if not key.endswith("position_ids")],
        left_over=[key for key in report["unexpected_keys"] if not key.endswith("position_ids")],
        shapes=report["mismatched_keys"],
        problem=f"the weights are not those of {name}",
    )
    return model.eval()


def _scale(model: Any, name: str) -> tuple[float, float]:
    """Return what cosines are multiplied by, and what is added then."""
    bias = getattr(model, "logit_bias", None)
    if hasattr(model, "logit_scale"):
        scale = model.logit_scale.exp().item()
    elif hasattr(model, "temperature"):
        scale = 1 / model.temperature.item()
    else:
        raise UserError(f"{name} has neither logit_scale nor temperature, and its logits are not known here")
    return scale, 0.0 if bias is None else bias.item()


def check_logits(model: Any, towers: Towers, processor: LibraryProcessor, name: str) -> None:
    """Compare the logits of one image and two prompts with those of the whole model, as transformers makes them.

    Raises:
        UserError: it can't make them, or they are others.
    """
    tokens = towers.tokenize(["a photo of a cell", "a medical image"])
    pixels = processor(processor.noise, device=torch.device("cpu"))
    try:
        with torch.inference_mode():
            expected = model(pixel_values=pixels, **tokens).logits_per_image
            features = nn.functional.normalize(towers.image(pixels), dim=-1)
            texts = nn.functional.normalize(towers.text(**tokens), dim=-1)
            logits = towers.logit_scale * features @ texts.T + towers.logit_bias
    except BROKEN as error:
        raise UserError(f"{name} can't be run with its own tokenizer and image processor: {one_line(error)}") from error
    if not torch.allclose(logits, expected, rtol=1e-3, atol=1e-3):
        raise UserError(f"{name} makes its logits in another way than a scale and a bias on cosines")


def read_tokenizer(record: ModelRecord, files: Files, config: Any) -> Tokenizer:
    """Return the repository's own tokenizer, as transformers makes it, with the padding that the model wants.

    Raises:
        UserError: transformers can't make it, or it has more words than the model.
    """
    package("transformers")
    automatic = package("transformers.models.auto.tokenization_auto").AutoTokenizer
    processors = package("transformers.models.auto.processing_auto").PROCESSOR_MAPPING
    folder = files.path(CONFIG).parent
    for file in TOKENIZER_FILES:
        files.optional(file)
    try:
        with quietly():
            words = automatic.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        needs = next((word for word in ("sentencepiece", "protobuf") if word in str(error)), "a package")
        raise UserError(f"the tokenizer of {record.name} needs {needs}: pip install -e '.[zoo]'") from error
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(f"{folder} has no tokenizer that transformers can read: {one_line(error)}") from error
    rows = getattr(config.text_config, "vocab_size", None)
    if rows is not None and len(words) > rows:
        raise UserError(f"the tokenizer of {record.name} has {len(words)} words, and the model vectors for {rows}")
    longest = words.model_max_length
    if not isinstance(longest, int | float) or longest < 1:
        raise UserError(f"the tokenizer of {record.name} has a model_max_length of {longest!r}, which is no length")
    usual: Mapping[str, Any] = getattr(processors.get(type(config), None), "text_kwargs", None) or {}
    full = config.model_type in WITHOUT_MASK
    arguments: dict[str, Any] = {
        "padding": "max_length" if full else True,
        **{key: value for key, value in usual.items() if key == "padding"},
        "truncation": True,
        "max_length": min(record.context_length, longest, usual.get("max_length", record.context_length)),
        "return_tensors": "pt",
    }

    def tokenize(texts: list[str]) -> Mapping[str, Tensor]:
        try:
            tokens = dict(words(texts, **arguments))
        except BROKEN as error:
            raise UserError(f"the tokenizer of {record.name} can't be used: {one_line(error)}") from error
        return {"input_ids": tokens["input_ids"]} if full else tokens

    return tokenize

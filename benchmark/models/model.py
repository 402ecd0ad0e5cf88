"""The contract that every model keeps, whatever its family."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.models import pixels, weights
from benchmark.models.record import ModelError, Record
from benchmark.models.zoo import record as find

TEXTS_AT_ONCE = 64
"""Prompts that one forward pass of a text tower takes; only memory depends on it."""


class Towers(NamedTuple):
    """What a family's ``build`` returns, on the CPU, in evaluation mode.

    Attributes:
        image: float32 (N, 3, S, S) -> features (N, D), of any length.
        text: keyword arguments from `tokenize` -> features (K, D), of any length.
        tokenize: K prompts -> the text tower's arguments, tensors whose first axis is K.
        logit_scale: what cosines are multiplied by.
    """

    image: nn.Module
    text: nn.Module
    tokenize: Callable[[list[str]], Mapping[str, Tensor]]
    logit_scale: float


class Model:
    """A pair of towers behind three methods. The caller says whether gradients are kept (`torch.inference_mode`).

    Attributes:
        record: what is known of the model.
        image_tower: the module that LoRA is put on; assign its PEFT wrapping here.
        text_tower: the text side, always frozen.
        logit_scale: what cosines are multiplied by before the softmax.
        device: where the towers are.
    """

    def __init__(self, record: Record, towers: Towers, *, device: torch.device | str = "cpu") -> None:
        self.record = record
        self.device = torch.device(device)
        self.image_tower = towers.image.to(self.device).eval()
        # PEFT writes it into an adapter's configuration as the model that it is for
        vars(self.image_tower)["name_or_path"] = record.base or record.name
        self.text_tower = towers.text.to(self.device).eval().requires_grad_(False)
        self.logit_scale = float(towers.logit_scale)
        self._tokenize = towers.tokenize

    @property
    def lora_targets(self) -> str:
        """Regular expression over the whole names of `image_tower`'s modules, as PEFT's ``target_modules`` takes it."""
        return self.record.lora_targets

    def checksum(self) -> str:
        """Return the SHA-256, in hexadecimal, over the names, shapes and bytes of the image tower's tensors."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.image_tower.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def preprocess(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return uint8 (N, H, W, 3) images as the image tower takes them: float32 (N, 3, S, S) on its device."""
        return pixels.prepare(images, self.record.view, device=self.device)

    def encode_images(self, prepared: Tensor) -> Tensor:
        """Return the unit-length float32 (N, D) features of what `preprocess` gave.

        Raise ModelError for another height or width than the model's own.
        """
        size = self.record.view.size
        if prepared.ndim != 4 or prepared.shape[1:] != (3, size, size):
            raise ModelError(f"{self.record.name} takes (N, 3, {size}, {size}), not {tuple(prepared.shape)}")
        return functional.normalize(self.image_tower(prepared).float(), dim=-1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the unit-length float32 (K, D) features of K prompts; a longer one than the context is cut."""
        if isinstance(texts, str) or not texts:
            raise ModelError(f"encode_texts takes a list of at least one prompt, not {texts!r}")
        features = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            tokens = self._tokenize(list(texts[start : start + TEXTS_AT_ONCE]))
            raw = self.text_tower(**{name: tensor.to(self.device) for name, tensor in tokens.items()})
            features.append(functional.normalize(raw.float(), dim=-1))
        return torch.cat(features)


def load(
    name: str | Record,
    *,
    weights_dir: Path | str | None = None,
    adapter: Path | str | None = None,
    device: torch.device | str = "cpu",
    random_init: bool = False,
    offline: bool = False,
) -> Model:
    """Make a model. The files of its record are those that it was made from, with their checksums.

    Args:
        name: as for `record`; or a record.
        weights_dir: a folder that holds the model's files under the names in its record; if not given they come from
            the Hub's cache, or from the Hub.
        adapter: a folder with a PEFT adapter for the image tower (``tune`` and ``robustmedclip`` write such).
        device: where to put it.
        random_init: leave the weights as the architecture starts out with them, reading tokenizer files only.
        offline: never ask the network.

    Raises:
        ModelError: one sentence: no such model, a missing package, file or network, a wrong checksum, weights of
            another architecture.
    """
    folder = None if weights_dir is None else Path(weights_dir)
    chosen = find(name, folder=folder, offline=offline) if isinstance(name, str) else name
    if chosen.base is not None and adapter is None and not random_init:
        raise ModelError(f"{chosen.name} is {chosen.base} with an adapter: say which folder holds it (adapter=)")
    family: Any = importlib.import_module(f"benchmark.models.{chosen.family}")
    files = weights.Files(chosen, folder=folder, offline=offline)
    towers = family.build(chosen, files, random_init=random_init)
    model = Model(chosen.but(files=files.taken()), towers, device=device)
    if adapter is not None:
        weights.put_adapter(model, Path(adapter))
    return model

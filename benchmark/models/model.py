"""The contract that every model keeps, whatever its family."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.models.components.preprocessing import preprocess
from benchmark.models.components.processors import LibraryProcessor
from benchmark.models.components.tokenizers import Tokenizer
from benchmark.models.record import ModelRecord
from pipeline.errors import UserError

TEXT_BATCH = 64
"""Prompts of one forward pass of a text tower; only memory depends on it."""


class Towers(NamedTuple):
    """What a family's ``build`` returns, on the CPU, in evaluation mode.

    Attributes:
        image: float32 (N, 3, S, S) -> features (N, D), of any length.
        text: keyword arguments from `tokenize` -> features (K, D), of any length.
        tokenize: K prompts -> the text tower's arguments.
        logit_scale: what cosines are multiplied by.
        logit_bias: what is added to them then, as in SigLIP.
        preprocess: the library's own, where the record's preprocessing names a library.
    """

    image: nn.Module
    text: nn.Module
    tokenize: Tokenizer
    logit_scale: float
    logit_bias: float = 0.0
    preprocess: LibraryProcessor | None = None


class Model:
    """An image tower and a text tower behind three methods; gradients are kept unless the caller turns them off.

    Attributes:
        record: what is known of the model.
        image_tower: the module that LoRA is put on; assign its PEFT wrapping here.
        text_tower: the text side, always frozen.
        logit_scale: what cosines are multiplied by before the softmax.
        logit_bias: what is added then.
        unit_texts: whether `encode_texts` brings its features to unit length.
        device: where the towers are.
    """

    unit_texts = True

    def __init__(self, record: ModelRecord, towers: Towers, *, device: torch.device | str = "cpu") -> None:
        self.record = record
        self.device = torch.device(device)
        self.image_tower = towers.image.to(self.device).eval()
        # PEFT writes it into an adapter's configuration as the model that it is for
        vars(self.image_tower)["name_or_path"] = record.base or record.name
        self.text_tower = towers.text.to(self.device).eval().requires_grad_(False)
        self.logit_scale = float(towers.logit_scale)
        self.logit_bias = float(towers.logit_bias)
        self._preprocess = towers.preprocess
        self._tokenize = towers.tokenize

    @property
    def lora_targets(self) -> str:
        """Regular expression over the whole names of `image_tower`'s modules, as PEFT's ``target_modules`` takes it."""
        return self.record.lora_targets

    def checksum(self) -> str:
        """Return the SHA-256, in hexadecimal, over the names, shapes and bytes of the image tower's tensors."""
        return weights_checksum(self.image_tower)

    def preprocess(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return uint8 (N, H, W, 3) images as the image tower takes them: float32 (N, 3, S, S) on its device."""
        if self.record.preprocessing.resize == "processor" and self._preprocess is not None:
            return self._preprocess(images, device=self.device)
        return preprocess(images, self.record.preprocessing, device=self.device)

    def logits(self, features: Tensor, texts: Tensor) -> Tensor:
        """Return the logits (N, K) of unit-length features of N images (N, D) and K classes (K, D)."""
        return self.logit_scale * features @ texts.T + self.logit_bias

    def encode_images(self, pixels: Tensor, *, unit: bool = True) -> Tensor:
        """Return the float32 (N, D) features of what `preprocess` returned, of unit length if `unit`.

        Raises:
            UserError: another height or width than the model's own.
        """
        size = self.record.preprocessing.size
        if pixels.ndim != 4 or pixels.shape[1:] != (3, size, size):
            raise UserError(f"{self.record.name} takes (N, 3, {size}, {size}), not {tuple(pixels.shape)}")
        features: Tensor = self.image_tower(pixels).float()
        return functional.normalize(features, dim=-1) if unit else features

    def tokenize(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the text tower's arguments for K prompts: tensors whose first axis is K."""
        return self._tokenize(list(texts))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the float32 (K, D) features of K prompts, of unit length if `unit_texts`; cut long ones."""
        if self.record.kind == "encoder":
            raise UserError(f"{self.record.name} has no text side: put a probe on it (benchmark.probes in params.yaml)")
        if isinstance(texts, str) or not texts:
            raise UserError(f"encode_texts takes a list of at least one prompt, not {texts!r}")
        for text in texts:
            if not isinstance(text, str):
                raise UserError(f"a prompt must be a string, not {text!r}")
        features = []
        for start in range(0, len(texts), TEXT_BATCH):
            tokens = self.tokenize(texts[start : start + TEXT_BATCH])
            output = self.text_tower(**{name: tensor.to(self.device) for name, tensor in tokens.items()})
            features.append(functional.normalize(output.float(), dim=-1) if self.unit_texts else output.float())
        return torch.cat(features)


def weights_checksum(module: nn.Module) -> str:
    """Return the SHA-256, in hexadecimal, over the names, shapes and bytes of a module's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

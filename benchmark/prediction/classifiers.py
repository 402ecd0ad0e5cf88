"""A model that has been told the classes of one data set: from images to logits, and all that these depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from benchmark.data.classes import class_features
from benchmark.data.prompts import ClosedSet, Prompts
from benchmark.models.components.checkpoints import read_tensors
from benchmark.models.generative import GenerativeModel, Question
from benchmark.models.model import Model
from pipeline.errors import UserError

AT_ONCE = 4
"""Images that a CPU prepares at once: 2.4 MB of floats each at 224 x 224, which stay in its caches."""


class Classifier(Protocol):
    """What `benchmark.prediction.predictor` needs of a model and the classes of a data set.

    Attributes:
        prompts: what it was told of the classes.
        options: settings that the logits depend on, beside weights and pixels.
        values: numbers that they depend on.
    """

    prompts: Prompts
    options: str
    values: bytes

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits float32 (n, K) of uint8 (n, H, W, 3) images, on the model's device."""


class Encoder:
    """A model's image side: uint8 (n, H, W, 3) images to float32 (n, D) features; nothing here waits for a GPU."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._buffer = torch.empty(0)

    def __call__(self, images: Tensor) -> Tensor:
        device = self.model.device
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            encoded = self.model.encode_images(self._preprocess(images.to(device, non_blocking=True)))
        return encoded.float()

    def _preprocess(self, images: Tensor) -> Tensor:
        """Preprocess a batch; on a CPU by a few images into the same memory each time.

        Fresh memory for a whole batch of floats is handed out by the kernel page by page, which takes longer than
        the arithmetic.
        """
        if self.model.device.type == "cuda":
            return self.model.preprocess(images)
        for start in range(0, len(images), AT_ONCE):
            some = self.model.preprocess(images[start : start + AT_ONCE])
            if len(self._buffer) < len(images):
                last = some.is_contiguous(memory_format=torch.channels_last)
                layout = torch.channels_last if last else torch.contiguous_format
                self._buffer = torch.empty((len(images), *some.shape[1:]), memory_format=layout)
            self._buffer[start : start + len(some)] = some
        return self._buffer[: len(images)]


class ZeroShot:
    """Cosines with the text features of the classes, times the model's logit scale and moved by its bias."""

    def __init__(self, encoder: Encoder, prompts: Prompts) -> None:
        model = encoder.model
        self.prompts = prompts
        scale = [model.logit_scale, model.logit_bias]
        self.options = json.dumps([model.record.preprocessing.model_dump(), scale, model.device.type])
        self._encoder, self._features = encoder, class_features(model, prompts)
        self.values = self._features.cpu().numpy().tobytes()

    def __call__(self, images: Tensor) -> Tensor:
        return self._encoder.model.logits(self._encoder(images), self._features)


class Probed:
    """A linear head on a model's features."""

    def __init__(self, encoder: Encoder, prompts: Prompts, path: Path) -> None:
        """Read the head of a data set from `path`; UserError if it has none, or one of other classes or features."""
        model, tensors = encoder.model, read_tensors(path)
        weight, bias = (tensors.get(f"{part}.{prompts.dataset}", torch.empty(0)) for part in ("weight", "bias"))
        classes = len(prompts.class_names)
        if weight.ndim != 2 or weight.shape[0] != classes or bias.shape != (classes,):
            raise UserError(f"{path} has no head for the {classes} classes of {prompts.dataset}; fit the probe again")
        self.prompts = prompts.changed(templates="probe", sentences=tuple((name,) for name in prompts.class_names))
        files = [file.sha256 for file in model.record.files]
        self.options = json.dumps([model.record.preprocessing.model_dump(), files, model.device.type])
        self.values = weight.numpy().tobytes() + bias.numpy().tobytes()
        self._encoder, self._weight, self._bias = encoder, weight.to(model.device), bias.to(model.device)

    def __call__(self, images: Tensor) -> Tensor:
        return self._encoder(images) @ self._weight.T + self._bias


class Generative:
    """The log-likelihood of each class's name as the answer to a question."""

    def __init__(self, model: GenerativeModel, prompts: ClosedSet) -> None:
        self.prompts: Prompts = prompts
        self._question = Question(model, prompts.questions, [answer for (answer,) in prompts.sentences])
        files = [file.sha256 for file in model.record.files]
        self.options = json.dumps([files, model.device.type])
        self.values = json.dumps([prompts.questions, [ids.tolist() for ids in self._question.answers]]).encode()

    def __call__(self, images: Tensor) -> Tensor:
        return self._question.log_likelihoods(images)

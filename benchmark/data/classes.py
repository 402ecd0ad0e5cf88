"""The classes of several data sets side by side, a column each: their text features and the loss over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.data.prompts import Prompts
from benchmark.models.model import Model


@dataclass(frozen=True)
class ClassColumns:
    """Which of all K classes belong to each of D data sets.

    Attributes:
        starts: column of each data set's first class, int64 (D,).
        own: a data set's own classes, bool (D, K).
        distinct: all classes but other data sets' whose sentence is one of its own, bool (D, K).
    """

    starts: Tensor
    own: Tensor
    distinct: Tensor


def class_columns(prompts: Sequence[Prompts], *, template: int = 0) -> ClassColumns:
    """Lay the classes of data sets out side by side; two classes are told apart by their sentences of `template`."""
    sentences = [[group[template] for group in of_dataset.sentences] for of_dataset in prompts]
    sizes = torch.tensor([len(group) for group in sentences])
    owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    own = owner == torch.arange(len(sizes))[:, None]
    flat = [sentence for group in sentences for sentence in group]
    shared = torch.tensor([[sentence in group for sentence in flat] for group in sentences])
    return ClassColumns(starts=sizes.cumsum(0) - sizes, own=own, distinct=own | ~shared)


def masked_cross_entropy(logits: Tensor, columns: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy among each image's `columns`, bool (N, K), of logits (N, K)."""
    return functional.cross_entropy(logits.masked_fill(~columns, -1e4), targets)


def class_features(model: Model, *prompts: Prompts) -> Tensor:
    """Return the text feature of each class of some data sets, read together, float32 (K, D), without gradient.

    They are of unit length, unless the model's texts are not.
    """
    sentences = [group for of_dataset in prompts for group in of_dataset.sentences]
    with torch.inference_mode():
        flat = model.encode_texts([sentence for group in sentences for sentence in group])
        means = flat.reshape(len(sentences), -1, flat.shape[1]).mean(dim=1)
        return functional.normalize(means, dim=-1) if model.unit_texts else means

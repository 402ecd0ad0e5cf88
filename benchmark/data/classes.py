"""The classes of all data sets side by side: their text features, and which an image is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.data.prompts import Prompts
from benchmark.models import Model


def class_features(model: Model, prompts: Prompts) -> Tensor:
    """Return the text feature of each class, float32 (K, D), unit length, without gradient."""
    with torch.inference_mode():
        flat = model.encode_texts([sentence for sentences in prompts.sentences for sentence in sentences])
        means = flat.reshape(len(prompts.class_names), -1, flat.shape[1]).mean(dim=1)
        return torch.nn.functional.normalize(means, dim=-1)


def class_columns(class_names: Sequence[Sequence[str]], sentences: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
    """Lay the classes of all data sets out side by side.

    Args:
        class_names: of each data set, in label order.
        sentences: one of each class, per data set; equal ones in two data sets say the same.

    Returns:
        The column at which each data set begins, int64 (D,), and which columns an image of each data set is compared
        with, bool (D, K): all but other data sets' classes whose sentence is one of its own.
    """
    sizes = [len(names) for names in class_names]
    starts = torch.tensor([sum(sizes[:k]) for k in range(len(sizes))])
    flat = [sentence for group in sentences for sentence in group]
    allowed = torch.ones((len(sizes), len(flat)), dtype=torch.bool)
    for k, group in enumerate(sentences):
        for column, sentence in enumerate(flat):
            elsewhere = not starts[k] <= column < starts[k] + sizes[k]
            allowed[k, column] = not (elsewhere and sentence in group)
    return starts, allowed


def own_columns(starts: Tensor, columns: int) -> Tensor:
    """Return which of all classes are a data set's own, bool (D, columns)."""
    ends = torch.cat([starts[1:], torch.tensor([columns])])
    column = torch.arange(columns)
    return (column >= starts[:, None]) & (column < ends[:, None])

"""The classes of several data sets side by side, a column each: their text features and the loss over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.data.prompts import Prompts
from benchmark.models.model import Model
from pipeline.errors import UserError

SAME = 1e-6
"""Distance between unit-length features, of each number, up to which only rounding tells them apart."""


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

    Raises:
        UserError: the model cannot tell two classes of a data set apart, and rounding would decide between them.
    """
    sentences = [group for of_dataset in prompts for group in of_dataset.sentences]
    with torch.inference_mode():
        flat = model.encode_texts([sentence for group in sentences for sentence in group])
        means = flat.reshape(len(sentences), -1, flat.shape[1]).mean(dim=1)
        directions = functional.normalize(means, dim=-1)
    sizes = [len(of_dataset.sentences) for of_dataset in prompts]
    for of_dataset, features in zip(prompts, torch.split(directions, sizes), strict=True):
        _check_distinct(model, of_dataset, features)
    return directions if model.unit_texts else means


def _check_distinct(model: Model, prompts: Prompts, features: Tensor) -> None:
    """Raise UserError if two classes of a data set have the same tokens, or `features` (K, D) equal to `SAME`."""
    flat = [sentence for group in prompts.sentences for sentence in group]
    tokens = torch.cat([ids.reshape(len(flat), -1).float() for ids in model.tokenize(flat).values()], dim=1)
    tokens = tokens.reshape(len(features), -1)
    for first, second in combinations(range(len(features)), 2):
        if torch.equal(tokens[first], tokens[second]):
            what = "the same tokens"
        elif (features[first] - features[second]).abs().max() <= SAME:
            what = "the same text features"
        else:
            continue
        names = f"{prompts.class_names[first]!r} and {prompts.class_names[second]!r}"
        raise UserError(
            f"{model.record.name} cannot tell the classes {names} of {prompts.dataset} apart:"
            f" their prompts have {what}; give them other names, or leave out the model"
        )

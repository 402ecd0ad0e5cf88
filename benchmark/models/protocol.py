"""A model as RobustMedCLIP's code evaluates it, for the protocol ``robustmedclip``.

Source: BioMedIA-MBZUAI/RobustMedCLIP at 5676e60, dataset.py, evaluate.py and models.py. What of it is not repeated, and
how large each difference is, stands in docs/reference.md.
"""

from __future__ import annotations

from benchmark.models.families import medclip, openclip
from benchmark.models.model import Model
from benchmark.models.record import CLIP_MEAN, CLIP_STD, Channels, Preprocessing

NORMALISED_TWICE = (openclip.VIT.name, openclip.RESNET.name)
"""Once by the loader, as for every model, and once more by `ClipZeroShot`."""

RAW_TEXTS = ("biomedclip", "unimedclip")
"""Families whose `text_features` leaves text features as long as they are; RobustMedClip's are of unit length."""


def follow(model: Model, *, is_tuned: bool) -> None:
    """Change a model to the view, the text features and the scale 1 that RobustMedCLIP's code has.

    Args:
        model: as its authors evaluate it.
        is_tuned: whether it is an adapter on a base, as RobustMedClip is.
    """
    record = model.record
    mean, std = CLIP_MEAN, CLIP_STD
    if record.name in NORMALISED_TWICE and not is_tuned:
        mean, std = _twice(mean, std)
    view = Preprocessing(size=record.preprocessing.size, mean=mean, std=std)  # `get_transform`
    model.record = record.changed(preprocessing=view)
    model.logit_scale, model.logit_bias = 1.0, 0.0
    model.unit_texts = is_tuned or record.family not in RAW_TEXTS
    if isinstance(model.text_tower, medclip.TextTower):
        model.text_tower.counts_padding = True


def _twice(mean: Channels, std: Channels) -> tuple[Channels, Channels]:
    """Return the mean and deviation that do in one step what (x - mean) / std does twice."""
    red, green, blue = ((m + m * s, s * s) for m, s in zip(mean, std, strict=True))
    return (red[0], green[0], blue[0]), (red[1], green[1], blue[1])

"""The extended set beside its peers: five severities of 224 x 224 colour photographs by `corruptions.sweep`.

A row is a corruption at ImageNet-C's profile, and one more for each kernel that the other profile alone has. Peers:
imagecorruptions and corrupt-tta where they have the corruption, at their own strengths; medmnistc and AlbumentationsX
where they have the same kind, given ours; and the formulas of `corruptions.extended.literature`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import EXTENDED, PROFILES, SEVERITIES
from tests.bench import kernels, peers
from tests.bench.timing import Contenders, Work, photographs

Image = NDArray[np.uint8]


def cells() -> dict[str, tuple[str, str]]:
    """Return the corruption and the profile of each row."""
    named = {name: (name, PROFILES[0]) for name in EXTENDED}
    known = {peers.strengths(*cell)[0].kernel for cell in named.values()}
    others = {
        peers.strengths(name, profile)[0].kernel: (name, profile) for name in EXTENDED for profile in PROFILES[1:]
    }
    return named | {kernel: cell for kernel, cell in others.items() if kernel not in known}


def rows(images: int) -> dict[str, Contenders]:
    """Return the contenders of each row."""
    return {row: partial(_contenders, row, images) for row in cells()}


def _contenders(row: str, images: int) -> dict[str, Work]:
    name, profile = cell = cells()[row]
    pictures = photographs(images)
    few = pictures[: kernels.PEER_IMAGES]
    own_strengths = profile == PROFILES[0]
    by_peer = {
        "imagecorruptions": kernels.of_imagecorruptions(name, few) if own_strengths else None,
        "medmnistc": kernels.of_medmnistc(peers.extended_medmnistc({row: cell}).get(row), few),
        "corrupt-tta": _corrupt_tta(name, few) if own_strengths else None,
        "AlbumentationsX": _albumentations(peers.albumentations({row: cell}).get(row), few),
        "formulas": kernels.formulas(name, profile, few),
    }
    return kernels.beside(name, profile, pictures, by_peer)


def _corrupt_tta(name: str, images: Image) -> Work | None:
    corrupt = peers.corrupt_tta().get(name)
    if corrupt is None:
        return None
    return lambda: len([corrupt(image, k) for image in images for k in SEVERITIES])


def _albumentations(transforms: list[Any] | None, images: Image) -> Work | None:
    if transforms is None:
        return None
    return lambda: len([transform(image=image)["image"] for image in images for transform in transforms])

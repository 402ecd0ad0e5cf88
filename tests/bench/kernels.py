"""The kernels beside their peers: five severities of 224 x 224 colour photographs by `corruptions.sweep`.

Peers: the packages imagecorruptions (at ImageNet-C's strengths) and medmnistc (given our strengths), and the
literature's formulas in SciPy, scikit-image, Pillow and ImageMagick, as corruptions/literature.py has them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import corruptions
from corruptions import SEVERITIES, sweep
from corruptions.cpu.draws import draw
from corruptions.draws import philox_key
from corruptions.spec import find_kernel
from tests.bench import peers
from tests.bench.timing import Contenders, Row, Timing, Work, copying, photographs

Image = NDArray[np.uint8]
BATCH = 16  # images a call, as a stage has them
PEER_IMAGES = 2


def rows(images: int) -> dict[str, Contenders]:
    """Return the contenders of each kernel."""
    return {
        kernel: partial(_contenders, kernel, images) for kernel in dict.fromkeys((*peers.KERNELS, *peers.MEDMNISTC))
    }


def _contenders(kernel: str, images: int) -> dict[str, Work]:
    pictures = photographs(images)
    few = pictures[:PEER_IMAGES]
    name, profile = peers.name_of(kernel), peers.profile_of(kernel)
    by_peer = {
        "imagecorruptions": of_imagecorruptions(name, few) if profile == "imagenet-c" else None,
        "medmnistc": of_medmnistc(peers.medmnistc().get(kernel), few),
        "formulas": formulas(name, profile, few),
    }
    return beside(name, profile, pictures, by_peer)


def beside(name: str, profile: str, pictures: Image, by_peer: dict[str, Work | None]) -> dict[str, Work]:
    """Return our work on a corruption's five severities, copying, and those of the peers that there are."""
    works = {"ours": _ours(name, profile, pictures), "copy": copying(pictures)}
    return works | {peer: work for peer, work in by_peer.items() if work is not None}


def _ours(name: str, profile: str, images: Image) -> Work:
    options = {"dataset": peers.COLUMN, "split": "test", "seed": 1, "profile": profile}

    def work() -> int:
        count = 0
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            indices = range(start, start + len(batch))
            count += sum(len(m) for _, m in sweep(batch, name, indices=indices, **options))
        return count

    return work


def of_imagecorruptions(name: str, images: Image) -> Work | None:
    """Return the work of imagecorruptions on a corruption of ImageNet-C; none if it has no such or is not installed."""
    corrupt = peers.imagecorruptions().get(name)
    if corrupt is None:
        return None
    return lambda: len([corrupt(image, severity=k) for image in images for k in SEVERITIES])


def of_medmnistc(corruption: Any, images: Image) -> Work | None:
    """Return the work of one of medmnistc's objects; none if there is none."""
    if corruption is None:
        return None
    from PIL import Image as Pillow

    pictures = [Pillow.fromarray(image) for image in images]
    return lambda: len([corruption.apply(picture, k - 1) for picture in pictures for k in SEVERITIES])


def formulas(name: str, profile: str, images: Image) -> Work | None:
    """Return the work of the literature's formula; none if its packages are missing."""
    strengths = peers.strengths(name, profile)
    try:
        formula = find_kernel("literature", strengths[0].kernel)
    except corruptions.BackendUnavailable:  # its packages are optional
        return None
    drawn = draw(strengths[0], philox_key(1, peers.COLUMN, "test", name), range(len(images)), images.shape)
    return lambda: sum(len(formula(images, *drawn, **strength.parameters)) for strength in strengths)


def mean(measured: dict[str, Row]) -> dict[str, Row]:
    """Return one row: the harmonic mean over the seven corruptions, beside each peer over those that it has too.

    A peer has either form of brightness and contrast; ours is taken in the same form.
    """
    if not set(peers.KERNELS) | set(peers.MEDMNISTC) <= set(measured):
        return {}
    times = {peer: _time(measured, peer, peers.KERNELS) for peer in ("ours", "copy", "imagecorruptions", "formulas")}
    times["medmnistc"] = _time(measured, "medmnistc", peers.MEDMNISTC)
    like_theirs = np.divide(_time(measured, "ours", peers.KERNELS), _time(measured, "ours", peers.MEDMNISTC))
    times["medmnistc"] = times["medmnistc"] * like_theirs
    return {"kernels, mean of seven": {peer: Timing(*(len(peers.KERNELS) / t)) for peer, t in times.items() if t.all()}}


def _time(measured: dict[str, Row], contender: str, kernels: tuple[str, ...]) -> NDArray[np.float64]:
    """CPU seconds of an image under each of the kernels: of the median, the slowest and the fastest; 0 if one lacks."""
    rates = [measured[kernel].get(contender) for kernel in kernels]
    return np.sum([1 / np.array(rate) for rate in rates if rate], axis=0) * all(rates)

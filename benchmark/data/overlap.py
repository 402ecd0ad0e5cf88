"""Images that two parts of the data have in common, by the checksum of each image."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmark.data.pool import Subset


@dataclass(frozen=True, order=True)
class Place:
    """Where an image stands."""

    dataset: str
    split: str
    index: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.split} {self.index}"


def overlaps(parts: Mapping[str, Iterable[Subset]]) -> dict[tuple[str, str], list[tuple[Place, Place]]]:
    """Return the images that two of `parts` have in common, whatever they are called there.

    Args:
        parts: subsets by what they are for.

    Returns:
        For each two parts that overlap, the pairs of equal images, in order.
    """
    parts_of = {name: _images(subsets) for name, subsets in parts.items()}
    names = list(parts_of)
    result = {}
    for k, name in enumerate(names):
        for other in names[k + 1 :]:
            common = parts_of[name].keys() & parts_of[other].keys()
            pairs = [(a, b) for key in common for a in parts_of[name][key] for b in parts_of[other][key]]
            if pairs:
                result[name, other] = sorted(pairs)
    return result


def _images(subsets: Iterable[Subset]) -> dict[bytes, list[Place]]:
    """Return the images of `subsets` by the SHA-256 of their pixels."""
    images: dict[bytes, list[Place]] = defaultdict(list)
    for subset in subsets:
        for index in subset.indices.tolist():
            image = subset.images[index]
            grey = image[..., :1]  # grey images are the same ones with one channel and with three equal ones
            digest = hashlib.sha256((grey if (image == grey).all() else image).tobytes()).digest()
            images[digest].append(Place(subset.dataset, subset.split, index))
    return images

"""Corrupt NumPy images: check the arguments, look the strength up, run it on a backend.

A backend is the module ``corruptions.<backend>``. Its function ``run(images, strengths, key, indices)`` draws what the
kernel needs, once, and returns an iterator over the results at `strengths`, which are all of one kernel. The backend
``gpu`` takes a ``device`` too. A backend whose packages or device are missing raises `BackendUnavailable`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence

from corruptions.spec import (
    BACKENDS,
    SEVERITIES,
    DrawKey,
    Images,
    Indices,
    check_images,
    check_indices,
)


def corrupt(
    images: Images,
    name: str,
    severity: int,
    *,
    dataset: str,
    split: str,
    indices: Indices | None = None,
    seed: int,
    profile: str = "imagenet-c",
    column: str | None = None,
    backend: str = "cpu",
    device: str | None = None,
) -> Images:
    """Corrupt a batch of images at one severity.

    Args:
        images: uint8 (N, H, W, C), C = 1 or 3, H and W >= 2. They may be read-only or strided, and are never changed.
        name: one of `CORRUPTIONS` or of `EXTENDED`.
        severity: 1 to 5.
        dataset: the data set's name, ASCII. With `name`, `split` and `seed` it is the key of the random numbers.
        split: ``train``, ``val`` or ``test``.
        seed: any integer, Python's or NumPy's.
        indices: position of each image in its split, 0 to 2^32 - 1; 0..N-1 by default.
        profile: one of `PROFILES`.
        column: the data set whose column of the profile ``modality`` is used; `dataset` by default.
        backend: one of `BACKENDS`; ``cpu`` and ``gpu`` give the same bytes.
        device: where the backend ``gpu`` works, such as ``cuda:1`` or ``cpu``; the current CUDA device by default.

    Returns:
        A new C-contiguous uint8 array of the same shape.

    Raises:
        TypeError: `images` is not a uint8 array, or `seed` is not an integer.
        ValueError: an argument is outside what is listed above; the message names the choices.
        BackendUnavailable: the backend's packages or device are missing.
    """
    key = DrawKey(dataset=dataset, split=split, seed=seed, profile=profile, column=column)
    return next(_run(images, name, [severity], key, indices, backend, device))


def sweep(
    images: Images,
    name: str,
    *,
    dataset: str,
    split: str,
    indices: Indices | None = None,
    seed: int,
    profile: str = "imagenet-c",
    column: str | None = None,
    backend: str = "cpu",
    device: str | None = None,
) -> Iterator[tuple[int, Images]]:
    """Yield (severity, corrupted images) for severities 1 to 5; arguments, results and errors are those of `corrupt`.

    It is quicker than five calls of `corrupt`, since the five severities share their random numbers.
    """
    key = DrawKey(dataset=dataset, split=split, seed=seed, profile=profile, column=column)
    return zip(SEVERITIES, _run(images, name, SEVERITIES, key, indices, backend, device), strict=True)


def _run(
    images: Images,
    name: str,
    severities: Sequence[int],
    key: DrawKey,
    indices: Indices | None,
    backend: str,
    device: str | None,
) -> Iterator[Images]:
    strengths = [key.strength(name, severity) for severity in severities]
    images = check_images(images)
    indices = check_indices(indices, len(images))
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r}; have {', '.join(BACKENDS)}")
    if device is not None and backend != "gpu":
        raise ValueError(f"only backend 'gpu' has a device; with {backend!r} it must be None, not {device!r}")
    run = importlib.import_module(f"corruptions.{backend}").run
    options = {"device": device} if backend == "gpu" else {}
    results: Iterator[Images] = run(images, strengths, key.philox(name), indices, **options)
    return results

"""Streaming gives what `corrupt` gives, chunk by chunk, one chunk ahead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, SEVERITIES, BackendUnavailable, corrupt, gpu, sweep
from corruptions.spec import DrawKey
from tests.corruptions.gpu.test_parity import DEVICES, WHERE, noise

KEY = DrawKey(dataset="oct", **WHERE)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("device", DEVICES)
def test_stream_gives_what_sweep_gives(name: str, channels: int, device: str) -> None:
    images = noise(11, 19, 16, channels)
    images.flags.writeable = False
    chunks = [images[:4], images[4:8], images[8:]]
    streamed: list[list[NDArray[np.uint8]]] = [[] for _ in SEVERITIES]
    key = DrawKey(dataset="oct", profile="modality", **WHERE)
    for results in gpu.stream(chunks, name, key, start=5, device=device):
        for parts, result in zip(streamed, results, strict=True):
            parts.append(result.copy())
    expected = sweep(images, name, dataset="oct", indices=range(5, 16), profile="modality", **WHERE)
    for parts, (_, result) in zip(streamed, expected, strict=True):
        assert np.array_equal(np.concatenate(parts), result)


def test_stream_computes_the_next_chunk_before_it_yields() -> None:
    images = noise(6, 8, 8, 1)
    starts = []

    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, 6, 2):
            starts.append(start)
            yield images[start : start + 2]

    stream = gpu.stream(chunks(), "contrast", KEY, severities=[2], device="cpu")
    assert starts == []
    first = next(stream)[0]
    assert starts == [0, 2]
    assert np.array_equal(first, corrupt(images[:2], "contrast", 2, dataset="oct", **WHERE))
    assert list(gpu.stream([], "contrast", KEY, device="cpu")) == []


def test_no_device_is_an_error_before_the_first_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(BackendUnavailable, match="finds 0 CUDA devices"):
        gpu.stream([], "contrast", KEY)
    with pytest.raises(ValueError, match="no corruption 'smear'"):
        gpu.stream([], "smear", KEY, device="cpu")

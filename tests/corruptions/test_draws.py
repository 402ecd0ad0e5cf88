"""Random numbers: the generator, the keys, and how words become uniforms and angles."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions.cpu import draws
from corruptions.draws import philox_key
from tests.corruptions import plain

# Random123's known answers for Philox4x32-10 (its file kat_vectors).
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
WORD = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_known_answers(counter: str, key: str, answer: str) -> None:
    words = [np.uint32(int(word, 16)) for word in f"{counter} {key}".split()]
    assert " ".join(f"{int(word):08x}" for word in draws.philox(*words)) == answer
    numbers = [int(word) for word in words]
    assert " ".join(f"{word:08x}" for word in plain.philox(tuple(numbers[:4]), tuple(numbers[4:]))) == answer


@settings(deadline=None, max_examples=30)
@given(key=st.tuples(WORD, WORD), indices=st.lists(WORD, max_size=3), size=st.integers(1, 41))
def test_uniforms_are_those_of_the_definition(key: tuple[int, int], indices: list[int], size: int) -> None:
    drawn = draws.uniforms(key, indices, size)
    assert drawn.dtype == np.uint16
    assert drawn.shape == (len(indices), size)
    for row, index in zip(drawn, indices, strict=True):
        assert row.tolist() == plain.uniforms(key, index, size).tolist()


@settings(deadline=None, max_examples=30)
@given(key=st.tuples(WORD, WORD), indices=st.lists(WORD, max_size=5))
def test_angles_are_those_of_the_definition(key: tuple[int, int], indices: list[int]) -> None:
    drawn = draws.angles(key, indices)
    assert drawn.dtype == np.uint8
    assert drawn.tolist() == [plain.angle(key, index) for index in indices]


def test_key_reads_the_digest_as_two_little_endian_words() -> None:
    digest = hashlib.sha256(b"medimeta-c/1/1/pbc/test/motion_blur").digest()
    assert philox_key(1, "pbc", "test", "motion_blur") == tuple(np.frombuffer(digest[:8], "<u4").tolist())


def test_each_part_of_the_key_matters() -> None:
    keys = {
        philox_key(1, "pbc", "test", "motion_blur"),
        philox_key(2, "pbc", "test", "motion_blur"),
        philox_key(1, "aml", "test", "motion_blur"),
        philox_key(1, "pbc", "val", "motion_blur"),
        philox_key(1, "pbc", "test", "zoom_blur"),
    }
    assert len(keys) == 5


def test_uniforms_are_uniform_and_angles_reach_every_direction() -> None:
    drawn = draws.uniforms((1, 2), range(4), 2**16).astype(float)
    # The mean of 2^18 uniforms has a standard deviation of 65536 / sqrt(12 * 2^18) = 37.
    assert abs(drawn.mean() - 32767.5) < 5 * 37
    assert len(set(draws.angles((1, 2), range(5000)).tolist())) == 256

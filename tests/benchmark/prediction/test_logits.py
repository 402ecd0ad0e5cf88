"""Files of logits: whole, or refused in a sentence."""

import io
import zipfile

import numpy as np
import pytest

from benchmark.prediction.logits import Logits, read_logits, stored_key, write_logits
from pipeline.errors import UserError


@pytest.fixture
def path(tmp_path):
    logits = Logits(np.ones((3, 2), np.float32), np.arange(3), np.arange(3), "the key", "the weights")
    write_logits(tmp_path / "folder" / "clean.npz", logits)
    return tmp_path / "folder" / "clean.npz"


def test_logits_are_read_as_they_were_written(path):
    read = read_logits(path)
    assert read.logits.tolist() == [[1, 1]] * 3
    assert read.labels.tolist() == read.indices.tolist() == [0, 1, 2]
    assert (read.key, read.weights, stored_key(path)) == ("the key", "the weights", "the key")


def npy(value):
    with io.BytesIO() as handle:
        np.save(handle, value, allow_pickle=True)
        return handle.getvalue()


def archive(**members):
    with io.BytesIO() as handle:
        with zipfile.ZipFile(handle, "w") as members_of:
            for name, data in members.items():
                members_of.writestr(f"{name}.npy", data)
        return handle.getvalue()


WHOLE = {name: npy(np.arange(3)) for name in ("logits", "labels", "indices", "key", "weights")}
HEADER = npy(np.arange(3)).replace(b"(3,)", b"(9,)")
DAMAGED = {
    "empty": b"",
    "text": b"no npz at all",
    "an array": npy(np.arange(3)),
    "a number": npy(np.float32(3)),
    "a pickle": npy(np.array([{}], object)),
    "members lack": archive(key=npy(np.array("k"))),
    "a member is empty": archive(**WHOLE | {"key": b""}),
    "a member is text": archive(**WHOLE | {"key": b"text"}),
    "a member is longer than it is": archive(**WHOLE | {"key": HEADER}),
    "a member is an object": archive(
        **WHOLE | {"key": npy(np.array([{}], object)), "logits": npy(np.array([{}], object))}
    ),
    "a header is deep": archive(**WHOLE | {"key": npy(np.arange(3)).replace(b"(3,)", b"((((")}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_another_file_is_a_sentence_and_is_predicted_again(kind, path):
    path.write_bytes(DAMAGED[kind])
    with pytest.raises(UserError, match=r"is not a whole file of logits .*; delete it and predict again"):
        read_logits(path)
    assert stored_key(path) is None


@pytest.mark.parametrize("part", range(1, 8))
def test_a_file_that_was_cut_is_a_sentence(part, path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * part // 8])
    with pytest.raises(UserError, match="is not a whole file of logits"):
        read_logits(path)
    assert stored_key(path) is None


def test_bytes_that_flipped_are_a_sentence_or_read_as_arrays(path):
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        stored_key(path)
        try:
            read_logits(path)
        except UserError as mistake:
            assert "is not a whole file of logits" in str(mistake)  # noqa: PT017 - what flipped may be a date


def test_a_file_that_is_not_there_has_no_key(tmp_path):
    assert stored_key(tmp_path / "clean.npz") is None
    with pytest.raises(FileNotFoundError):
        read_logits(tmp_path / "clean.npz")

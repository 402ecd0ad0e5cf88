from __future__ import annotations

import argparse
import json
import os
import re
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

from benchmark.models.components.checkpoints import check_finite, load_tensors, read_tensors
from pipeline.errors import UserError
from tests.benchmark.conftest import refusal


def test_reads_safetensors_and_checkpoints_alike(tmp_path):
    tensors = {"a.weight": torch.arange(4.0), "b": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "w.safetensors")
    torch.save(tensors, tmp_path / "w.pt")
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}}
    torch.save(wrapped, tmp_path / "training.pt")
    for file in ("w.safetensors", "w.pt", "training.pt"):
        read = read_tensors(tmp_path / file)
        assert list(read) == list(tensors)
        assert all(torch.equal(read[name], tensors[name]) for name in tensors)


class Arguments(argparse.Namespace):
    """Stands for a class of somebody's training code."""


class Trap:
    """Makes a folder when it is unpickled as pickle would."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_what_is_not_a_tensor_is_read_as_a_stand_in(tmp_path, monkeypatch):
    content = {
        "state_dict": {"w": torch.ones(3)},
        "args": Arguments(lr=0.1, layers=[1, 2]),
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}},
    }
    torch.save(content, tmp_path / "w.pt")
    monkeypatch.delattr(sys.modules[__name__], "Arguments")  # somebody's training code is not here
    assert torch.equal(read_tensors(tmp_path / "w.pt")["w"], torch.ones(3))


def test_nothing_that_a_checkpoint_says_is_run(tmp_path):
    torch.save({"w": torch.ones(3), "trap": Trap(str(tmp_path / "sprung"))}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="would run something"):
        read_tensors(tmp_path / "w.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_weights_are_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"no such format" * 20)
    with pytest.raises(UserError, match=r"can't be read as weights|is damaged") as caught:
        read_tensors(tmp_path / name)
    assert "\n" not in str(caught.value)


def safetensors(header, *, length=None):
    """Return a file of 16 bytes of numbers with such a header, which says that it has `length` bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(16)


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        *(safetensors({"w": ENTRY}, length=length) for length in (0, 1, 70, 10**9, 2**63)),
        safetensors({"w": ENTRY})[:-1],
        safetensors({"w": ENTRY}) + b"x",
        *(safetensors(text) for text in (b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"a":' * 5000, b'{"\xff": 1}')),
        *(safetensors({"w": ENTRY | {"shape": shape}}) for shape in ([3, 2], [-2, -2], [2**62, 2**62], "2", [2.0, 2])),
        *(safetensors({"w": ENTRY | {"data_offsets": place}}) for place in ([0, 17], [1, 17], [16, 0], [0], None)),
        safetensors({"w": ENTRY | {"dtype": "F99"}}),
        safetensors({"w": ENTRY, "v": ENTRY}),
        safetensors({"w": ENTRY, "__metadata__": {"format": 1}}),
    ],
    ids=lambda content: content[:40].decode("latin-1"),
)
def test_a_header_that_lies_is_one_sentence(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors can't be read as weights") as caught:
        read_tensors(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([".safetensors", ".pt"]))
@pytest.mark.filterwarnings("ignore")
def test_any_edit_of_a_models_file_is_its_tensors_or_a_sentence(tmp_path, data, suffix):
    """What can be read has the module's names, shapes and kinds of numbers, or is refused by `load_tensors`."""
    module, path = nn.Linear(2, 3), tmp_path / f"w{suffix}"
    torch.save(module.state_dict(), path)
    content = bytearray(save(module.state_dict()) if suffix == ".safetensors" else path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)) if content else ():
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    sentence = refusal(lambda: load_tensors(module, read_tensors(path), model="it"))
    assert sentence is None or str(path) in sentence or "the weights" in sentence


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.int8, torch.bool], ids=str)
def test_numbers_of_another_kind_are_refused_by_name(dtype):
    tensors = {"weight": torch.ones(3, 2), "bias": torch.ones(3).to(dtype)}
    with pytest.raises(UserError, match=f"the weights are not those of it: bias is {dtype} and not torch.float32$"):
        load_tensors(nn.Linear(2, 3), tensors, model="it")
    if tensors["bias"].is_floating_point() or tensors["bias"].is_complex():
        with pytest.raises(UserError, match=f"damaged: bias is {dtype}, which is not read$"):
            check_finite(tensors, "damaged")


def test_a_checkpoint_of_an_older_torch_is_one_sentence(tmp_path):
    for content in ({"w": torch.ones(3)}, {"w": torch.ones(3), "trap": Trap(str(tmp_path / "sprung"))}):
        torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
        with pytest.raises(UserError, match=r"is a checkpoint of torch before 1\.6"):
            read_tensors(tmp_path / "w.pt")
    assert not (tmp_path / "sprung").exists()


def test_names_that_are_no_strings_are_none(tmp_path):
    torch.save({0: torch.ones(3)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no tensors by name"):
        read_tensors(tmp_path / "w.pt")


def test_a_file_without_tensors_is_an_error(tmp_path):
    torch.save({"epoch": 1}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no tensors by name"):
        read_tensors(tmp_path / "w.pt")


def test_a_module_takes_exactly_the_modules_tensors():
    module = nn.Linear(2, 3)
    full = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    load_tensors(module, full, model="it")
    assert torch.equal(module.weight, torch.ones(3, 2))
    load_tensors(module, {**full, "old.position_ids": torch.ones(1)}, model="it", computed=(".position_ids",))
    with pytest.raises(UserError, match="not those of it: bias is missing, extra is left over"):
        load_tensors(module, {"weight": full["weight"], "extra": torch.ones(1)}, model="it")
    with pytest.raises(UserError, match=re.escape("weight is (2, 2) and not (3, 2)")):
        load_tensors(module, {"weight": torch.ones(2, 2), "bias": full["bias"]}, model="it")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(value):
    tensors = {"weight": torch.ones(3, 2), "bias": torch.tensor([0.0, value, 0.0]), "mask": torch.tensor([-torch.inf])}
    with pytest.raises(UserError, match=r"the weights of it are damaged: bias has NaN or infinite numbers$"):
        load_tensors(nn.Linear(2, 3), tensors, model="it", computed=("mask",))

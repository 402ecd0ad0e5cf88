from __future__ import annotations

import argparse
import os
import re
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.models.components.checkpoints import load_tensors, read_tensors
from pipeline.errors import UserError


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

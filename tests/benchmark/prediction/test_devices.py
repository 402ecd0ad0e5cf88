"""Devices by name."""

import pytest
import torch

from benchmark.models.devices import list_devices, parse_device


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu:1", "", "cuda:-1"])
def test_devices_that_there_are_none_of(name):
    with pytest.raises(ValueError, match="no device"):
        parse_device(name)


def test_all_gpus_are_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert list_devices("auto") == list_devices("cuda") == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert list_devices("cuda:1") == [torch.device("cuda", 1)]
    assert list_devices("cpu") == [torch.device("cpu")]
    with pytest.raises(ValueError, match="cuda:2 was asked for, and torch sees 2; have auto, cpu"):
        parse_device("cuda:2")


def test_a_device_that_is_not_there_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match="torch sees none"):
        parse_device("cuda")
    assert parse_device("auto").type == "cpu"

from __future__ import annotations

import argparse
import os
import re

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.models import RECORDS, weights
from benchmark.models.record import File, ModelError
from benchmark.models.weights import Files, fill, read, sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLIP = RECORDS["clip"]


def one(**changes):
    """A record of one file of a hub that is never reached."""
    return CLIP.but(name="one", files=(File("w.bin", repo="owner/name", revision=COMMIT, **changes),))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hub, and a Hub at an address where nothing listens."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    here = "http://127.0.0.1:9"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", here)
    address = here + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its tries
    return tmp_path / "cache"


def test_a_local_file_is_found_and_its_checksum_tested(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"weights")
    digest = sha256(tmp_path / "w.bin")
    assert Files(one(sha256=digest), folder=tmp_path).path() == tmp_path / "w.bin"
    with pytest.raises(ModelError, match=f"is not the published w.bin: its SHA-256 is {digest}, not {'0' * 64}"):
        Files(one(sha256="0" * 64), folder=tmp_path).path()


def test_a_missing_local_file_says_where_it_comes_from(tmp_path):
    with pytest.raises(ModelError, match=rf"needs .*w\.bin, which is not there; it comes from owner/name@{COMMIT}"):
        Files(one(), folder=tmp_path).path()


def test_a_file_that_is_on_no_hub_says_where_it_is():
    with pytest.raises(
        ModelError, match=r"medclip has its pytorch_model.bin not on the Hub: get it from https://.*zip"
    ):
        Files(RECORDS["medclip"]).path()


@pytest.mark.parametrize("offline", [True, False])
def test_no_network_is_one_sentence(cache, offline, capfd):
    with pytest.raises(
        ModelError, match=r"one needs w.bin of owner/name@.*neither in the Hub's cache nor to be had"
    ) as caught:
        Files(one(), offline=offline).path()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_cached_file_needs_no_network(cache):
    snapshot = cache / "models--owner--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "w.bin").write_bytes(b"weights")
    for offline in (True, False):
        assert Files(one(), offline=offline).path().read_bytes() == b"weights"


def test_an_older_repositorys_file_is_taken_where_the_newer_is_not(tmp_path, cache, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import RemoteEntryNotFoundError

    record = one(otherwise="w.old")
    (tmp_path / "w.old").write_bytes(b"older")
    assert Files(record, folder=tmp_path).path().name == "w.old"
    (tmp_path / "w.bin").write_bytes(b"newer")
    assert Files(record, folder=tmp_path).path().name == "w.bin"
    asked = []

    def download(repo, name, *, revision, local_files_only):
        asked.append((name, local_files_only))
        if local_files_only:
            raise FileNotFoundError(name)
        if name == "w.bin":
            raise RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert Files(record).path() == tmp_path / "w.old"
    assert asked == [("w.bin", True), ("w.old", True), ("w.bin", False), ("w.old", False)]
    asked.clear()
    with pytest.raises(ModelError, match=r"needs w\.bin of owner/name"):
        Files(record, offline=True).path()
    assert all(cached for _, cached in asked)


def test_the_files_that_were_read_have_their_own_names_and_checksums(tmp_path):
    record = one(otherwise="w.old")
    (tmp_path / "w.old").write_bytes(b"older")
    files = Files(record.but(files=(*record.files, File("unread"))), folder=tmp_path)
    assert files.taken() == files.record.files
    files.path()
    known = {"repo": "owner/name", "revision": COMMIT}
    assert files.taken() == (File("w.old", sha256(tmp_path / "w.old"), **known), File("unread"))
    (tmp_path / "w.bin").write_bytes(b"newer")
    files.path()
    assert files.taken()[0] == File("w.bin", sha256(tmp_path / "w.bin"), **known)


def test_reads_safetensors_and_checkpoints_alike(tmp_path):
    tensors = {"a.weight": torch.arange(4.0), "b": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "w.safetensors")
    torch.save(tensors, tmp_path / "w.pt")
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}}
    torch.save(wrapped, tmp_path / "training.pt")
    for file in ("w.safetensors", "w.pt", "training.pt"):
        found = read(tmp_path / file)
        assert list(found) == list(tensors)
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)


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
    monkeypatch.delattr("tests.benchmark.models.test_weights.Arguments")  # somebody's training code is not here
    assert torch.equal(read(tmp_path / "w.pt")["w"], torch.ones(3))


def test_nothing_that_a_checkpoint_says_is_run(tmp_path):
    torch.save({"w": torch.ones(3), "trap": Trap(str(tmp_path / "sprung"))}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="would run something"):
        read(tmp_path / "w.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_weights_are_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"no such format" * 20)
    with pytest.raises(ModelError, match=r"can't be read as weights|is damaged") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_without_tensors_is_an_error(tmp_path):
    torch.save({"epoch": 1}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds no tensors by name"):
        read(tmp_path / "w.pt")


def test_fill_takes_exactly_the_modules_tensors():
    module = nn.Linear(2, 3)
    full = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    fill(module, full, of="it")
    assert torch.equal(module.weight, torch.ones(3, 2))
    fill(module, {**full, "old.position_ids": torch.ones(1)}, of="it", but=(".position_ids",))
    with pytest.raises(ModelError, match="not those of it: bias is missing, extra is left over"):
        fill(module, {"weight": full["weight"], "extra": torch.ones(1)}, of="it")
    with pytest.raises(ModelError, match=re.escape("weight is (2, 2) and not (3, 2)")):
        fill(module, {"weight": torch.ones(2, 2), "bias": full["bias"]}, of="it")


def test_a_folder_without_adapter_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"no adapter in .*adapter_config.json is missing"):
        weights.put_adapter(None, tmp_path)

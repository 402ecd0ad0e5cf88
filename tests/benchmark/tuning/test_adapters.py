"""What a tuning leaves behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from benchmark.models import records
from benchmark.tuning import adapters
from benchmark.tuning.records import EpochRecord, TuneRecord, TuningSettings
from pipeline.io.atomic import is_temporary
from pipeline.io.checksums import file_checksum
from pipeline.workspace.paths import Workspace
from tests.pipeline.conftest import REPOSITORY


def record(**changes):
    """Return the record of a short run."""
    settings = TuningSettings(
        base="clip", rank=8, augment=False, seed=1, shots=0, percent=7.5, split="val", epochs=9, alpha=16
    )
    fields = {
        "base": "clip",
        "settings": settings,
        "shots": {"oct": (1, 2)},
        "corruptions": (),
        "parameters": 1000,
        "history": (EpochRecord(epoch=1, loss=2.0), EpochRecord(epoch=2, loss=1.0, clean=0.5, validation=0.5)),
        "best_epoch": 2,
        "scales": {1.0: 0.5},
        "scale": 1.0,
        "chosen_on": "rest of val",
        "held_images": 7,
        "device": "cpu",
        "key": "",
    }
    return TuneRecord(**fields | changes)


class Tower:
    """A tower of one tensor, channels last, that is saved as PEFT 0.18 saves one."""

    def __init__(self, value):
        self.weights = {"lora_A": torch.full((1, 2, 3, 3), value).contiguous(memory_format=torch.channels_last)}

    def state_dict(self):
        return self.weights

    def save_pretrained(self, folder, *, state_dict, **options):
        save_file(state_dict, Path(folder, "adapter_model.safetensors"))


@pytest.mark.parametrize("move", range(1, 5))
def test_control_c_leaves_an_adapter_with_its_own_record(move, tmp_path, monkeypatch):
    """It comes after an old folder or a new one was moved, and is not lost."""
    workspace, moved = Workspace(tmp_path), []
    adapters.save_adapter(Tower(1.0), records()["clip"], workspace, "mine", record(key="old"), synthetic=False)
    rename = Path.rename

    def rename_and_interrupt(self, target):
        rename(self, target)
        moved.append(target)
        if len(moved) == move:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Path, "rename", rename_and_interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            adapters.save_adapter(Tower(2.0), records()["clip"], workspace, "mine", record(key="new"), synthetic=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(moved) == 4
    assert (load_file(workspace.adapter("mine") / "adapter_model.safetensors")["lora_A"] == 2).all()
    weights = file_checksum(workspace.adapter("mine") / "adapter_model.safetensors")
    assert TuneRecord.read(workspace, "mine") == record(key="new", weights_sha256=weights)
    assert sorted(path.name for path in workspace.model("mine").iterdir()) == ["adapter", "live", "tune.json"]


@pytest.mark.parametrize(
    ("base", "licence", "repo"),
    [
        ("biomedclip", "mit", "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"),
        ("medclip", "other", None),
        ("unimedclip", "cc-by-nc-4.0", "UzairK/unimed-clip-vit-b16"),
    ],
)
def test_an_adapters_card_has_metadata_that_the_hub_takes(base, licence, repo, tmp_path):
    workspace = Workspace(tmp_path)
    adapters.save_adapter(Tower(1.0), records()[base], workspace, "mine", record(), synthetic=True)
    card = ModelCard.load(workspace.adapter("mine") / "README.md")
    assert (card.data.license, card.data.base_model, card.data.library_name) == (licence, repo, "peft")
    assert "synthetic" in card.data.tags
    assert f"| licence of the base | {records()[base].licence} |" in card.text
    assert "7.5 % of each class of the clean val split of oct: 2 images" in card.text


def test_curves_have_a_row_an_epoch_where_there_is_a_value(tmp_path):
    adapters.write_curves(tmp_path / "live", record().history)
    tables = {path.stem: path.read_text().splitlines() for path in (tmp_path / "live").rglob("*.tsv")}
    assert set(tables) == {"loss", "clean", "validation"}
    assert [len(rows) for rows in (tables["loss"], tables["clean"])] == [1 + 2, 1 + 1]


WORK = """
import os, signal, sys
from pathlib import Path
from benchmark.tuning import adapters
from tests.benchmark.tuning import test_adapters as tests

moves, rename = [], Path.rename

def kill_at_a_move(path, target):
    moves.append(path)
    if len(moves) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)

tests.save(sys.argv[1], "old", 1)
Path.rename = kill_at_a_move
tests.save(sys.argv[1], "new", 2)
"""


def save(root, key, epochs):
    """Save an adapter, its record and curves of so many epochs."""
    history = tuple(EpochRecord(epoch=k + 1, loss=1.0) for k in range(epochs))
    adapters.save_adapter(
        Tower(float(epochs)),
        records()["clip"],
        Workspace(root),
        "mine",
        record(key=key, history=history),
        synthetic=False,
    )


@pytest.mark.parametrize("move", range(1, 5))
def test_a_kill_leaves_whole_curves_and_the_next_run_removes_the_rest(move, tmp_path):
    """It comes before an old folder or a new one is moved, of the curves and then of the adapter."""
    killed = subprocess.run([sys.executable, "-c", WORK, str(tmp_path), str(move)], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = Workspace(tmp_path).model("mine")
    assert [path for path in folder.iterdir() if is_temporary(path)]
    live = folder / "live"
    if move == 2:
        assert not live.exists(), "the old one is moved away and the new one not yet there"
    else:
        rows = (live / "plots" / "metrics" / "loss.tsv").read_text().splitlines()
        assert len(rows) == 1 + (1 if move == 1 else 2)
        assert json.loads((live / "metrics.json").read_text())["step"] == len(rows) - 2
    save(tmp_path, "new", 2)
    assert not [path for path in folder.rglob("*") if is_temporary(path)]
    assert adapters.saved_record(Workspace(tmp_path), "mine", "new") is not None


def test_a_record_is_found_again_with_its_key_and_its_own_weights_alone(tmp_path):
    workspace = Workspace(tmp_path)
    assert adapters.saved_record(workspace, "mine", "key") is None
    adapters.save_adapter(Tower(1.0), records()["clip"], workspace, "mine", record(key="key"), synthetic=False)
    saved = adapters.saved_record(workspace, "mine", "key")
    assert saved is not None
    assert saved.changed(weights_sha256=None) == record(key="key", weights_sha256=None)
    assert adapters.saved_record(workspace, "mine", "another key") is None
    weights = workspace.adapter("mine") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert adapters.saved_record(workspace, "mine", "key") is None, "somebody else's weights"
    weights.unlink()
    assert adapters.saved_record(workspace, "mine", "key") is None

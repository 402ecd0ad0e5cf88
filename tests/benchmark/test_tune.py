"""Tuning a phantom-clip with LoRA on a tiny benchmark of coloured discs: what is seen, kept, resumed, written."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from benchmark import tune
from benchmark.data import pool
from benchmark.models import loading, records
from benchmark.tuning import adapters
from benchmark.tuning.augmentation import Corrupting, Moving
from corruptions import corrupt
from pipeline import manifest
from pipeline.config import Tuned, read_config
from pipeline.errors import UserError
from pipeline.paths import Workspace

from .conftest import CLASSES, discs


def test_shots_are_stratified():
    labels = np.array([0] * 50 + [1] * 10 + [2])
    sixteen = pool.shots(labels, count=16, percent=0, seed=(1,))
    assert np.bincount(labels[sixteen]).tolist() == [16, 10, 1]
    tenth = pool.shots(labels, count=0, percent=10, seed=(1,))
    assert np.bincount(labels[tenth]).tolist() == [5, 1, 1]
    assert np.bincount(labels[pool.shots(labels, count=0, percent=7.5, seed=(1,))]).tolist() == [4, 1, 1]
    assert sixteen.tolist() == sorted(set(sixteen.tolist()))
    assert sixteen.tolist() != pool.shots(labels, count=16, percent=0, seed=(2,)).tolist()


def test_validation_is_neither_tuned_on_nor_scored(trained):
    shots, held = tune.chosen_images(
        Workspace(trained), list(CLASSES), read_config(Workspace(trained)).benchmark, seed=5
    )
    assert len(shots) == 2 * (4 + 2)
    tuned = {(shots.parts[s].dataset, "train", r) for s, r in zip(shots.sets, shots.rows, strict=True)}
    splits = {part.split for part in held.parts}
    assert splits == {"train", "val"}
    for part in held.parts:
        assert not tuned & {(part.dataset, part.split, row) for row in part.indices}


def test_images_that_are_scored_choose_no_epoch(trained):
    chosen = replace(read_config(Workspace(trained)).benchmark, split="val")
    _, held = tune.chosen_images(Workspace(trained), list(CLASSES), chosen, seed=5)
    assert {part.split for part in held.parts} == {"train"}
    paper = replace(
        read_config(Workspace(trained)).benchmark,
        tune=replace(read_config(Workspace(trained)).benchmark.tune, split="val", shots=1),
    )
    shots, held = tune.chosen_images(Workspace(trained), list(CLASSES), paper, seed=5)
    assert {part.split for part in (*shots.parts, *held.parts)} == {"val"}
    assert len(shots) + len(held) == 2 * 8


@pytest.fixture
def run(trained):
    """A run that leaves no checkpoint behind."""
    made = tune.Tuning(trained, "plain")
    yield made
    made._checkpoint_path.unlink(missing_ok=True)


def test_the_best_epoch_is_kept_and_the_log_says_how_long_it_takes(run, monkeypatch, capsys):
    after, scores = [], iter([0.5, 0.9, 0.7])

    def validate():
        after.append({name: weight.detach().clone() for name, weight in run.weights.items()})
        return {"validation": next(scores)}

    monkeypatch.setattr(run, "validate", validate)
    monkeypatch.setattr(run, "_scaled", dict)
    assert run.run()["best_epoch"] == 2
    assert all(torch.equal(run.weights[name], weight) for name, weight in after[1].items())
    assert not all(torch.equal(run.weights[name], weight) for name, weight in after[2].items())
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"epoch 1 of 3: loss \d+\.\d{3}, validation 50.0%; about .+ left", lines[0])
    assert lines[2].endswith("about 0 s left")


def test_gradients_are_clipped_to_their_norm(run):
    norms = []
    for clip in (1e9, 1e-3):
        run.plan = replace(run.plan, tune=replace(run.plan.tune, clip=clip))
        run._step(np.arange(4), (1, 2))
        norms.append(float(torch.cat([weight.grad.flatten() for weight in run.weights.values()]).norm()))
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


def test_text_features_of_all_data_sets_or_of_the_images_own(trained, monkeypatch):
    own = tune.Tuning(trained, "plain")
    assert own.features.shape == (4 + 2, 64)
    assert not own.features.requires_grad
    assert own.allowed.tolist() == [[True] * 4 + [False] * 2, [False] * 4 + [True] * 2]
    chosen = replace(
        read_config(Workspace(trained)).benchmark,
        tune=replace(read_config(Workspace(trained)).benchmark.tune, classes="all"),
    )
    monkeypatch.setattr(tune, "plan", lambda root: chosen)
    everybody = tune.Tuning(trained, "plain")
    assert everybody.allowed.all()
    assert everybody.key != own.key
    places = np.arange(len(own.shots))
    # the same images and weights: more classes to be told apart from can only add to the loss
    torch.manual_seed(0)
    less = own._step(places, (1, 2))
    torch.manual_seed(0)
    assert everybody._step(places, (1, 2)) > less


def test_a_tower_without_layers_for_lora_is_one_sentence(trained, monkeypatch):
    monkeypatch.setattr("benchmark.models.model.Model.lora_targets", "no_such_layer")
    with pytest.raises(UserError, match=r"LoRA can't be put on phantom-clip: .*no_such_layer") as caught:
        tune.Tuning(trained, "plain")
    assert "\n" not in str(caught.value)


def test_an_adapter_is_no_base(trained):
    chosen = replace(read_config(Workspace(trained)).benchmark, tuned={"mine": Tuned(base="robustmedclip")})
    with pytest.raises(UserError, match=r"robustmedclip is an adapter itself.*have its base, biomedclip"):
        loading.load(Workspace(trained), chosen, "mine", device="cpu")


def test_a_pinned_model_under_the_name_of_a_base_is_no_folder(trained):
    chosen = replace(read_config(Workspace(trained)).benchmark, weights={"biomedclip": f"hub:someone/clip@{'0' * 40}"})
    with pytest.raises(
        UserError, match=r"^rmedclip is an adapter on biomedclip, and params.yaml has 'hub:someone/clip"
    ):
        loading.load(Workspace(trained), chosen, "rmedclip", device="cpu")


def key(root, name, **changes):
    """Return the key of a run in a workspace whose params.yaml is changed."""
    values = yaml.safe_load((root / "params.yaml").read_text())
    for place, value in changes.items():
        *above, last = place.split("__")
        inner = values
        for part in above:
            inner = inner[part]
        inner[last] = value
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    return tune.Tuning(root, name).key


def test_a_key_depends_on_the_images_that_choose_and_on_corruptions_only_if_they_are_seen(trained, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(trained, root)
    plain, robust = key(root, "plain"), key(root, "robust")
    assert key(root, "robust", profile="modality") != robust
    assert key(root, "plain") == plain
    assert key(root, "robust", profile="imagenet-c", columns={"oct": "fundus"}) != robust
    assert key(root, "plain") == plain
    assert key(root, "robust", columns={}) == robust
    path = Workspace(root).manifest("oct", manifest.CLEAN)
    before = path.read_text()
    path.write_text(before.replace(json.loads(before)["splits"]["val"]["images"], "0" * 64))
    assert key(root, "plain") != plain, "other images choose the epoch"
    path.write_text(before)
    assert key(root, "plain", benchmark__split="val") != plain, "val chooses no epoch any more"


@pytest.mark.parametrize("name", ["plain", "robust"])
def test_a_killed_run_goes_on_to_the_same_weights(trained, name):
    straight = tune.Tuning(trained, name)
    straight.run()
    straight._checkpoint_path.unlink()
    killed = tune.Tuning(trained, name)
    killed.run(stop_after=2)
    resumed = tune.Tuning(trained, name)
    state = resumed.run()
    assert len(state["history"]) == 3
    for key, weight in straight.weights.items():
        assert torch.equal(weight, resumed.weights[key]), key
    resumed._checkpoint_path.unlink()


@pytest.mark.slow
def test_a_run_that_was_really_killed_goes_on_to_the_same_bytes(trained, tmp_path):
    """One process is killed once its checkpoint stands and another ends its work; a third does all of it in one go."""
    results = []
    for kill in (True, False):
        root = tmp_path / str(kill)
        shutil.copytree(trained, root)
        command = [sys.executable, "-m", "benchmark.tune", "--root", str(root), "--model", "plain"]
        folder = Workspace(root).model("plain")
        if kill:
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while running.poll() is None and not (folder / "checkpoint.pt").exists():
                time.sleep(0.001)
            running.kill()
            assert running.wait() == -signal.SIGKILL
            assert not (folder / "adapter").exists()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert ("epoch 1 of 3" in done.stdout) != kill
        results.append((folder / "adapter" / "adapter_model.safetensors").read_bytes())
    assert results[0] == results[1]


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_gone_on_with(trained):
    run = tune.Tuning(trained, "plain")
    run.run(stop_after=1)
    other = tune.Tuning(trained, "plain")
    other.key = "another"
    assert other._resume()["epoch"] == 0
    assert run._resume()["epoch"] == 1
    run._checkpoint_path.write_bytes(run._checkpoint_path.read_bytes()[:1000])
    assert run._resume()["epoch"] == 0
    run._checkpoint_path.unlink()


def test_tuning_leaves_an_adapter_that_loads_and_moves_nothing_else(trained):
    assert tune.main(["--root", str(trained), "--model", "plain"]) == 0
    places = Workspace(trained)
    record = json.loads((places.model("plain") / "tune.json").read_text())
    assert record["corruptions"] == []
    assert [line["epoch"] for line in record["history"]] == [1, 2, 3]
    assert not (places.model("plain") / "checkpoint.pt").exists()
    assert "12 images" in (places.adapter("plain") / "README.md").read_text()
    curves = json.loads((places.model("plain") / "live" / "metrics.json").read_text())
    assert curves["validation"] == pytest.approx(record["history"][-1]["validation"])
    chosen = read_config(Workspace(trained)).benchmark
    merged = loading.load(places, chosen, "plain", device="cpu")
    wrapped = loading.load(places, chosen, "plain", device="cpu", merge=False)
    base = loading.load(places, chosen, "phantom-clip", device="cpu")
    images = base.preprocess(discs("oct", "test", 3)[0])
    with torch.inference_mode():
        together, apart, before = (model.encode_images(images) for model in (merged, wrapped, base))
    assert torch.allclose(together, apart, atol=1e-5)
    assert not torch.allclose(together, before, atol=1e-4)


class Tower:
    """A tower of one tensor, channels last, that is saved as PEFT 0.18 saves one."""

    def __init__(self, value):
        self.weights = {"lora_A": torch.full((1, 2, 3, 3), value).contiguous(memory_format=torch.channels_last)}

    def state_dict(self):
        return self.weights

    def save_pretrained(self, folder, *, state_dict, **options):
        save_file(state_dict, Path(folder, "adapter_model.safetensors"))


@pytest.mark.parametrize("move", [1, 2])
def test_control_c_leaves_an_adapter_with_its_own_record(move, tmp_path, monkeypatch):
    """It comes after the old adapter or the new one was moved, and is not lost."""
    places, moved = Workspace(tmp_path), []
    monkeypatch.setattr(adapters, "card", lambda *_: "")
    adapters.keep(Tower(1.0), records()["clip"], places, "mine", {"of": "old"})
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
            adapters.keep(Tower(2.0), records()["clip"], places, "mine", {"of": "new"})
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(moved) == 2
    assert (load_file(places.adapter("mine") / "adapter_model.safetensors")["lora_A"] == 2).all()
    assert json.loads((places.model("mine") / "tune.json").read_text()) == {"of": "new"}
    assert sorted(path.name for path in places.model("mine").iterdir()) == ["adapter", "tune.json"]


@pytest.mark.parametrize(
    ("base", "licence", "repo"),
    [
        ("biomedclip", "mit", "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"),
        ("medclip", "other", None),
        ("unimedclip", "other", "UzairK/unimed-clip-vit-b16"),
    ],
)
def test_an_adapters_card_has_metadata_that_the_hub_takes(base, licence, repo):
    how = {"shots": 0, "percent": 7.5, "split": "val", "rank": 8, "alpha": 16, "seed": 1, "epochs": 9}
    record = {"settings": how, "shots": {"oct": [1, 2]}, "corruptions": [], "parameters": 1000, "best_epoch": 4}
    record |= {"scale": 1.0, "scales": {"1.0": 0.5}, "held_images": 7, "chosen_on": "rest of val"}
    card = ModelCard(adapters.card("mine", records()[base], record))
    assert (card.data.license, card.data.base_model, card.data.library_name) == (licence, repo, "peft")
    assert f"| licence of the base | {records()[base].licence} |" in card.text
    assert "7.5 % of each class of the clean val split of oct: 2 images" in card.text


def test_corrupted_views_are_the_benchmarks_own_and_never_held_out(trained):
    layout = Workspace(trained)
    images = pool.Pool([pool.part(layout, "mammo_mass", "train", [3, 4, 5])])
    view = Corrupting(["contrast"], strength=1, profile="imagenet-c", columns={}, share=1.0)
    made = view(images, np.arange(3), (1, 2))
    native = discs("mammo_mass", "train", 24)[0][3:6]
    expected = corrupt(native, "contrast", 1, dataset="mammo_mass", split="train", indices=[3, 4, 5], seed=0)
    assert np.array_equal(made, np.repeat(expected, 3, axis=-1))
    assert np.array_equal(view(images, np.arange(3), (1, 2)), made)
    noise = Corrupting(["gaussian_noise"], strength=5, profile="imagenet-c", columns={}, share=1.0)
    grey = noise(images, np.arange(3), (1, 2))
    assert np.array_equal(grey[..., 0], grey[..., 2]), "grey images are corrupted as one channel"
    held = tune.Tuning(trained, "robust").corrupting
    assert set(held.names).isdisjoint({"contrast", "zoom_blur"})
    with pytest.raises(ValueError, match="no corruption 'fog'"):
        Corrupting(["fog"], strength=1, profile="imagenet-c", columns={})


def test_only_images_that_may_be_mirrored_are(trained):
    rising = torch.linspace(0, 1, 32).expand(64, 3, 32, 32).contiguous()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        moved = Moving(32, ["pneumonia", "mammo_mass"])(rising, torch.tensor([0, 1] * 32))
    upright = (moved[..., -1] > moved[..., 0]).float().mean(dim=(1, 2))
    assert (upright[0::2] == 1).all()
    assert 0.2 < (upright[1::2] == 0).float().mean() < 0.8


def test_an_epoch_shows_every_data_set_alike():
    sets = np.array([0] * 30 + [1] * 4 + [2] * 6)
    drawn = tune.balanced(sets, np.random.default_rng(0))
    assert len(drawn) == len(sets)
    assert sorted(np.bincount(sets[drawn])) == [13, 13, 14]
    times = np.bincount(drawn, minlength=len(sets))
    assert set(times[:30]) <= {0, 1}
    assert set(times[30:34]) == {3, 4}


def test_the_part_of_the_update_that_validates_best_is_kept(trained, monkeypatch):
    run = tune.Tuning(trained, "plain")
    with torch.no_grad():
        for weight in run.weights.values():
            weight.fill_(1.0)
    scores = iter([0.3, 0.5, 0.9, 0.2, 0.9, 0.1])
    monkeypatch.setattr(run, "validate", lambda: {"validation": next(scores)})
    assert run._scaled()[0.6] == 0.9
    kept = {name: float(weight.detach().mean()) for name, weight in run.weights.items()}
    assert all(kept[name] == pytest.approx(0.8 if "lora_B" in name else 1.0) for name in kept), (
        "the larger of two equals"
    )

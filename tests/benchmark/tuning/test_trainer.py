"""Tuning a phantom-clip with LoRA on a tiny benchmark of coloured discs: what is seen, kept, resumed, written."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from kornia.geometry.transform import hflip, vflip

from benchmark import tune
from benchmark.models import loading
from benchmark.tuning import trainer
from benchmark.tuning.geometry import RandomCropAndMirror
from benchmark.tuning.records import TuneRecord
from benchmark.tuning.trainer import Progress, Tuning
from corruptions import CORRUPTIONS
from corruptions.table import STRENGTHS
from pipeline.config.benchmark import Tuned
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.workspace.cell import CLEAN
from pipeline.workspace.paths import Workspace

from ..conftest import discs


def tuning(root, name, **changes):
    """Return a run in a workspace; `changes` are of its settings of all tuned models."""
    config = read_config(Workspace(root))
    tune = config.benchmark.tune.changed(**changes)
    return Tuning(Workspace(root), config.changed(benchmark=config.benchmark.changed(tune=tune)), name)


@pytest.fixture
def run(trained):
    """A run that leaves no checkpoint behind."""
    made = tuning(trained, "plain")
    yield made
    made.checkpoint_path.unlink(missing_ok=True)


def step(run, positions):
    return run.step(positions, run.shots.read(positions))


def test_the_best_epoch_is_kept_and_the_log_says_how_long_it_takes(run, monkeypatch, capsys):
    after, scores = [], iter([0.5, 0.9, 0.7])

    def validate():
        after.append({name: weight.detach().clone() for name, weight in run.weights.items()})
        return {"validation": next(scores)}

    monkeypatch.setattr(run, "validate", validate)
    progress = run.run()
    assert progress.best_epoch == 2
    monkeypatch.setattr(run, "choose_scale", lambda full_score: {1.0: full_score})
    record = run.keep_best(progress)
    assert (record.best_epoch, record.scale, record.scales) == (2, 1.0, {1.0: 0.9})
    assert all(torch.equal(run.weights[name], weight) for name, weight in after[1].items())
    assert not all(torch.equal(run.weights[name], weight) for name, weight in after[2].items())
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"epoch 1 of 3: loss \d+\.\d{3}, validation 50.0%; about .+ left", lines[0])
    assert lines[2].endswith("about 0 s left")


def test_weights_are_those_of_one_step_after_the_other(trained, monkeypatch):
    """Images prepared ahead in a thread, and mirrored one by one: as without both, to the bit."""
    ahead, plain = (tuning(trained, "robust", epochs=2) for _ in range(2))
    progress = ahead.run()
    ahead.checkpoint_path.unlink()
    monkeypatch.setattr(trainer, "prefetch", iter)

    def move_all(self, images, dataset_ids):
        images = self._crop(images)
        mirrored = (torch.rand(len(dataset_ids), 2) < 0.5) & self._mirror[dataset_ids]
        for axis, flip in enumerate((hflip, vflip)):
            images = torch.where(mirrored[:, axis, None, None, None], flip(images), images)
        return images

    monkeypatch.setattr(RandomCropAndMirror, "__call__", move_all)
    assert plain.run().history == progress.history
    plain.checkpoint_path.unlink()
    assert all(torch.equal(weight, plain.weights[name]) for name, weight in ahead.weights.items())


def test_gradients_are_clipped_to_their_norm(run):
    norms = []
    for clip in (1e6, 1e-3):
        run.settings = run.settings.changed(clip=clip)
        step(run, np.arange(4))
        norms.append(float(torch.cat([weight.grad.flatten() for weight in run.weights.values()]).norm()))
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


def test_text_features_of_all_data_sets_or_of_the_images_own(trained):
    own, everybody = tuning(trained, "plain"), tuning(trained, "plain", classes="all")
    assert own.features.shape == (4 + 2, 64)
    assert not own.features.requires_grad
    assert everybody.key != own.key
    positions = np.arange(len(own.shots))
    # the same images and weights: more classes to be told apart from can only add to the loss
    torch.manual_seed(0)
    less = step(own, positions)
    torch.manual_seed(0)
    assert step(everybody, positions) > less


def test_a_tower_without_layers_for_lora_is_one_sentence(trained, monkeypatch):
    monkeypatch.setattr("benchmark.models.model.Model.lora_targets", "no_such_layer")
    with pytest.raises(UserError, match=r"LoRA can't be put on phantom-clip: .*no_such_layer") as caught:
        tuning(trained, "plain")
    assert "\n" not in str(caught.value)


def test_an_adapter_is_no_base(trained):
    benchmark = read_config(Workspace(trained)).benchmark.changed(tuned={"mine": Tuned(base="robustmedclip")})
    with pytest.raises(UserError, match=r"robustmedclip is an adapter itself.*have its base, biomedclip"):
        loading.load(Workspace(trained), benchmark, "mine", device="cpu")


def test_a_pinned_model_under_the_name_of_a_base_is_no_folder(trained):
    weights = {"biomedclip": f"hub:someone/clip@{'0' * 40}"}
    benchmark = read_config(Workspace(trained)).benchmark.changed(weights=weights)
    with pytest.raises(
        UserError, match=r"^rmedclip is an adapter on biomedclip, and params.yaml has 'hub:someone/clip"
    ):
        loading.load(Workspace(trained), benchmark, "rmedclip", device="cpu")


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
    return tuning(root, name).key


def test_a_key_depends_on_the_images_that_choose_and_on_corruptions_only_if_they_are_seen(trained, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(trained, root)
    plain, robust = key(root, "plain"), key(root, "robust")
    assert key(root, "robust", profile="modality") != robust
    assert key(root, "plain") == plain
    assert key(root, "robust", profile="imagenet-c", columns={"oct": "fundus"}) != robust
    assert key(root, "plain") == plain
    assert key(root, "robust", columns={}) == robust
    path = Workspace(root).manifest("oct", CLEAN)
    before = path.read_text()
    path.write_text(before.replace(json.loads(before)["splits"]["val"]["images"], "0" * 64))
    assert key(root, "plain") != plain, "other images choose the epoch"
    path.write_text(before)
    assert key(root, "plain", benchmark__split="val") != plain, "val chooses no epoch any more"


@pytest.mark.parametrize("name", ["plain", "robust"])
def test_a_killed_run_goes_on_to_the_same_weights(trained, name):
    straight = tuning(trained, name)
    whole = straight.run()
    straight.checkpoint_path.unlink()
    tuning(trained, name).run(stop_after=2)
    resumed = tuning(trained, name)
    progress = resumed.run()
    resumed.checkpoint_path.unlink()
    assert progress.history == whole.history
    assert (progress.best_epoch, progress.best_score) == (whole.best_epoch, whole.best_score)
    for weight_name, weight in straight.weights.items():
        assert torch.equal(weight, resumed.weights[weight_name]), weight_name


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


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_gone_on_with(run, trained):
    run.run(stop_after=1)
    other = tuning(trained, "plain")
    other.key = "another"
    assert other.resume() == Progress()
    assert len(run.resume().history) == 1
    whole = run.checkpoint_path.read_bytes()
    for damaged in (b"", whole[:1000], whole[: len(whole) // 2], b"{}"):
        run.checkpoint_path.write_bytes(damaged)
        assert run.resume() == Progress()
    torch.save({"key": run.key, "progress": []}, run.checkpoint_path)
    assert run.resume() == Progress()


def test_held_out_corruptions_are_never_trained_on(trained):
    assert set(tuning(trained, "robust").corruption.names).isdisjoint({"contrast", "zoom_blur"})


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_severity_trains_what_it_is_trained_on_anew_and_nothing_else(trained, monkeypatch, corruption):
    before = [tuning(trained, name).key for name in ("plain", "robust")]
    row = STRENGTHS["imagenet-c"][corruption]
    name, values = next((name, values) for name, values in row.items() if isinstance(values, list))
    monkeypatch.setitem(row, name, [values[-1], *values[1:]])
    after = [tuning(trained, name).key for name in ("plain", "robust")]
    is_held_out = corruption in read_config(Workspace(trained)).benchmark.held_out
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, is_held_out]


def test_tuning_leaves_an_adapter_that_loads_and_moves_nothing_else(trained, capsys):
    assert tune.main(["--root", str(trained), "--model", "plain"]) == 0
    workspace = Workspace(trained)
    record = TuneRecord.read(workspace, "plain")
    assert record.corruptions == ()
    assert [line.epoch for line in record.history] == [1, 2, 3]
    assert record.chosen_on == "rest of train, and val"
    assert record.settings.model_fields_set == set(type(record.settings).model_fields), "defaults are written too"
    assert record.summary().shots == {"oct": 8, "mammo_mass": 4}
    assert not (workspace.model("plain") / "checkpoint.pt").exists()
    assert "12 images" in (workspace.adapter("plain") / "README.md").read_text()
    curves = json.loads((workspace.model("plain") / "live" / "metrics.json").read_text())
    assert curves["validation"] == pytest.approx(record.history[-1].validation)
    benchmark = read_config(workspace).benchmark
    merged = loading.load(workspace, benchmark, "plain", device="cpu")
    wrapped = loading.load(workspace, benchmark, "plain", device="cpu", merge=False)
    base = loading.load(workspace, benchmark, "phantom-clip", device="cpu")
    images = base.preprocess(discs("oct", "test", 3)[0])
    with torch.inference_mode():
        together, apart, before = (model.encode_images(images) for model in (merged, wrapped, base))
    assert torch.allclose(together, apart, atol=1e-5)
    assert not torch.allclose(together, before, atol=1e-4)


def test_a_model_that_params_does_not_tune_is_a_sentence(trained, capsys):
    assert tune.main(["--root", str(trained), "--model", "phantom-clip"]) == 1
    assert "tunes no 'phantom-clip'; have plain, robust" in capsys.readouterr().err


def test_the_part_of_the_update_that_validates_best_is_kept(run, monkeypatch):
    with torch.no_grad():
        for weight in run.weights.values():
            weight.fill_(1.0)
    scores = iter([0.3, 0.5, 0.9, 0.2, 0.9])
    monkeypatch.setattr(run, "validate", lambda: {"validation": next(scores)})
    assert run.choose_scale(0.1) == {0.4: 0.3, 0.5: 0.5, 0.6: 0.9, 0.7: 0.2, 0.8: 0.9, 1.0: 0.1}
    kept = {name: float(weight.detach().mean()) for name, weight in run.weights.items()}
    assert all(kept[name] == pytest.approx(0.8 if "lora_B" in name else 1.0) for name in kept), (
        "the larger of two equals"
    )


def test_the_score_of_the_whole_update_is_that_of_its_epoch(run):
    progress = run.run()
    record = run.keep_best(progress)
    run._restore(progress.best)
    assert run.validate()["validation"] == record.scales[1.0] == progress.best_score


def test_without_held_images_the_last_epoch_is_kept_and_the_record_says_so(trained):
    run = tuning(trained, "plain", epochs=2)
    run.images = replace(run.images, held=None)
    run.held = None
    progress = run.run()
    run.checkpoint_path.unlink()
    last = {name: weight.detach().clone() for name, weight in run.weights.items()}
    record = run.keep_best(progress)
    assert (record.best_epoch, record.scale, record.scales, record.held_images) == (2, 1.0, {}, 0)
    assert record.chosen_on is None
    assert "the last, all of its update: no image was left to choose on" in record.summary().kept()
    assert all(torch.equal(run.weights[name], weight) for name, weight in last.items())
    assert all(line.validation is None for line in record.history)


@pytest.mark.parametrize("rate", [100.0, 1e-3])
def test_a_loss_that_is_not_finite_stops_with_a_sentence(rate, run, monkeypatch):
    losses = iter([1.0, float("nan") if rate < 1 else float("inf")])
    monkeypatch.setattr(run, "step", lambda *_: next(losses))
    with pytest.raises(UserError, match=r"plain: the loss of epoch 1 is (nan|inf).*smaller learning_rate"):
        run.run()
    assert not run.checkpoint_path.exists(), "and nothing of it is kept"


def test_the_largest_seed_is_one(trained):
    config = read_config(Workspace(trained))
    tuned = {"plain": config.benchmark.tuned["plain"].changed(seed=2**63 - 1)}
    run = Tuning(Workspace(trained), config.changed(benchmark=config.benchmark.changed(tuned=tuned)), "plain")
    assert run._epoch(2) > 0


def test_an_overlap_that_is_allowed_is_counted_in_the_record(trained, monkeypatch):
    monkeypatch.setattr(trainer, "count_overlap", lambda *_, allowed: {"tuned on and scored": 3} if allowed else {})
    run = tuning(trained, "plain", allow_overlap=True, epochs=1, scales=(1.0,))
    record = run.keep_best(run.run())
    run.checkpoint_path.unlink()
    assert record.overlap == {"tuned on and scored": 3}
    assert record.summary().kept().endswith("; 3 images are tuned on and scored")


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"base": 3}', "[" * 100_000, b"\xff\xfe"])
def test_a_record_that_was_edited_or_cut_is_a_sentence(text, tmp_path):
    workspace = Workspace(tmp_path)
    path = workspace.model("mine") / "tune.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"tune.json: .*: run `python -m benchmark.tune --model mine`") as caught:
        TuneRecord.read(workspace, "mine")
    assert "\n" not in str(caught.value)

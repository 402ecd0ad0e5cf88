"""Predicting by a phantom-clip with random weights, which needs no training: read, computed, shared, written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load, save_file

from benchmark import predict, report, score
from benchmark.data import prompts
from benchmark.models import loading, phantom_clip
from benchmark.predict import Predicting
from benchmark.prediction import processes
from corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pipeline import adopt, manifest
from pipeline.cell import Cell, cells_of
from pipeline.config import read_config
from pipeline.io import npz
from pipeline.io.atomic import is_temporary
from pipeline.paths import Workspace
from pipeline.sources import medmnist

from ..bench import predicting
from ..sources.medmnist_files import release
from .conftest import CLASSES, entry, params, write_manifest

REPOSITORY = Path(__file__).parents[2]
COUNT = 5
MODEL = "phantom-clip"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny batches on threads that wait for each other take ten times as long beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("predicting"))


def noise(root, *, count=COUNT, batch=3):
    """Two data sets of noise and a model; cells are made on the fly."""
    benchmark = {"baseline": MODEL, "models": [MODEL], "tuned": {}, "on_the_fly": True, "batch": batch}
    (root / "params.yaml").write_text(yaml.safe_dump(params(**benchmark)))
    layout = Workspace(root)
    for seed, name in enumerate(CLASSES):
        images = np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), np.uint8)
        labels = np.arange(count) % len(CLASSES[name])
        with npz.write(layout.npz(Cell(name, "test")), labels, (224, 224, 3)) as writer:
            writer.append(images)
        write_manifest(layout, name, {"test": entry(labels, images.tobytes())})
    image, text = phantom_clip.towers(seed=3)
    tensors = {f"image.{k}": v for k, v in image.state_dict().items()}
    tensors |= {f"text.{k}": v for k, v in text.state_dict().items()}
    folder = Workspace(root).model(MODEL)
    folder.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / phantom_clip.WEIGHTS)
    return root


@pytest.fixture
def run(workspace, tmp_path):
    """A model whose logits go into an empty folder."""
    made = Predicting(workspace, MODEL, device=torch.device("cpu"), on_the_fly=True, split="test")
    made.places = Workspace(tmp_path)
    return made


def logits(places, dataset, cell):
    with np.load(places.logits(MODEL, Cell(dataset, "test", cell))) as archive:
        return archive["logits"]


def test_devices_share_the_cells_out(workspace, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = ["--root", str(workspace), "--model", MODEL, "--dataset", "oct", "--device", "cpu", "--device", "cpu"]
    assert predict.main(arguments) == 0
    assert capfd.readouterr().out.splitlines() == [
        f"{MODEL}, share 2 of 2: 18 cells predicted, the others were there",
        f"{MODEL}: 36 cells predicted, the others were there",
    ]
    assert list(json.loads(Workspace(workspace).prediction_record(MODEL).read_text())["prompts"]) == ["oct"]
    alone = Predicting(workspace, MODEL, device=torch.device("cpu"), on_the_fly=True, split="test")
    assert not alone.todo("oct").keys, "one device takes up where several left off"
    assert predict.main(arguments) == 0
    assert capfd.readouterr().out == f"{MODEL}: 0 cells predicted, the others were there\n", "and nothing is started"


def test_shares_of_shares_cover_every_cell_once():
    parts = [part for k in range(3) for part in processes.parted((k, 3), 2)]
    assert sorted(cell for k, n in parts for cell in range(36)[k::n]) == list(range(36))


@pytest.mark.parametrize("text", ["2/2", "1", "a/2"])
def test_a_share_that_is_none(text, capsys):
    with pytest.raises(SystemExit):
        predict.main(["--model", MODEL, "--shard", text])
    assert "is K/N with K below N" in capsys.readouterr().err


def test_a_device_that_fails_is_named(run, monkeypatch):
    monkeypatch.setattr(predict.sys, "executable", "false")
    with pytest.raises(ValueError, match="predicting on cpu, cpu failed"):
        predict._share_out(run, ["oct"], [torch.device("cpu")] * 3, (0, 12))
    assert not run.todo("oct", shard=(0, 36)).keys, "its own share is done"
    assert len(run.todo("oct", shard=(0, 12)).keys) == 2


def test_shares_end_with_the_run_that_started_them(tmp_path):
    root = noise(tmp_path, count=40, batch=1)
    others = [Workspace(root).logits(MODEL, Cell("oct", "test", cell)) for cell in cells_of()[1::2]]
    command = [sys.executable, "-m", "benchmark.predict", "--root", str(root), "--model", MODEL, "--dataset", "oct"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, "--device", "cpu", "--device", "cpu"], cwd=REPOSITORY, env=environment) as first:
        deadline = time.monotonic() + 60
        while not others[0].is_file():
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        commands = {process: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
        (other,) = (process for process, words in commands.items() if {str(root), "--shard"} <= set(words))
        first.send_signal(signal.SIGTERM)
    assert first.returncode == 143
    other.wait(timeout=30)
    assert not others[-1].is_file()
    assert not [path for path in root.rglob("*") if is_temporary(path)]


def test_logits_do_not_depend_on_how_many_images_are_prepared_at_once(run, tmp_path, monkeypatch):
    chosen = list(run.todo("oct", shard=(0, 12)).keys)
    run.data_set("oct", shard=(0, 12))
    found = [logits(run.places, "oct", cell) for cell in chosen]
    monkeypatch.setattr(predict, "AT_ONCE", 100)
    run.places = Workspace(tmp_path / "again")
    run.data_set("oct", shard=(0, 12))
    assert all(np.array_equal(logits(run.places, "oct", c), was) for c, was in zip(chosen, found, strict=True))
    assert len({was.tobytes() for was in found}) == len(chosen) == 3


def test_a_batch_is_whole_in_the_buffer(run):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 224, 224, 3), np.uint8))
    whole = run.model.preprocess(images)
    for count in (5, 6, 2):
        prepared = run._prepared(images[:count])
        assert torch.equal(prepared, whole[:count])
        assert prepared.stride() == whole.stride()


def test_a_disk_that_is_full_stops_it(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        run.data_set("oct")


def test_the_bench_writes_rates_and_the_machine(tmp_path, capsys):
    """One cell in 36 is the clean one, so the others need no files."""
    layout = Workspace(noise(tmp_path))
    for corruption in CORRUPTIONS:
        cells = {"test": {str(severity): {"images": f"{corruption} {severity}"} for severity in SEVERITIES}}
        manifest.write(layout, "oct", corruption, {"cells": cells})
    output = tmp_path / "new" / "predicting.json"
    arguments = ["--root", str(tmp_path), "--dataset", "oct", "--one-cell-in", "36", "--rounds", "1"]
    assert predicting.main([*arguments, "--output", str(output)]) == 0
    found = json.loads(output.read_text())
    assert (found["images"], found["batch"], found["rounds"], found["device"]) == (COUNT, 3, 1, "cpu")
    for row in found["rows"].values():
        rates = {what: timing["median"] for what, timing in row.items()}
        assert rates["share"] == pytest.approx(rates["predicting"] / rates["forward only"])
    assert found["machine"]["versions"]["torch"]
    assert f"phantom-clip on cpu, {torch.get_num_threads()} threads, batch 3, 5 images" in capsys.readouterr().out


def test_long_work_is_announced(capsys):
    predict._announce("m oct", 35, 1.0)
    assert capsys.readouterr().out == ""
    predict._announce("m oct", 35, 12.0)
    assert capsys.readouterr().out == "m oct: 35 more cells, about 7 min\n"


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu:1", "", "cuda:-1"])
def test_devices_that_there_are_none_of(name):
    with pytest.raises(ValueError, match="no device"):
        loading.device(name)


def test_all_gpus_are_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert loading.devices("auto") == loading.devices("cuda") == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert loading.devices("cuda:1") == [torch.device("cuda", 1)]
    assert loading.devices("cpu") == [torch.device("cpu")]
    with pytest.raises(ValueError, match="cuda:2 was asked for, and torch sees 2; have auto, cpu"):
        loading.device("cuda:2")


@pytest.fixture(scope="module")
def collections(workspace):
    """The workspace beside an adopted one and one that is built with a seed of its own; all predicted, then scored."""
    release(workspace / "adopted", "breastmnist")
    assert adopt.main(["--root", str(workspace / "adopted"), "--dataset", "breastmnist"]) == 0
    built = workspace / "built"
    built.mkdir()
    (built / "params.yaml").write_text(yaml.safe_dump(params() | {"seed": 99, "datasets": ["mammo_mass"]}))
    for made in ("data/MediMeta-C/mammo_mass", "manifests/mammo_mass"):
        (built / made).parent.mkdir(parents=True)
        (workspace / made).rename(built / made)
    named = {"MediMeta-C": ["oct"], "Other": ["mammo_mass"], "MedMNIST-C": ["breastmnist"]}
    benchmark = {
        "collections": named,
        "workspaces": {"MedMNIST-C": "adopted", "Other": str(built)},
        "baseline": MODEL,
        "models": [MODEL],
        "tuned": {},
        "on_the_fly": True,
        "bootstrap": 1,
    }
    (workspace / "params.yaml").write_text(yaml.safe_dump(params(**benchmark) | {"datasets": ["oct"]}, sort_keys=False))
    assert predict.main(["--root", str(workspace), "--model", MODEL]) == 0
    return workspace


def test_collections_of_other_workspaces_are_predicted_and_scored(collections, capsys):
    places = Workspace(collections)
    names = medmnist.CORRUPTED["breastmnist"]
    found = {path.stem for path in places.logits(MODEL, Cell("breastmnist", "test", "clean")).parent.glob("*.npz")}
    assert found == set(cells_of(names))
    model = loading.load(places, read_config(Workspace(collections)).benchmark, MODEL, device="cpu")
    features = prompts.class_features(model, prompts.prompts(Workspace(collections / "adopted"), "breastmnist"))
    cell = medmnist.load_corrupted(
        "breastmnist", "motion_blur", root=Workspace(collections / "adopted").raw("medmnist-c")
    )
    grey = np.repeat(cell[2].read(range(5)), 3, axis=-1)
    noise = npz.read(Workspace(collections / "built").npz(Cell("mammo_mass", "test"))).images[..., :1]
    blurred = corrupt(noise, "impulse_noise", 3, dataset="mammo_mass", split="test", seed=99)
    others = prompts.class_features(model, prompts.prompts(Workspace(collections / "built"), "mammo_mass"))
    for images, dataset, name, texts in (
        (grey, "breastmnist", "motion_blur_severity_3", features),
        (np.repeat(blurred, 3, axis=-1), "mammo_mass", "impulse_noise_severity_3", others),
    ):
        with torch.inference_mode():
            expected = model.logit_scale * model.encode_images(model.preprocess(images)) @ texts.T
        assert logits(places, dataset, name) == pytest.approx(expected.numpy(), abs=1e-3)
    assert score.main(["--root", str(collections)]) == 0
    scores = json.loads(places.scores.read_text())
    assert scores["corruptions"] == [*CORRUPTIONS, *(name for name in names if name not in CORRUPTIONS)]
    one = scores["models"][MODEL]
    assert set(one["data_sets"]["breastmnist"]["corruptions"]) == set(names)
    apart = [one["collections"][name]["corrupted_error"]["value"] for name in scores["collections"]]
    assert one["summary"]["corrupted_error"]["value"] == pytest.approx(np.mean(apart))
    assert json.loads((places.reports / "metrics.json").read_text())[MODEL]["MedMNIST-C"]["mce"] == pytest.approx(100)
    rows = (places.reports / "scores.csv").read_text().splitlines()
    assert len(rows) == 1 + 36 + 36 + 1 + 5 * len(names)
    assert report.main(["--root", str(collections)]) == 0
    assert "MedMNIST-C" in (places.reports / "report.md").read_text()
    assert scores["build"] not in {
        manifest.build_checksum(Workspace(collections / part)) for part in ("", "built", "adopted")
    }


def test_one_data_set_predicted_again_leaves_the_others_in_the_record(collections):
    assert predict.main(["--root", str(collections), "--model", MODEL, "--dataset", "breastmnist"]) == 0
    record = json.loads(Workspace(collections).prediction_record(MODEL).read_text())
    assert list(record["prompts"]) == ["breastmnist", "mammo_mass", "oct"]


def test_prompts_in_the_record_are_those_that_made_the_logits(collections):
    def predicted(*, templates, only):
        values = yaml.safe_load((collections / "params.yaml").read_text())
        values["benchmark"]["prompts"] = templates
        (collections / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        assert predict.main(["--root", str(collections), "--model", MODEL, *only]) == 0
        record = json.loads(Workspace(collections).prediction_record(MODEL).read_text())
        return {dataset: made["templates"] for dataset, made in record["prompts"].items()}

    before = predicted(templates="single", only=[])
    assert set(before.values()) == {"single"}
    mixed = predicted(templates="ensemble", only=["--dataset", "breastmnist"])
    assert mixed == before | {"breastmnist": "ensemble"}
    assert predicted(templates="single", only=[]) == before


def test_a_model_that_changed_is_not_scored_by_halves(collections, capsys):
    """Both towers' weights are read from one file, so other weights are other bytes of it."""
    arguments = ["--root", str(collections), "--model", MODEL]
    places = Workspace(collections)
    path = places.model(MODEL) / phantom_clip.WEIGHTS
    before, record = path.read_bytes(), places.prediction_record(MODEL).read_bytes()
    tensors = load(before)
    save_file({name: 1.01 * tensor for name, tensor in tensors.items()}, path)
    assert predict.main([*arguments, "--dataset", "breastmnist"]) == 0
    assert places.prediction_record(MODEL).read_bytes() != record
    assert score.main(["--root", str(collections)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "oct/test/clean.npz was predicted with other weights than" in said
    path.write_bytes(before)
    assert predict.main([*arguments, "--dataset", "breastmnist"]) == 0
    assert score.main(["--root", str(collections)]) == 0


def test_versions_in_the_record_are_those_that_made_the_logits(collections, monkeypatch):
    path = Workspace(collections).prediction_record(MODEL)
    before = path.read_bytes()
    monkeypatch.setattr(predict, "versions", lambda: {"python": "9.9"})
    arguments = ["--root", str(collections), "--model", MODEL]
    assert predict.main(arguments) == 0
    assert path.read_bytes() == before, "nothing was predicted"
    Workspace(collections).logits(MODEL, Cell("oct", "test", "clean")).unlink()
    assert predict.main(arguments) == 0
    assert json.loads(path.read_text())["versions"] == {"python": "9.9"}
    path.write_text("{")
    assert predict.main(arguments) == 0
    assert json.loads(path.read_text())["versions"] == {"python": "9.9"}, "a damaged record is written anew"


def test_a_hole_in_a_grid_of_its_own_is_named(collections):
    path = Workspace(collections).logits(MODEL, Cell("breastmnist", "test", "speckle_noise_severity_4"))
    path.rename(path.with_suffix(".away"))
    with pytest.raises(ValueError, match=rf"{MODEL} has no logits for breastmnist/speckle_noise_severity_4 \(test\)"):
        score.score(collections)
    path.with_suffix(".away").rename(path)


def test_mistakes_about_collections_are_named(collections, capsys):
    arguments = ["--root", str(collections), "--model", MODEL]
    assert predict.main([*arguments, "--split", "val", "--dataset", "breastmnist"]) == 1
    assert predict.main([*arguments, "--dataset", "mammo"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "error: breastmnist has no split val; have test",
        "error: params.yaml has no data set 'mammo'; have oct, mammo_mass, breastmnist",
    ]

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
from safetensors.torch import save_file

from benchmark import predict
from benchmark.models.families import phantom_clip
from benchmark.prediction import classifiers, predictor, processes
from benchmark.prediction.batches import Cells
from benchmark.prediction.logits import read_logits
from benchmark.prediction.predictor import Predictor
from benchmark.prediction.records import PredictionRecord
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline.config.params import read_config
from pipeline.io import npz
from pipeline.io.atomic import is_temporary
from pipeline.io.checksums import file_checksum
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.manifest import ArraysEntry, CorruptionManifest
from pipeline.workspace.paths import Workspace
from tests.bench import predicting

from ..conftest import CLASSES, entry, params, write_manifest

REPOSITORY = Path(__file__).parents[3]
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


def open_predictor(root, *, split="test", to=None):
    """Return a model of a workspace whose logits go into the folder `to`, if not into the workspace's own."""
    workspace = Workspace(root)
    device = torch.device("cpu")
    made = Predictor(workspace, read_config(workspace), MODEL, device=device, on_the_fly=True, split=split)
    if to is not None:
        made.output = Workspace(to)
    return made


@pytest.fixture
def run(workspace, tmp_path):
    return open_predictor(workspace, to=tmp_path)


def logits(root, cell):
    return read_logits(Workspace(root).logits(MODEL, cell)).logits


def test_devices_share_the_cells_out(workspace, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = ["--root", str(workspace), "--model", MODEL, "--dataset", "oct", "--device", "cpu", "--device", "cpu"]
    assert predict.main(arguments) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "more cells" not in line]
    assert lines == [f"{MODEL}, share 2 of 2: 18 cells predicted", f"{MODEL}: 36 cells predicted"]
    assert list(json.loads(Workspace(workspace).prediction_record(MODEL).read_text())["prompts"]) == ["oct"]
    assert not open_predictor(workspace).pending("oct").keys, "one device takes up where several left off"
    assert predict.main(arguments) == 0
    assert capfd.readouterr().out == f"{MODEL}: all 36 cells were there\n", "and nothing is started"


def test_shares_of_shares_cover_every_cell_once():
    parts = [part for k in range(3) for part in processes.divide((k, 3), 2)]
    assert sorted(cell for k, n in parts for cell in range(36)[k::n]) == list(range(36))


@pytest.mark.parametrize("text", ["2/2", "1", "a/2"])
def test_a_share_that_is_none(text, capsys):
    with pytest.raises(SystemExit):
        predict.main(["--model", MODEL, "--shard", text])
    assert "is K/N with K below N" in capsys.readouterr().err


def test_a_device_that_fails_is_named(run, monkeypatch):
    monkeypatch.setattr(predict.sys, "executable", "false")
    with pytest.raises(ValueError, match="predicting on cpu, cpu failed"):
        predict.share_out(run, {"oct": run.pending("oct")}, [torch.device("cpu")] * 3, (0, 12))
    assert not run.pending("oct", shard=(0, 36)).keys, "its own share is done"
    assert len(run.pending("oct", shard=(0, 12)).keys) == 2


def test_shares_end_with_the_run_that_started_them(tmp_path):
    root = noise(tmp_path, count=40, batch=1)
    others = [Workspace(root).logits(MODEL, cell) for cell in list(cells_of("oct", "test"))[1::2]]
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


def test_logits_do_not_depend_on_how_many_images_are_prepared_at_once(run, workspace, tmp_path, monkeypatch):
    pending = run.pending("oct", shard=(0, 12))
    run.predict(pending)
    before = [logits(tmp_path, cell) for cell in pending.keys]
    monkeypatch.setattr(classifiers, "AT_ONCE", 100)
    again = open_predictor(workspace, to=tmp_path / "again")
    again.predict(again.pending("oct", shard=(0, 12)))
    after = [logits(tmp_path / "again", cell) for cell in pending.keys]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    assert len({values.tobytes() for values in before}) == len(before) == 3


def test_a_batch_is_whole_in_the_buffer(run):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 224, 224, 3), np.uint8))
    whole, encoder = run.model.preprocess(images), classifiers.Encoder(run.model)
    for count in (5, 6, 2):
        prepared = encoder._preprocess(images[:count])
        assert torch.equal(prepared, whole[:count])
        assert prepared.stride() == whole.stride()


def test_a_disk_that_is_full_stops_it(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        run.predict(run.pending("oct"))


def test_the_bench_writes_rates_and_the_machine(tmp_path, capsys):
    """One cell in 36 is the clean one, so the others need no files."""
    workspace = Workspace(noise(tmp_path))
    for corruption in CORRUPTIONS:
        entries = {k: ArraysEntry(count=COUNT, images=f"{k}" * 64, labels="0" * 64) for k in SEVERITIES}
        cells = {"test": entries}
        manifest.write(workspace, CorruptionManifest(dataset="oct", corruption=corruption, seed=3, cells=cells))
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
    predictor.announce("m oct", 35, 1.0)
    assert capsys.readouterr().out == ""
    predictor.announce("m oct", 35, 12.0)
    assert capsys.readouterr().out == "m oct: 35 more cells, about 7 min\n"


def test_files_have_their_layout_and_the_record_says_what_made_them(tmp_path):
    root = noise(tmp_path)
    assert predict.main(["--root", str(root), "--model", MODEL, "--dataset", "oct"]) == 0
    workspace = Workspace(root)
    for cell in cells_of("oct", "test"):
        read = read_logits(workspace.logits(MODEL, cell))
        assert (read.logits.shape, read.logits.dtype) == ((COUNT, 4), np.float32)
        assert read.labels.tolist() == [k % 4 for k in range(COUNT)]
        assert read.indices.tolist() == list(range(COUNT))
    record = PredictionRecord.read(workspace, MODEL)
    assert record.prompts["oct"].class_names == tuple(CLASSES["oct"])
    assert record.versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    (file,) = record.model.files
    assert file.sha256 == file_checksum(workspace.model(MODEL) / phantom_clip.WEIGHTS)
    assert record.weights_sha256 == read.weights
    assert (record.base, record.tuning, record.model.name) == (None, None, MODEL)


def test_done_cells_are_skipped_and_changed_ones_are_not(tmp_path, capsys):
    root = noise(tmp_path)
    arguments = ["--root", str(root), "--model", MODEL, "--dataset", "oct"]
    assert predict.main(arguments) == 0
    kept, lost, cut = (
        Workspace(root).logits(MODEL, cell)
        for cell in (Cell("oct", "test"), Cell("oct", "test", "pixelate", 2), Cell("oct", "test", "pixelate", 4))
    )
    before, whole, other = kept.stat().st_mtime_ns, lost.read_bytes(), cut.read_bytes()
    lost.unlink()
    cut.write_bytes(other[:200])
    capsys.readouterr()
    assert predict.main(arguments) == 0
    assert capsys.readouterr().out == f"{MODEL}: 2 cells predicted, 34 were there\n"
    assert (lost.read_bytes() == whole, cut.read_bytes() == other) == (True, True)
    assert kept.stat().st_mtime_ns == before


def test_shards_cover_every_cell_once(tmp_path):
    run = open_predictor(noise(tmp_path))
    halves = [run.pending("oct", shard=(k, 2)) for k in range(2)]
    assert {len(half.keys) for half in halves} == {18}
    assert halves[0].keys | halves[1].keys == run.pending("oct").keys
    run.predict(halves[0])
    assert run.pending("oct", shard=(1, 2)).keys == halves[1].keys, "whatever is there already"


def test_a_key_depends_on_pixels_weights_and_prompts(run):
    classifier = run.classifier("oct")
    key = run._key(classifier, "pixels")
    assert key == run._key(classifier, "pixels")
    assert key != run._key(classifier, "other pixels")
    assert key != run._key(run.classifier("mammo_mass"), "pixels")
    run.weights = "others"
    assert key != run._key(classifier, "pixels")


def test_checksums_name_every_cell(tmp_path):
    cells = Cells(Workspace(noise(tmp_path)), "oct", "test", CORRUPTIONS, backend="cpu")
    assert list(cells.checksums) == list(cells_of("oct", "test"))
    assert len(set(cells.checksums.values())) == 36


@pytest.mark.parametrize(("images", "warns"), [((5, 0, 0, 0), True), ((0, 0, 1, 0), True), ((4, 0, 0, 1), False)])
def test_what_a_metric_cannot_say_is_known_before_predicting(tmp_path, capsys, images, warns):
    root = noise(tmp_path, count=sum(images))
    labels = np.repeat(np.arange(4), images)
    whole = entry(labels, b"") | {"per_class": images}
    write_manifest(Workspace(root), "oct", {"test": whole})
    (root / "data" / "models" / MODEL / phantom_clip.WEIGHTS).unlink()  # so that it ends before any work
    assert predict.main(["--root", str(root), "--model", MODEL, "--dataset", "oct"]) == 1
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: oct will have no auroc: every image is of class '") is warns


def test_mistakes_are_one_sentence(tmp_path, capsys):
    root = str(noise(tmp_path))
    assert predict.main(["--root", root, "--model", "nothing"]) == 1
    assert predict.main(["--root", root, "--model", MODEL, "--dataset", "brain"]) == 1
    values = yaml.safe_load((tmp_path / "params.yaml").read_text())
    values["benchmark"]["on_the_fly"] = False
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    assert predict.main(["--root", root, "--model", MODEL, "--dataset", "oct"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "no model 'nothing'" in lines[0]
    assert "no data set 'brain'; have oct, mammo_mass" in lines[1]
    assert "oct/gaussian_noise.json: restore it with git or run `dvc repro`" in lines[2]

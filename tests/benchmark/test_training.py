"""Pre-training, prompts and predicting on a tiny benchmark of coloured discs."""

import json

import numpy as np
import pytest
import torch
import yaml

from benchmark import predict, pretrain, tune
from benchmark.data import pool, prompts
from benchmark.models import loading
from benchmark.prediction.batches import Cells, ahead
from benchmark.prediction.devices import parse_device
from benchmark.reporting import provenance
from corruptions import corrupt
from pipeline.cell import Cell, cells_of
from pipeline.config import read_config
from pipeline.io.checksums import file_checksum
from pipeline.paths import Workspace

from .conftest import CLASSES, discs, params


def test_pretraining_leaves_a_model_and_its_record(trained):
    record = json.loads((Workspace(trained).model("phantom-clip") / "pretrain.json").read_text())
    assert 200_000 < record["parameters"] < 500_000
    assert record["images"] == 48
    assert set(record["pretest_accuracy"]) == set(CLASSES)
    model = loading.load(Workspace(trained), read_config(Workspace(trained)).benchmark, "phantom-clip", device="cpu")
    features = model.encode_images(model.preprocess(discs("oct", "test", 2)[0]))
    assert features.shape == (2, 64)
    assert features.norm(dim=-1).tolist() == pytest.approx([1, 1])


def test_pretraining_learns_and_repeats_itself(trained):
    layout, how = Workspace(trained), read_config(Workspace(trained)).benchmark.pretrain
    images = pool.Pool([pool.part(layout, name, "pretrain", range(8)) for name in CLASSES])
    named = [prompts.prompts(layout, name) for name in CLASSES]
    first, second = (pretrain.train(images, named, how)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_prompts_come_from_the_manifest_in_label_order(trained):
    chosen = prompts.prompts(Workspace(trained), "oct", templates="single")
    assert chosen.class_names == tuple(CLASSES["oct"])
    assert chosen.sentences[2] == ("a medical image of drusen, retinal optical coherence tomography",)
    with pytest.raises(ValueError, match="no templates 'many'; have single, ensemble"):
        prompts.prompts(Workspace(trained), "oct", templates="many")


def test_a_classs_feature_is_the_mean_of_its_sentences_brought_to_unit_length(trained):
    model = loading.load(Workspace(trained), read_config(Workspace(trained)).benchmark, "phantom-clip", device="cpu")
    chosen = prompts.prompts(Workspace(trained), "oct", templates="ensemble")
    features = prompts.class_features(model, chosen)
    assert features.shape == (4, 64)
    assert not features.requires_grad
    with torch.inference_mode():
        second = model.encode_texts(chosen.sentences[1]).mean(dim=0)
    torch.testing.assert_close(features[1], second / second.norm())
    assert len(chosen.sentences[1]) == len(prompts.TEMPLATES["ensemble"]) == 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BAS Basophil", "basophil"),
        ("LYT Lymphocyte (typical)", "lymphocyte (typical)"),
        ("CNV", "CNV"),
        ("NORMAL", "normal"),
        ("immature granulocyte", "immature granulocyte"),
        ("left_lung", "left lung"),
    ],
)
def test_readable(name, words):
    assert prompts.readable(name) == words


def test_equal_sentences_of_two_data_sets_are_not_set_against_each_other():
    starts, allowed = pool.class_columns([["a", "b"], ["b", "c"]], [["A", "B"], ["B", "C"]])
    assert starts.tolist() == [0, 2]
    assert allowed.tolist() == [[True, True, False, True], [True, False, True, True]]


@pytest.mark.parametrize(
    ("step", "fraction"),
    [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (8, 0.75), (10, 0.5), (12, 0.25), (16, 0.0)],
)
def test_the_learning_rate_rises_for_a_quarter_and_falls_by_a_cosine(step, fraction):
    assert pretrain.warm_cosine(step, 16, warmup=0.25) == pytest.approx(fraction)


def test_a_learning_rate_without_warmup_starts_at_its_highest():
    assert [pretrain.warm_cosine(step, 3, warmup=0) for step in range(4)] == pytest.approx([1, 1, 0.5, 0])
    assert pretrain.warm_cosine(0, 1, warmup=0.1) == 1


@pytest.mark.parametrize(
    ("done", "seconds", "words"),
    [(1, 10, "about 30 s left"), (2, 130, "about 2 min 10 s left"), (4, 9, "about 0 s left")],
)
def test_time_left(done, seconds, words):
    assert pretrain.time_left(done, 4, seconds) == words


@pytest.fixture(scope="module")
def predicted(trained):
    assert predict.main(["--root", str(trained), "--model", "phantom-clip", "--dataset", "oct", "--on-the-fly"]) == 0
    return trained


def test_predicted_files_keep_the_layout(predicted):
    places = Workspace(predicted)
    for cell in cells_of():
        with np.load(places.logits("phantom-clip", Cell("oct", "test", cell))) as archive:
            assert archive["logits"].shape == (12, 4)
            assert archive["logits"].dtype == np.float32
            assert archive["labels"].tolist() == [k % 4 for k in range(12)]
            assert archive["indices"].tolist() == list(range(12))
    record = json.loads(places.record("phantom-clip").read_text())
    assert record["prompts"]["oct"]["class_names"] == CLASSES["oct"]
    assert record["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    checksum = file_checksum(places.model("phantom-clip") / "phantom_clip.safetensors")
    made = f"phantom_clip.safetensors of `python -m benchmark.pretrain`, SHA-256 {checksum}"
    assert ("File", made) in provenance.model(record)


def test_logits_are_the_models_own(predicted):
    chosen = read_config(Workspace(predicted)).benchmark
    model = loading.load(Workspace(predicted), chosen, "phantom-clip", device="cpu")
    images, _ = discs("oct", "test", 12)
    noisy = corrupt(images, "impulse_noise", 3, dataset="oct", split="test", seed=3)
    features = prompts.class_features(model, prompts.prompts(Workspace(predicted), "oct"))
    with torch.inference_mode():
        expected = model.logit_scale * model.encode_images(model.preprocess(noisy)) @ features.T
    with np.load(
        Workspace(predicted).logits("phantom-clip", Cell("oct", "test", "impulse_noise_severity_3"))
    ) as archive:
        assert archive["logits"] == pytest.approx(expected.numpy(), abs=1e-3)


def test_done_cells_are_skipped_and_changed_ones_are_not(predicted, capsys):
    arguments = ["--root", str(predicted), "--model", "phantom-clip", "--dataset", "oct", "--on-the-fly"]
    places = Workspace(predicted)
    kept = places.logits("phantom-clip", Cell("oct", "test", "clean"))
    before = kept.stat().st_mtime_ns
    lost = places.logits("phantom-clip", Cell("oct", "test", "pixelate_severity_2"))
    cut = places.logits("phantom-clip", Cell("oct", "test", "pixelate_severity_4"))
    whole, other = lost.read_bytes(), cut.read_bytes()
    lost.unlink()
    cut.write_bytes(other[:200])
    assert predict.main(arguments) == 0
    assert "phantom-clip: 2 cells predicted" in capsys.readouterr().out
    assert (lost.read_bytes() == whole, cut.read_bytes() == other) == (True, True)
    assert kept.stat().st_mtime_ns == before


def test_shards_cover_every_cell_once(predicted, tmp_path):
    run = predict.Predicting(predicted, "phantom-clip", device=torch.device("cpu"), on_the_fly=True, split="val")
    assert run.data_set("oct", shard=(0, 2)) == 18
    assert run.data_set("oct", shard=(1, 2)) == 18, "the other half, whatever is there already"
    assert run.data_set("oct") == 0


def test_a_key_depends_on_pixels_weights_and_prompts(predicted):
    run = predict.Predicting(predicted, "phantom-clip", device=torch.device("cpu"), on_the_fly=True, split="test")
    features = torch.zeros(2, 4)
    key = run._key(features, "pixels")
    assert key == run._key(features, "pixels")
    assert key != run._key(features, "other pixels")
    assert key != run._key(features + 1, "pixels")
    run.weights = "others"
    assert key != run._key(features, "pixels")


def test_mistakes_are_one_sentence(predicted, capsys):
    root = str(predicted)
    assert predict.main(["--root", root, "--model", "nothing"]) == 1
    assert predict.main(["--root", root, "--model", "phantom-clip", "--dataset", "brain"]) == 1
    assert tune.main(["--root", root, "--model", "phantom-clip"]) == 1
    assert predict.main(["--root", root, "--model", "phantom-clip", "--dataset", "oct"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 4
    assert "no model 'nothing'" in lines[0]
    assert "no data set 'brain'; have oct, mammo_mass" in lines[1]
    assert "tunes no 'phantom-clip'; have plain, robust" in lines[2]
    assert "run `dvc repro` first" in lines[3]


def test_checksums_name_every_cell(predicted):
    cells = Cells(Workspace(predicted), "oct", "test", made="cpu")
    assert list(cells.checksums) == cells_of()
    assert len(set(cells.checksums.values())) == 36


def test_reading_ahead_passes_everything_on_and_errors_too():
    assert list(ahead(iter(range(10)))) == list(range(10))

    def failing():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(ahead(failing()))


def test_a_device_that_is_not_there_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match="torch sees none"):
        parse_device("cuda")
    assert parse_device("auto").type == "cpu"


def test_pretraining_is_left_out_where_no_model_needs_it(tmp_path, capsys):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params() | {"source": "medimeta"}))
    assert pretrain.main(["--root", str(tmp_path)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    values = params(baseline="phantom-clip", models=["phantom-clip"], tuned={}) | {"source": "medimeta"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    assert pretrain.main(["--root", str(tmp_path)]) == 1
    assert "pre-trained on the phantom, and params.yaml has source: medimeta" in capsys.readouterr().err

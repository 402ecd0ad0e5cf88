"""Pre-training on a tiny benchmark of coloured discs."""

import shutil

import numpy as np
import pytest
import torch
import yaml

from benchmark import pretrain
from benchmark.data.pool import Pool, open_subset
from benchmark.data.prompts import prompts
from benchmark.models import loading
from benchmark.models.families import phantom_clip
from benchmark.tuning import pretraining
from benchmark.tuning.records import PRETRAIN_RECORD, PretrainRecord, PretrainSkipped
from pipeline.config.benchmark import PRETRAINED
from pipeline.config.params import read_config
from pipeline.io.records import read_record
from pipeline.workspace.paths import Workspace

from ..conftest import CLASSES, discs, params
from .test_geometry import plain_shift_and_mirror


def test_pretraining_leaves_a_model_and_its_record(trained):
    workspace = Workspace(trained)
    record = read_record(workspace.model("phantom-clip") / PRETRAIN_RECORD, PretrainRecord, remedy="")
    assert 200_000 < record.parameters < 500_000
    assert record.images == 48
    assert set(record.pretest_accuracy) == set(CLASSES)
    assert "weight_decay" in record.settings.model_fields_set, "defaults are written too"
    model = loading.load(workspace, read_config(workspace).benchmark, "phantom-clip", device="cpu")
    features = model.encode_images(model.preprocess(discs("oct", "test", 2)[0]))
    assert features.shape == (2, 64)
    assert features.norm(dim=-1).tolist() == pytest.approx([1, 1])


def test_weights_are_those_of_one_step_after_the_other_and_repeat_themselves(trained, monkeypatch):
    """Batches prepared ahead in a thread, images moved by slices: as without both, to the bit."""
    workspace = Workspace(trained)
    settings = read_config(workspace).benchmark.pretrain.changed(batch=5)
    pool = Pool([open_subset(workspace, name, "pretrain", range(8)) for name in CLASSES])
    of_datasets = [prompts(workspace, name) for name in CLASSES]
    ahead = pretraining.train(phantom_clip.RECORD, pool, of_datasets, settings)
    monkeypatch.setattr(pretraining, "prefetch", iter)
    monkeypatch.setattr(pretraining, "shift_and_mirror", plain_shift_and_mirror)
    plain = pretraining.train(phantom_clip.RECORD, pool, of_datasets, settings)
    assert torch.equal(ahead.log_scale, plain.log_scale)
    for tower, other in ((ahead.image, plain.image), (ahead.text, plain.text)):
        weights, others = tower.state_dict(), other.state_dict()
        assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_the_loss_tells_own_classes_apart_and_everybodys(trained):
    workspace = Workspace(trained)
    pool = Pool([open_subset(workspace, name, "pretrain", [0]) for name in CLASSES])
    columns = pretraining.class_columns([prompts(workspace, name) for name in CLASSES])
    logits = torch.zeros(1, 6)
    loss = pretraining.contrastive_loss(logits, pool, np.array([0]), columns)
    assert float(loss) == pytest.approx((np.log(6) + np.log(4)) / 2)
    loss = pretraining.contrastive_loss(logits, pool, np.array([1]), columns)
    assert float(loss) == pytest.approx((np.log(6) + np.log(2)) / 2)


def test_pretraining_is_left_out_where_no_model_needs_it(tmp_path, capsys):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params() | {"source": "medimeta"}))
    assert pretrain.main(["--root", str(tmp_path)]) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_phantom_is_drawn_for_it_where_no_data_set_is_of_the_phantom(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pretraining.phantom, "DATASETS", ("oct", "mammo_mass"))
    values = params(baseline=name, models=[name], tuned={}, pretrain={"epochs": 1, "batch": 8})
    values |= {"source": "medmnist", "datasets": ["bloodmnist"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    assert pretrain.main(["--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "no data set is of the phantom, so its images are drawn now" in said
    assert f"pretrain: {name}, 48 images of 2 data sets" in said
    assert pretrain.main(["--root", str(tmp_path)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    workspace = Workspace(tmp_path)
    for model in PRETRAINED:
        kind = PretrainRecord if model == name else PretrainSkipped
        assert read_record(workspace.model(model) / PRETRAIN_RECORD, kind, remedy="")
    loaded = loading.load(workspace, read_config(workspace).benchmark, name, device="cpu")
    assert loaded.encode_images(loaded.preprocess(discs("oct", "test", 2)[0])).shape == (2, 64)


def test_a_checkpoint_of_the_same_settings_and_images_is_kept_and_another_one_is_not(tmp_path, trained, capsys):
    root = tmp_path / "root"
    shutil.copytree(trained, root)
    weights = Workspace(root).model("phantom-clip") / phantom_clip.WEIGHTS
    before = weights.read_bytes()
    assert pretrain.main(["--root", str(root)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    weights.write_bytes(before[:-4] + b"edit")
    assert pretrain.main(["--root", str(root)]) == 0
    assert "epoch 1 of 1" in capsys.readouterr().out
    assert weights.read_bytes() == before, "the same weights again"

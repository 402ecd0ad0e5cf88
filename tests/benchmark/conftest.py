"""A workspace with two tiny data sets, their images if need be, and logits of two models on them."""

import hashlib
import json

import numpy as np
import pytest
import yaml

from benchmark import pretrain
from benchmark.prediction.records import ModelDescription, PredictionRecord
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.records import write_record
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.paths import Workspace

COUNT = 40
CLASSES = {"oct": ["CNV", "DME", "DRUSEN", "NORMAL"], "mammo_mass": ["benign", "malignant"]}


def refusal(action):
    """Return the sentence that an action is refused with, or None; any other error is one."""
    sentence = None
    try:
        action()
    except UserError as refused:
        sentence = str(refused)
    assert sentence is None or "\n" not in sentence
    return sentence


def params(**benchmark):
    return {
        "source": "phantom",
        "datasets": list(CLASSES),
        "splits": {"val": "val", "test": "test"},
        "seed": 3,
        "profile": "imagenet-c",
        "columns": {},
        "channels": "rgb",
        "compression": "stored",
        "counts": {"train": 24, "val": 8, "test": COUNT, "pretrain": 24, "pretest": 8},
        "limit": None,
        "benchmark": {
            "baseline": "base",
            "models": ["base", "better"],
            "held_out": ["contrast", "zoom_blur"],
            "bootstrap": 50,
            "tuned": {"better": {"base": "base", "augment": True}},
            **benchmark,
        },
    }


def labels_of(name, count=COUNT):
    return np.arange(count) % len(CLASSES[name])


def write_manifest(layout, name, splits, kind="clean"):
    facts = {"bytes_version": 1, "dataset": name, "source": "phantom", "seed": 3, "channels": 3}
    facts["native_channels"] = 1 if name == "mammo_mass" else 3
    path = layout.manifest(name, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "class_names": CLASSES[name], "splits": splits}))


def entry(labels, images=b""):
    digest = hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
    return {"count": len(labels), "labels": digest, "images": hashlib.sha256(images).hexdigest()}


SPLITS = {"pretrain": 24, "pretest": 8, "train": 24, "val": 8, "test": 12}


def discs(name, split, count):
    """A disc whose brightness says the class; grey for mammo_mass outside the released splits."""
    labels = np.arange(count, dtype=np.int64) % len(CLASSES[name])
    rows, columns = np.mgrid[:224, :224]
    images = np.empty((count, 224, 224, 3), np.uint8)
    for k, label in enumerate(labels):
        disc = (rows - 100 - 3 * (k % 7)) ** 2 + (columns - 112) ** 2 < 60**2
        images[k] = np.where(disc, 60 + 45 * label, 20 + k % 5)[..., None]
    images[:, :8, :8] = 20 * list(SPLITS).index(split) + 9 * list(CLASSES).index(name)  # no image is there twice
    released = split in ("val", "test")
    return images if released or name == "oct" else images[..., :1], labels


def fill(root, values):
    """Write params.yaml with `values`, and the images and manifests of every split of both data sets."""
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    layout = Workspace(root)
    for name in CLASSES:
        entries = {}
        for split, count in SPLITS.items():
            images, labels = discs(name, split, count)
            with npz.write(layout.npz(Cell(name, split)), labels, images.shape[1:]) as writer:
                writer.append(images)
            entries[split] = entry(labels, images.tobytes())
        write_manifest(layout, name, entries)
        write_manifest(layout, name, entries, "prepared")


def write_logits(places, model, name, cell, wrong, labels=None):
    """Write logits that are confidently wrong on the first `wrong` images, and right on the others."""
    labels = labels_of(name) if labels is None else labels
    classes = len(CLASSES[name])
    chosen = np.where(np.arange(len(labels)) < wrong, (labels + 1) % classes, labels)
    logits = 4.0 * np.eye(classes, dtype=np.float32)[chosen]
    path = places.predictions(model) / name / "test" / f"{cell}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, logits=logits, labels=labels, indices=np.arange(len(labels)), key="", weights=f"of {model}")


def prediction_record(model, **changes):
    """Return a record of predictions; `changes` replace its fields."""
    description = ModelDescription(
        name=model,
        title=model.title(),
        family="none",
        architecture="none",
        files=(),
        context_length=32,
        embedding=64,
        preprocessing="224 px",
        licence="MIT",
        citation="nobody",
    )
    fields = {
        "model": description,
        "base": None,
        "logit_scale": 4.0,
        "prompts": {},
        "tuning": None,
        "weights_sha256": f"of {model}",
        "versions": {"numpy": np.__version__},
        "device": "cpu",
    }
    return PredictionRecord(**fields | changes)


@pytest.fixture
def workspace(tmp_path):
    """Two models: 4 of 40 wrong clean; corrupted the base has 8 wrong and the better one 6."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params()))
    layout, places = Workspace(tmp_path), Workspace(tmp_path)
    for name in CLASSES:
        write_manifest(layout, name, {"test": entry(labels_of(name))})
        for model, corrupted in (("base", 8), ("better", 6)):
            for cell in cells_of(name, "test"):
                write_logits(places, model, name, cell.name, 4 if cell.is_clean else corrupted)
    for model in ("base", "better"):
        write_record(places.prediction_record(model), prediction_record(model))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with data and a pre-trained phantom-clip."""
    root = tmp_path_factory.mktemp("trained")
    tuned = {
        "plain": {"base": "phantom-clip", "augment": False, "rank": 4, "seed": 5},
        "robust": {"base": "phantom-clip", "augment": True, "rank": 4, "seed": 5},
    }
    values = params(
        baseline="phantom-clip",
        models=["phantom-clip", "plain"],
        tuned=tuned,
        pretrain={"epochs": 1, "batch": 8},
        tune={"shots": 2, "epochs": 3, "batch": 8, "validate_every": 1, "dropout": 0.1},
    )
    fill(root, values)
    pretrain.main(["--root", str(root)])
    return root

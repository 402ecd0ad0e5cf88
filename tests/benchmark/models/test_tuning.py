"""Tuning with LoRA where RobustMedCLIP has it: on ViTs and on ResNets with batch norm, at ranks 8 and 16."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from benchmark import tune
from benchmark.models import Bert, load, loading, records
from benchmark.tuning import shots
from pipeline.config.params import read_config
from pipeline.workspace.paths import Workspace
from tests.benchmark.conftest import discs, fill, params
from tests.benchmark.models.conftest import WORDS, published_state, without_checksum


def workspace(root, base, weights, rank):
    """Write two data sets and settings that tune `base`, whose files are in `weights`, on an image a class."""
    name = "other" if ":" in base else base  # a pinned model goes by a short name
    values = params(
        baseline=name,
        models=[name, "mine"],
        weights={"other": base, base: str(weights)},
        tuned={"mine": {"base": base, "rank": rank, "augment": False}},
        tune={"shots": 1, "epochs": 2, "batch": 3, "validate_every": 2, "scales": [1.0], "learning_rate": 0.01},
    )
    fill(root, values)
    return root


def tuned(root, rank):
    """Tune, and return the record, and the base's and the tuned tower's features of the same images."""
    record = tune.tune(root, "mine")
    config = json.loads((Workspace(root).adapter("mine") / "adapter_config.json").read_text())
    assert (config["r"], record.settings.rank) == (rank, rank)
    models = [
        loading.load(Workspace(root), read_config(Workspace(root)).benchmark, name, device="cpu")
        for name in (read_config(Workspace(root)).benchmark.baseline, "mine")
    ]
    with torch.inference_mode():
        before, after = (model.encode_images(model.preprocess(discs("oct", "test", 3)[0])) for model in models)
    assert (before - after).abs().max() > 1e-4
    return record, models


def test_a_pinned_model_goes_by_another_name_in_params(clip, tmp_path):
    weights, _ = clip
    workspace(tmp_path, "hub:someone/clip", weights, 2)
    model = loading.load(Workspace(tmp_path), read_config(Workspace(tmp_path)).benchmark, "other", device="cpu")
    assert (model.record.name, model.record.title) == ("hub:someone/clip", "someone/clip")


@pytest.mark.parametrize("rank", [8, 16])
def test_a_vit_is_tuned_on_its_attention(clip, rank, tmp_path):
    weights, _ = clip
    record, _ = tuned(workspace(tmp_path, "hub:someone/clip", weights, rank), rank)
    width, layers, projections = 16, 2, 3
    assert record.parameters == layers * projections * rank * (width + width)


WIDTHS = [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3
INPUTS = [64, *(4 * width for width in WIDTHS[:-1])]
BLOCKS = sum(i + w + 9 * w + w + w + 4 * w for i, w in zip(INPUTS, WIDTHS, strict=True))
"""Parameters of the three layers of every bottleneck: 1 by 1, 3 by 3, and 1 by 1 to four times the width."""

TOWERS = {
    "biomedclip": ("vit_tiny_patch16_224", 12 * (192 + 3 * 192)),
    "medclip-resnet": ("resnet50", 49 * 3 + 64 + BLOCKS),
}
"""Towers, and the parameters of LoRA at rank 1: A has the width of what goes in, B of what comes out.

The ViT is BiomedCLIP's, a quarter as wide. The ResNet-50 has a stem of 7 by 7 and 49 such layers in all; A is as large
as the layer's kernel, B is 1 by 1."""


@pytest.mark.zoo
@pytest.mark.parametrize(("name", "rank"), [("biomedclip", 16), ("medclip-resnet", 8)])
def test_the_towers_of_robustmedclip_are_tuned_and_batch_norm_stays(name, rank, words, tmp_path, monkeypatch):
    architecture, parameters = TOWERS[name]
    files = without_checksum(records()[name])
    changed = {"bert": Bert(vocabulary=len(WORDS), width=64, layers=3), "architecture": architecture, "files": files}
    monkeypatch.setitem(records(), name, records()[name].changed(**changed))
    monkeypatch.setattr(shots, "HELD", 4)
    torch.manual_seed(0)
    torch.save(published_state(load(name, weights_dir=words, random_init=True)), words / files[0].name)
    record, (base, mine) = tuned(workspace(tmp_path, name, words, rank), rank)
    assert record.parameters == rank * parameters
    norms = [module for module in base.image_tower.modules() if isinstance(module, nn.BatchNorm2d)]
    others = [module for module in mine.image_tower.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == len(others) == (53 if name == "medclip-resnet" else 0)
    for norm, other in zip(norms, others, strict=True):
        assert torch.equal(norm.running_mean, other.running_mean)
        assert torch.equal(norm.running_var, other.running_var)

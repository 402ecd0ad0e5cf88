"""One `dvc repro` of a project whose params.yaml names models of every kind, from drawing images to the report."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from tests.benchmark.models import tiny_vlms
from tests.benchmark.models.families import test_encoder
from tests.benchmark.test_kinds import save_siglip
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.test_dvc_remote import repro, run

MODELS = ["phantom-clip", "asked", "compared", "linear"]
LEFT_OUT = ("tests/", "docs/", "manifests/", "reports/", "dvc.lock")


@pytest.fixture
def project(tmp_path):
    """A copy of the project with one small data set, and tiny random models in its folder `weights`."""
    root = tmp_path / "project"
    for name in run(REPOSITORY, "git", "ls-files", "-co", "--exclude-standard").splitlines():
        if (REPOSITORY / name).is_file() and not name.startswith(LEFT_OUT):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    for name in ("vlm", "siglip", "encoder"):
        (root / "weights" / name).mkdir(parents=True)
    tiny_vlms.save("llava", root / "weights" / "vlm")
    save_siglip(root / "weights" / "siglip")
    test_encoder.save("dinov2", root / "weights" / "encoder")
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["datasets"] = ["oct"]
    values["counts"] = {"train": 16, "val": 8, "test": 12, "pretrain": 16, "pretest": 8}
    values["benchmark"] |= {
        "models": MODELS,
        "bootstrap": 20,
        "tuned": {},
        "pretrain": {"epochs": 1, "batch": 8, "learning_rate": 0.002, "seed": 1},
        "tune": {**values["benchmark"]["tune"], "shots": 2},
        "probes": {"linear": {"base": "encoder"}},
        "weights": {
            "asked": "vlm:someone/tiny",
            "vlm:someone/tiny": "weights/vlm",
            "compared": "hub:someone/siglip",
            "hub:someone/siglip": "weights/siglip",
            "encoder": "encoder:someone/tiny",
            "encoder:someone/tiny": "weights/encoder",
        },
    }
    (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    run(root, "git", "init", "-q", "-b", "main")
    return root


@pytest.mark.slow
def test_a_repro_with_all_kinds_ends_in_a_report_of_them(project):
    ran = repro(project)
    assert {f"predict@{name}" for name in MODELS} | {"probe@linear", "report"} <= set(ran)
    scores = json.loads((project / "reports" / "scores.json").read_text(encoding="utf-8"))
    assert list(scores["models"]) == MODELS
    text = (project / "reports" / "report.md").read_text(encoding="utf-8")
    assert all(title in text for title in ("phantom-CLIP", "someone/tiny", "someone/siglip", "linear"))
    assert repro(project) == []

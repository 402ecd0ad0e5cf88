"""A build with more corruptions than the seven, from drawings to the report, with all that is in between."""

import json

import pandas as pd
import pytest
import yaml

from corruptions import CORRUPTIONS, SEVERITIES
from tests.benchmark.test_sources import repro
from tests.pipeline.conftest import REPOSITORY

CHOSEN = {"oct": ["speckle_noise", "brightness_up"], "pbc": ["pixelate", "speckle_noise"]}


def write_params(root, corruption_set):
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params |= {"datasets": list(CHOSEN), "corruption_set": corruption_set}
    params["counts"] = {"train": 12, "val": 6, "test": 10, "pretrain": 8, "pretest": 8}
    params["benchmark"]["pretrain"] |= {"epochs": 1, "batch": 8}
    params["benchmark"]["tune"] |= {"shots": 1, "epochs": 1}
    params["benchmark"]["bootstrap"] = 20
    (root / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.mark.slow
def test_more_corruptions_go_from_params_to_the_report_and_change_no_score_of_the_seven(tmp_path):
    write_params(tmp_path, "core")
    repro(tmp_path)
    metrics = tmp_path / "reports" / "metrics.json"
    core, manifests = metrics.read_bytes(), sorted((tmp_path / "manifests").glob("[op]*/*.json"))
    contents = [path.read_bytes() for path in manifests]
    write_params(tmp_path, CHOSEN)
    repro(tmp_path)
    assert [path.read_bytes() for path in manifests] == contents
    with_set = json.loads(metrics.read_bytes())
    assert all(model.pop("mce_set") for model in with_set.values())
    assert with_set == json.loads(core)
    cells = pd.read_csv(tmp_path / "reports" / "scores.csv").query("model == 'rmedclip' and metric == 'error'")
    found = {name: set(of_set["corruption"]) - {"clean", *CORRUPTIONS} for name, of_set in cells.groupby("dataset")}
    assert found == {"oct": {"speckle_noise", "brightness_up"}, "pbc": {"speckle_noise"}}
    text = (tmp_path / "reports" / "report.md").read_text()
    assert "## CE by corruption, extended set, base = 100" in text
    assert "mCE, corruption set" in text
    apart = pd.read_csv(tmp_path / "reports" / "distances.csv").set_index(["dataset", "corruption"])["distance"]
    assert apart["oct", "brightness_up"] > apart["oct", "speckle_noise"] > 0
    files = json.loads((tmp_path / "metrics" / "export.json").read_text())["files"]
    assert {f"oct/test/brightness_up_severity_{k}.npz" for k in SEVERITIES} <= files.keys()
    write_params(tmp_path, "core")
    repro(tmp_path)
    assert metrics.read_bytes() == core
    assert not list(tmp_path.glob("data/MediMeta-C*/*/*/speckle_noise*"))

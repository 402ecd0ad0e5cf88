"""From tiny releases in the formats of MedIMeta and MedMNIST+ to a report, with what params.yaml says by default."""

import hashlib
import json

import pytest
import yaml

from benchmark import predict, pretrain, report, score, tune
from benchmark.tuning.records import TuneRecord
from pipeline import corrupt, export, fetch, gallery, prepare, verify
from pipeline.config.params import read_config
from pipeline.sources import medmnist
from pipeline.workspace.paths import Workspace
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.sources import medmnist_files, release

COLLECTIONS = {"MediMeta-C": {"fundus": "medimeta"}, "MedMNIST+": {"breastmnist": "medmnist"}}


def write_params(root, sources):
    """Write the project's params.yaml, made small, for data sets by their source."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    first = next(iter(sources.values()))
    params |= {"source": first, "datasets": list(sources)}
    params["sources"] = {name: source for name, source in sources.items() if source != first}
    params["counts"] |= {"pretrain": 2, "pretest": 2}
    params["benchmark"]["pretrain"] |= {"epochs": 1, "batch": 8}
    params["benchmark"]["tune"] |= {"shots": 1, "epochs": 1}
    params["benchmark"]["bootstrap"] = 20
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def write_releases(root, monkeypatch):
    release.write_release(Workspace(root).raw("medimeta"), "fundus")
    raw = Workspace(root).raw("medmnist")
    raw.mkdir(parents=True)
    path = medmnist_files.write(raw, "breastmnist")
    monkeypatch.setitem(medmnist.MD5, "breastmnist", hashlib.md5(path.read_bytes()).hexdigest())


def repro(root):
    """Run every stage of dvc.yaml, in its order."""
    config = read_config(Workspace(root))
    steps = [(fetch, []), *((prepare, ["--dataset", name]) for name in config.datasets), (corrupt, ["--all"])]
    steps += [(verify, []), (gallery, []), (export, []), (pretrain, [])]
    steps += [(tune, ["--model", name]) for name in config.benchmark.tuned]
    steps += [(predict, ["--model", name]) for name in config.benchmark.models]
    for stage, arguments in [*steps, (score, []), (report, [])]:
        assert stage.main(["--root", str(root), *arguments]) == 0, stage.__name__


@pytest.mark.slow
@pytest.mark.parametrize("collections", [("MediMeta-C",), ("MedMNIST+",), ("MediMeta-C", "MedMNIST+")])
def test_a_line_for_the_source_leads_to_the_report(collections, tmp_path, monkeypatch, capsys):
    write_releases(tmp_path, monkeypatch)
    sources = {name: source for key in collections for name, source in COLLECTIONS[key].items()}
    write_params(tmp_path, sources)
    repro(tmp_path)
    scores = json.loads((tmp_path / "reports" / "scores.json").read_text())
    assert {key: list(names) for key, names in scores["collections"].items()} == {
        key: list(COLLECTIONS[key]) for key in collections
    }
    assert {name: dataset["source"] for name, dataset in scores["datasets"].items()} == sources
    assert set(TuneRecord.read(Workspace(tmp_path), "rmedclip").shots) == set(sources), "tuned on all of them together"
    report = (tmp_path / "reports" / "report.md").read_text(encoding="utf-8")
    assert [name for name in (*collections, *sources) if name not in report] == []
    listed = json.loads((tmp_path / "manifests" / "source.json").read_text())
    assert set(listed.get("others", {})) == set(list(sources.values())[1:])
    left_out = "export: breastmnist are left out: a repository has one source, medimeta" in capsys.readouterr().err
    assert left_out == (len(sources) > 1)

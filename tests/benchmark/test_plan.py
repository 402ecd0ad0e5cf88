import pytest
import yaml

from corruptions import CORRUPTIONS
from pipeline.config import read_config
from pipeline.paths import Workspace

from .conftest import params


def read(tmp_path, **benchmark):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params(**benchmark)))
    return read_config(Workspace(tmp_path)).benchmark


def test_what_is_not_held_out_is_trained(tmp_path):
    assert set(read(tmp_path).trained) == set(CORRUPTIONS) - {"contrast", "zoom_blur"}


def test_collections_and_where_they_are(tmp_path):
    assert read(tmp_path).scored(["oct", "pbc"]) == {"MediMeta-C": ("oct", "pbc")}
    made = read(tmp_path, collections={"ours": ["oct"], "theirs": ["pbc"]}, workspaces={"theirs": "../there"})
    assert made.scored(["oct"]) == {"ours": ("oct",), "theirs": ("pbc",)}
    assert made.home(tmp_path, "oct").root == tmp_path
    assert made.home(tmp_path, "pbc").root.resolve() == tmp_path.parent / "there"
    with pytest.raises(ValueError, match=r"has 'oct' in ours, which is not among datasets \(fundus\)"):
        made.scored(["fundus"])


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ({"baseline": "clip"}, "benchmark.models lacks the baseline 'clip'"),
        ({"models": ["base", "base"]}, "names one twice"),
        ({"colour": 1}, "benchmark has no 'colour'; have baseline, models"),
        ({"split": "train"}, "benchmark.split is 'train'; have val, test"),
        ({"held_out": ["fog"]}, "benchmark.held_out is 'fog'; have gaussian_noise"),
        ({"held_out": list(CORRUPTIONS)}, "holds out every corruption"),
        ({"tune": {"shots": 16, "percent": 3.0}}, "either shots or percent"),
        ({"tune": {"shots": 0}}, "either shots or percent"),
        ({"tune": {"epochs": 0}}, "benchmark.tune.epochs must be at least 1, not 0"),
        ({"tune": {"epochs": "ten"}}, "benchmark.tune.epochs must be like 40, not 'ten'"),
        ({"tune": {"scales": [0.5, 1.5]}}, "scales are parts above 0 up to 1"),
        ({"tune": {"scales": []}}, "scales are parts above 0 up to 1"),
        ({"tune": {"split": "val"}, "split": "val"}, "are both 'val'"),
        ({"tune": {"strength": 6}}, "a severity from 1 to 5, not 6"),
        ({"tuned": {"better": {"rank": 8.5}}}, "benchmark.tuned.better.rank must be like 8, not 8.5"),
        ({"tuned": {"a": {"base": "b"}, "b": {"base": "base"}}}, "benchmark.tuned.a.base is 'b'; have base"),
        ({"collections": {"ours": "oct"}}, "benchmark.collections must map names to lists of data sets"),
        ({"collections": ["oct"]}, "benchmark.collections must map names to lists"),
        ({"collections": {"ours": []}}, "benchmark.collections must map names to lists"),
        ({"collections": {"a": ["oct"], "b": ["oct"]}}, "benchmark.collections names a data set twice"),
        ({"collections": {"a": ["oct"]}, "workspaces": {"b": "there"}}, "benchmark.workspaces is 'b'; have a"),
        ({"bootstrap": 0}, "benchmark.bootstrap must be at least 1"),
        ({"device": "tpu"}, "benchmark.device is 'tpu'; have auto, cpu, cuda"),
    ],
)
def test_mistakes_are_named(tmp_path, benchmark, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, **benchmark)


def test_a_file_without_the_section(tmp_path):
    with pytest.raises(ValueError, match=r"run this in the project's folder"):
        read_config(Workspace(tmp_path)).benchmark
    (tmp_path / "params.yaml").write_text("source: phantom\n")
    with pytest.raises(ValueError, match="has no section `benchmark`"):
        read_config(Workspace(tmp_path)).benchmark
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="is not YAML"):
        read_config(Workspace(tmp_path)).benchmark

"""The presets, what is said before any work, and the phantom's grid scaled down much further."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from benchmark import paper
from benchmark.preflight import preflight
from pipeline.config.benchmark import PHANTOM_CLIP, PHANTOM_CLIP_VIT
from pipeline.config.params import read_config
from pipeline.sources import medmnist
from tests.pipeline.conftest import REPOSITORY

PRESETS = sorted(path.stem for path in (REPOSITORY / "presets").glob("*.yaml"))
PARAMS = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
VITS = {"paper": "biomedclip", "paper-phantom": PHANTOM_CLIP_VIT}


def read(preset):
    return yaml.safe_load((REPOSITORY / "presets" / f"{preset}.yaml").read_text())


@pytest.mark.parametrize("protocol", [None, "own", "robustmedclip"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_checked_as_params_is_and_has_every_parameter_of_dvc(preset, protocol, tmp_path):
    config = read_config(paper.make_workspace(REPOSITORY, preset, tmp_path, protocol=protocol))
    assert config.benchmark.protocol == (protocol or read(preset)["benchmark"]["protocol"])
    assert PARAMS.keys() <= read(preset).keys()
    assert PARAMS["benchmark"].keys() <= read(preset)["benchmark"].keys()


def test_the_phantoms_grid_is_the_papers_scaled_down(tmp_path):
    """A grid on a vision transformer, and a CNN beside it: of the paper tuned at each share, of the phantom once."""
    grids = {}
    for preset in ("paper", "paper-phantom"):
        config = read_config(paper.make_workspace(REPOSITORY, preset, tmp_path / preset))
        points = [config.benchmark.settings(name) for name in config.benchmark.points("rmedclip")]
        assert {point.base for point in points} == {VITS[preset]}
        grids[preset] = tuple(len({getattr(p, axis) for p in points}) for axis in ("rank", "percent", "seed"))
    assert grids == {"paper": (2, 7, 3), "paper-phantom": (2, 4, 2)}
    assert config.benchmark.points("rmedclip-cnn") == ("rmedclip-cnn",)
    assert config.benchmark.settings("rmedclip-cnn").base == PHANTOM_CLIP
    assert config.benchmark.baseline == PHANTOM_CLIP_VIT


def test_medmnist_c_has_its_own_list_of_each_data_set():
    preset = read("medmnist-c")
    assert {name: set(listed) for name, listed in preset["corruption_set"].items()} == {
        name: set(listed) for name, listed in medmnist.CORRUPTED.items()
    }
    assert list(preset["corruption_set"]) == preset["datasets"]


def test_what_is_missing_is_one_sentence_before_any_work(tmp_path, capsys):
    command = ["--root", str(REPOSITORY), "--preset", "paper", "--folder", str(tmp_path)]
    assert paper.main(command) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    for words in ("robustmedclip-100 has no revision", "medclip needs", "pytrial/medclip-vit-pretrained.zip"):
        assert words in said.err
    for words in ("medimeta are not in", "medmnist are not in", "disk: about 276.5 GB", "time: about"):
        assert words in said.out
    assert not (tmp_path / "dvc.lock").exists()


def test_a_workspace_that_has_all_is_missing_nothing(tmp_path):
    workspace = paper.make_workspace(REPOSITORY, "paper-phantom", tmp_path)
    found = preflight(workspace, read_config(workspace))
    assert found.missing == []
    assert [note.partition(":")[0] for note in found.notes] == ["disk", "time"]


def test_an_unknown_preset_names_the_choices(tmp_path, capsys):
    assert paper.main(["--root", str(REPOSITORY), "--preset", "nope", "--folder", str(tmp_path)]) == 1
    assert f"no preset 'nope'; have {', '.join(PRESETS)}" in capsys.readouterr().err


def test_code_that_is_gone_goes_and_what_was_compiled_stays(tmp_path):
    workspace = paper.make_workspace(REPOSITORY, "paper-phantom", tmp_path)
    (tmp_path / "pipeline" / "old.py").touch()
    compiled = tmp_path / "pipeline" / "__pycache__" / "x.pyc"
    compiled.parent.mkdir()
    compiled.touch()
    paper.make_workspace(REPOSITORY, "paper-phantom", workspace.root)
    assert not (tmp_path / "pipeline" / "old.py").exists()
    assert compiled.exists()


def run(root, folder, capfd):
    """Run the command of `make paper-phantom`; return the stages that ran, and what was said."""
    assert paper.main(["--root", str(root), "--preset", "tiny", "--folder", str(folder)]) == 0
    said = "".join(capfd.readouterr())
    return set(re.findall(r"Running stage '([^']+)'", said)), said


@pytest.mark.slow
def test_the_phantoms_grid_ends_in_all_tables_and_figures_and_trains_nothing_twice(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    root, folder = tmp_path / "project", tmp_path / "project" / "build" / "tiny"
    root.mkdir()
    for name in paper.CODE:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, root / name)
    preset = read("paper-phantom")
    preset |= {"datasets": ["oct", "pneumonia"]}
    preset["counts"] = {"train": 8, "val": 8, "test": 6, "pretrain": 8, "pretest": 6}
    benchmark = preset["benchmark"]
    benchmark |= {"collections": {"MediMeta-C": ["oct"], "MedMNIST-C": ["pneumonia"]}, "bootstrap": 20}
    benchmark["pretrain"]["epochs"] = benchmark["tune"]["epochs"] = 1
    benchmark["tuned"]["rmedclip"] |= {"percent": [30, 100], "seed": [1, 2]}
    (root / "presets").mkdir()

    def write():
        (root / "presets" / "tiny.yaml").write_text(yaml.safe_dump(preset))

    write()
    ran, said = run(root, folder, capfd)
    assert {"pretrain", "tune@rmedclip", "tune@rmedclip-cnn", "predict@rmedclip", "score", "report"} <= ran
    assert said.count(" 1 epochs") == 2 + 8 + 1
    report = (folder / "reports" / "report.md").read_text()
    for title in ("Tuned models", "Ranks", "MediMeta-C", "MedMNIST-C"):
        assert title in report
    figures = {path.stem for path in (folder / "reports" / "figures").glob("*.pdf")}
    assert {"few-shot-percent", "radar", "scores"} <= figures, figures
    assert run(root, folder, capfd)[0] == set(), "the same grid again trains nothing"
    benchmark["tuned"]["rmedclip"]["seed"] = [1, 2, 3]
    write()
    ran, said = run(root, folder, capfd)
    names = ("phantom-clip-vit", "phantom-clip", "rmedclip", "rmedclip-cnn")
    tuned = {f"tune@{name}" for name in names[2:]}
    assert ran <= {"pretrain", *tuned, *(f"predict@{name}" for name in names), "score", "report"}
    assert said.count("trained before with the same settings, images and base; nothing to do") >= 8
    assert len(re.findall(r"tune rmedclip/\S+-seed3: \d+ shots, 1 epochs", said)) == 4
    assert len(re.findall(r"tune rmedclip/\S+-seed\d: \d+ shots", said)) == 4
    assert not Path(root / "dvc.lock").exists(), "the project's own build is as it was"

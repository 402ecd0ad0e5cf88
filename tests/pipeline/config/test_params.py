from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import parse_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corruptions import CORRUPTIONS, EXTENDED
from pipeline.config.params import Config, home, read_config, scored_corruptions
from pipeline.errors import UserError
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import CleanManifest
from pipeline.workspace.paths import Workspace
from tests.pipeline.conftest import REPOSITORY

PARAMS = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


def read(root: Path, **changes: object) -> Config:
    """Read the project's params.yaml with `changes`; a name such as benchmark__tune__epochs goes to its section."""
    params = yaml.safe_load(yaml.safe_dump(PARAMS))
    for name, value in changes.items():
        *sections, key = name.split("__")
        section = params
        for part in sections:
            section = section.setdefault(part, {})
        section[key] = value
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return read_config(Workspace(root))


def test_the_projects_own_params_are_valid() -> None:
    assert read_config(Workspace(REPOSITORY)).source == "phantom"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": "internet"}, "source is 'internet'; have phantom, medimeta, medmnist, imagefolder"),
        ({"profile": "strong"}, "profile is 'strong'; have imagenet-c, modality"),
        ({"channels": 3}, "channels is 3; have rgb, native"),
        ({"compression": "zstd"}, "compression is 'zstd'; have stored, deflated"),
        ({"datasets": []}, "datasets must be a list of at least 1"),
        ({"datasets": "pbc"}, "datasets must be a list, not 'pbc'"),
        ({"datasets": ["../x"]}, "only letters, digits and _"),
        ({"datasets": ["a-b"]}, "only letters, digits and _"),
        ({"datasets": ["pbc", "PBC"]}, "datasets names one twice"),
        ({"datasets": [3]}, "datasets.0 must be text, not 3"),
        ({"splits": {"test": "test"}}, "splits lacks val"),
        ({"splits": {"val": "dev", "test": "test"}}, "splits.val is 'dev'; have train, val, test"),
        ({"splits": {"val": "val", "test": "test", "dev": "val"}}, "splits has no 'dev'; have val, test"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"seed": True}, "seed must be a whole number, not True"),
        ({"seed": 1.0}, "seed must be a whole number, not 1.0"),
        ({"columns": {"mine": []}}, r"columns.mine must be text, not \[\]"),
        ({"columns": ["fundus"]}, "columns must be a mapping"),
        ({"columns": {"mine": "mri"}}, "columns.mine is 'mri'; have aml, pbc"),
        ({"datasets": ["mine"], "profile": "modality"}, "no column for mine"),
        ({"counts": {"train": 1}}, "counts lacks val"),
        ({"limit": 0}, "limit must be at least 1, not 0"),
        (
            {"corruption_set": "all"},
            "corruption_set: must be core, extended, a list of corruptions, or such .*not 'all'",
        ),
        ({"corruption_set": None}, "corruption_set: must be core, extended, a list of corruptions"),
        ({"corruption_set": []}, r"corruption_set: must be a list of at least one corruption, not \[\]"),
        ({"corruption_set": ["rain"]}, "corruption_set: has 'rain', which is no corruption; have gaussian_noise, "),
        ({"corruption_set": ["extended"]}, "corruption_set: has 'extended', which is no corruption"),
        ({"corruption_set": [["contrast"]]}, r"corruption_set: has \['contrast'\], which is no corruption"),
        ({"corruption_set": ["speckle_noise", "contrast"] * 2}, "corruption_set: names speckle_noise twice"),
        ({"corruption_set": {"pbc": "extended"}}, "of pbc must be a list of at least one corruption, not 'extended'"),
        ({"corruption_set": {"pbc": ["contrast", "rain"]}}, "corruption_set: of pbc has 'rain', which is no corr"),
        ({"corruption_set": {"brain": ["contrast"]}}, r"corruption_set has 'brain', which is not among datasets \(aml"),
        ({"limmit": 5}, "it has no 'limmit'; have source, datasets, splits"),
        ({"benchmark__colour": 1}, "benchmark has no 'colour'; have baseline, models"),
        ({"benchmark__tune__epoch": 1}, "benchmark.tune has no 'epoch'; have split, shots"),
        ({"benchmark__tuned__rmedclip__ranks": 1}, "benchmark.tuned.rmedclip has no 'ranks'; have split, shots"),
        ({"benchmark__baseline": "clip"}, "benchmark: models lacks the baseline 'clip'"),
        ({"benchmark__baseline": "numbers.txt"}, "models lacks the baseline 'numbers.txt'"),
        ({"benchmark__models": ["phantom-clip", "phantom-clip"]}, "benchmark: models names one twice"),
        ({"benchmark__models": ["phantom-clip", "Phantom-CLIP"]}, "benchmark: models names one twice"),
        ({"benchmark__tuned": {"a": {}, "A": {}}}, "benchmark: tuned names one twice"),
        ({"benchmark__split": "train"}, "benchmark.split is 'train'; have val, test"),
        ({"benchmark__held_out": ["rain"]}, "benchmark.held_out.0 is 'rain'; have gaussian_noise"),
        ({"benchmark__held_out": list(CORRUPTIONS)}, "holds out every corruption"),
        ({"benchmark__tune__percent": 3.0}, "benchmark.tune: takes either shots or percent"),
        ({"benchmark__tune__shots": 0}, "benchmark.tune: takes either shots or percent"),
        ({"benchmark__tune__epochs": 0}, "benchmark.tune.epochs must be at least 1, not 0"),
        ({"benchmark__tune__epochs": "ten"}, "benchmark.tune.epochs must be a whole number, not 'ten'"),
        ({"benchmark__tune__scales": [0.5, 1.5]}, "benchmark.tune.scales.1 must be at most 1, not 1.5"),
        ({"benchmark__tune__scales": []}, "benchmark.tune.scales must be a list of at least 1"),
        ({"benchmark__tune__split": "val", "benchmark__split": "val"}, "are both 'val'"),
        ({"benchmark__tune__strength": 6}, "benchmark.tune.strength must be at most 5, not 6"),
        ({"benchmark__tuned__rmedclip__rank": 8.5}, "benchmark.tuned.rmedclip.rank must be a whole number, not 8.5"),
        (
            {"benchmark__tuned__rmedclip__base": "rmedclip-plain"},
            "tuned.rmedclip.base is 'rmedclip-plain', itself tuned",
        ),
        ({"benchmark__tuned__rmedclip__epochs": 0}, "benchmark.tuned.rmedclip.epochs must be at least 1, not 0"),
        ({"benchmark__tuned__rmedclip__shots": 0}, "tuned.rmedclip takes either shots or percent"),
        ({"benchmark__tuned__rmedclip__split": "val", "benchmark__split": "val"}, "split are both 'val'"),
        (
            {"splits": {"val": "test", "test": "test"}, "benchmark__tune__split": "val"},
            "splits takes val and test both from the source's test: rmedclip would be tuned on the images that are",
        ),
        (
            {"splits": {"val": "val", "test": "train"}},
            "splits takes train and test both from the source's train: rmedclip would be tuned on",
        ),
        (
            {"splits": {"val": "test", "test": "test"}, "benchmark__tuned__rmedclip-plain__split": "val"},
            "rmedclip-plain would be tuned on the images that are scored",
        ),
        ({"benchmark__collections": {"ours": "oct"}}, "benchmark.collections.ours must be a list, not 'oct'"),
        ({"benchmark__collections": ["oct"]}, "benchmark.collections must be a mapping"),
        ({"benchmark__collections": {"ours": []}}, "benchmark.collections.ours must be a list of at least 1"),
        ({"benchmark__collections": {"a": ["oct"], "b": ["oct"]}}, "collections names a data set twice"),
        ({"benchmark__collections": {"a": ["brain"]}}, r"has 'brain' in a, which is not among datasets \(aml"),
        ({"benchmark__workspaces": {"b": "there"}}, "workspaces names 'b'; have none"),
        ({"benchmark__workspaces": {"b": 5}}, "benchmark.workspaces.b must be text, not 5"),
        ({"benchmark__weights": {"clip": ""}}, "benchmark.weights.clip: must be one line of text"),
        ({"benchmark__weights": {"clip": "a\0b"}}, "benchmark.weights.clip: must be one line of text"),
        (
            {"benchmark__published": {"a": {"repo": "a\0b", "file": "model.pth"}}},
            "benchmark.published.a.repo: must be one line of text",
        ),
        ({"hub": {"repo": "a\nb"}}, "hub.repo: must be one line of text"),
        (
            {"benchmark__collections": {"a": ["oct"]}, "benchmark__workspaces": {"a": "\0"}},
            "benchmark.workspaces.a: must be one line of text",
        ),
        ({"benchmark__collections": {"\x1b[31m": ["oct"]}}, "must be one line of text"),
        ({"counts__train": 10**9}, "counts.train must be at most 1000000, not 1000000000"),
        ({"benchmark__batch": 2**20}, "benchmark.batch must be at most 16384, not 1048576"),
        ({"benchmark__weights": {"clip": 3}}, "benchmark.weights.clip must be text, not 3"),
        ({"benchmark__bootstrap": 0}, "benchmark.bootstrap must be at least 1"),
        ({"benchmark__device": "tpu"}, "benchmark.device is 'tpu'; have auto, cpu, cuda"),
        ({"benchmark": None}, "benchmark must be a mapping"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_choices(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        read(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/params.yaml: ")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.one_of(
        st.text(max_size=8).filter(
            lambda name: not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[\w.+-]+)?|[a-z_]+:.+", name)
        ),
        st.sampled_from(
            [
                ":",
                ":x",
                "vlm:",
                "vlm:<b>",
                "../x",
                "/etc/x",
                "a/../b",
                "<b>",
                "=1+1",
                "a|b",
                "$x_1$",
                "x\n",
                "\x1b[31m",
                "e\u0301",
                "x" * 101,
            ]
        ),
    ),
    place=st.sampled_from(["models", "tuned", "weights"]),
)
def test_a_models_name_can_be_a_folder_a_stage_and_a_word_in_every_report(
    tmp_path: Path, name: str, place: str
) -> None:
    changes: dict[str, object] = {
        "models": {"benchmark__models": ["phantom-clip", name]},
        "tuned": {"benchmark__tuned": {name: {}}},
        "weights": {"benchmark__weights": {name: "folder"}},
    }[place]
    with pytest.raises(UserError, match=rf"benchmark\.{place}\..*: a model's name has only letters") as caught:
        read(tmp_path, **changes)
    assert str(caught.value).isprintable()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    key=st.sampled_from(sorted(PARAMS)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_no_value_ends_in_a_traceback(tmp_path: Path, key: str, value: object) -> None:
    with contextlib.suppress(UserError):
        read(tmp_path, **{key: value})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "is not YAML"),
        ("- a", "must hold names and values"),
        ("source: phantom", "lacks datasets"),
        ("seed: 1\nsource: phantom\nseed: 2\n", "line 1: the key 'seed' stands there twice"),
        ("source: phantom\n3: 4\n", "line 2: the key 3 is no text"),
        ("seed: 2026-11-27\n", "lacks source"),
        (f"seed: 0x{'f' * 5000}\n", "a number of thousands of digits"),
        (f"seed: {'9' * 5000}\n", "is not YAML"),
        ("datasets: &all [*all]\n", "a list that is within itself"),
        ("? [a, b]\n: c\n", "is no text|is not YAML"),
        ("", "must hold names and values"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=sentence) as caught:
        read_config(Workspace(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--root"):
        read_config(Workspace(tmp_path))


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.e-4", "+1.0e-4", "0.0001", "1.0e-04"])
def test_a_number_is_the_same_for_dvc_and_here(tmp_path: Path, text: str) -> None:
    """DVC reads YAML 1.2, where 1e-4 is a number, and PyYAML 1.1, where it is text."""
    read(tmp_path, benchmark__tune__learning_rate=0.625)
    params = (tmp_path / "params.yaml").read_text(encoding="utf-8").replace("0.625", text)
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    assert read_config(Workspace(tmp_path)).benchmark.tune.learning_rate == 1e-4
    assert parse_yaml(params, "params.yaml")["benchmark"]["tune"]["learning_rate"] == 1e-4


def test_an_own_data_set_takes_a_column(tmp_path: Path) -> None:
    config = read(tmp_path, datasets=["mine"], columns={"mine": "fundus"}, profile="modality")
    assert config.column("mine") == "fundus"
    assert config.column("pbc") == "pbc"


def test_counts_are_the_phantoms_and_the_limit_is_everyones(tmp_path: Path) -> None:
    counts = {"train": 4, "val": 3, "test": 5, "pretrain": 2, "pretest": 2}
    config = read(tmp_path, counts=counts, limit=4)
    assert [config.count("oct", split) for split in ("train", "val", "test")] == [4, 3, 4]
    assert read(tmp_path, source="medimeta").count("oct", "test") is None
    assert read(tmp_path, source="medimeta", limit=7).count("oct", "test") == 7


def test_noise_is_stored_under_mixed(tmp_path: Path) -> None:
    config = read(tmp_path, compression="mixed")
    stored = {name for name in CORRUPTIONS if config.compression_of(name) == "stored"}
    assert stored == {"gaussian_noise", "impulse_noise"}
    assert config.compression_of() == "deflated"


def test_what_is_not_held_out_is_trained(tmp_path: Path) -> None:
    config = read(tmp_path, benchmark__held_out=["contrast", "zoom_blur"])
    assert set(config.benchmark.trained) == set(CORRUPTIONS) - {"contrast", "zoom_blur"}


def test_the_extended_set_is_never_trained(tmp_path: Path) -> None:
    config = read(tmp_path, corruption_set="extended", benchmark__held_out=["contrast", EXTENDED[0]])
    assert set(config.benchmark.trained) == set(CORRUPTIONS) - {"contrast"}


@pytest.mark.parametrize(
    ("corruption_set", "chosen", "extended"),
    [
        ("core", (), ()),
        ("extended", EXTENDED, EXTENDED),
        (["pixelate", "brightness_up", "contrast"], ("contrast", "pixelate", "brightness_up"), ("brightness_up",)),
        ({"pbc": ["contrast"], "oct": ["brightness_up"]}, ("contrast",), ()),
        ({"oct": ["brightness_up"]}, (), ()),
    ],
)
def test_the_seven_are_always_built_and_others_in_the_tables_order(
    tmp_path: Path, corruption_set: object, chosen: tuple[str, ...], extended: tuple[str, ...]
) -> None:
    config = read(tmp_path, corruption_set=corruption_set)
    assert config.chosen("pbc") == chosen
    assert config.extended("pbc") == extended
    assert config.corruptions("pbc") == (*CORRUPTIONS, *extended)


def test_every_setting_of_a_tuned_model_can_be_its_own(tmp_path: Path) -> None:
    own = {"percent": 7.5, "rank": 4, "epochs": 3, "scales": [1.0], "split": "val"}
    benchmark = read(tmp_path, benchmark__tuned={"mine": own, "few": {"shots": 2}, "plain": {}}).benchmark
    shared = benchmark.tune
    mine, few, plain = (benchmark.tuned[name].settings(shared) for name in ("mine", "few", "plain"))
    assert (mine.percent, mine.shots, mine.rank, mine.epochs, mine.scales, mine.split) == (7.5, 0, 4, 3, (1.0,), "val")
    assert (mine.batch, mine.learning_rate, mine.seed) == (shared.batch, shared.learning_rate, 1)
    assert (few.shots, few.percent) == (2, 0)
    assert plain.model_dump(include=set(type(shared).model_fields)) == shared.model_dump()
    assert mine.model_fields_set == set(type(mine).model_fields), "a record has every one of them"


def test_a_data_set_may_name_its_source(tmp_path: Path) -> None:
    config = read(
        tmp_path, datasets=["oct", "bloodmnist", "mine"], sources={"bloodmnist": "medmnist", "mine": "imagefolder"}
    )
    assert [config.source_of(name) for name in config.datasets] == ["phantom", "medmnist", "imagefolder"]
    assert config.datasets_of("medmnist") == ("bloodmnist",)
    assert config.collections == {"MediMeta-C": ("oct",), "MedMNIST+": ("bloodmnist",), "own images": ("mine",)}
    assert (config.count("oct", "val"), config.count("bloodmnist", "val")) == (24, None)
    with pytest.raises(UserError, match="sources has 'bloodmnist', which is not among datasets"):
        read(tmp_path, datasets=["oct"], sources={"bloodmnist": "medmnist"})
    with pytest.raises(UserError, match=r"sources\.oct is 'zenodo'; have phantom, medimeta"):
        read(tmp_path, datasets=["oct"], sources={"oct": "zenodo"})


def test_collections_and_where_they_are(tmp_path: Path) -> None:
    assert read(tmp_path, datasets=["oct", "pbc"]).collections == {"MediMeta-C": ("oct", "pbc")}
    assert read(tmp_path, source="imagefolder", datasets=["oct"]).collections == {"own images": ("oct",)}
    config = read(
        tmp_path,
        datasets=["oct"],
        benchmark__collections={"ours": ["oct"], "theirs": ["pbc"]},
        benchmark__workspaces={"theirs": "../there"},
    )
    assert config.scored_datasets == ["oct", "pbc"]
    workspace = Workspace(tmp_path)
    assert home(config, workspace, "oct").root == tmp_path
    assert home(config, workspace, "pbc").root.resolve() == tmp_path.parent / "there"


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "a b", "_x"])
def test_no_path_leaves_the_workspace(tmp_path: Path, name: str) -> None:
    workspace = Workspace(tmp_path)
    for path in (
        lambda: workspace.npz(Cell(name, "val")),
        lambda: workspace.npz(Cell(name, "train")),
        lambda: workspace.npz(Cell(name, "val", "contrast", 1)),
        lambda: workspace.manifest(name, "clean"),
        lambda: workspace.rows(name),
    ):
        with pytest.raises(UserError):
            path()


def test_a_scored_data_set_has_what_its_own_workspace_builds(tmp_path: Path) -> None:
    """Or what it came with, if it was adopted, and the seven where no params.yaml says more."""
    (tmp_path / "there").mkdir()
    (tmp_path / "bare").mkdir()
    read(tmp_path / "there", datasets=["fundus", "oct"], corruption_set={"fundus": ["brightness_up"]})
    config = read(
        tmp_path,
        corruption_set=["speckle_noise"],
        benchmark__collections={"here": ["pbc"], "there": ["fundus", "oct"], "bare": ["mammo_calc"]},
        benchmark__workspaces={"there": "there", "bare": "bare"},
    )
    entry = {"dataset": "pbc", "source": "phantom", "seed": 1, "native_channels": 3, "channels": 3}
    clean = CleanManifest(**entry, class_names=("a", "b"), splits={})

    def scored(dataset: str, **changes: object) -> tuple[str, ...]:
        return scored_corruptions(config, Workspace(tmp_path), clean.changed(dataset=dataset, **changes))

    assert scored("pbc") == (*CORRUPTIONS, "speckle_noise")
    assert scored("fundus") == (*CORRUPTIONS, "brightness_up")
    assert scored("oct") == scored("mammo_calc") == CORRUPTIONS
    assert scored("fundus", corruptions=("bubble", "pixelate")) == ("bubble", "pixelate")

"""Every stage of dvc.yaml depends on the code that can change its bytes: its imports, followed to the end."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from dvc.utils.serialize import parse_py

from pipeline import describe
from pipeline.workspace.datasets import DATASETS

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("corruptions", "pipeline", "benchmark")

CARRIERS = (
    "corruptions.spec",
    "pipeline.config",
    "pipeline.errors",
    "pipeline.generation.built",
    "pipeline.generation.options",
    "pipeline.io.atomic",
    "pipeline.io.checksums",
    "pipeline.io.records",
    "pipeline.io.regular",
    "pipeline.io.zip",
    "pipeline.run",
    "pipeline.text",
    "pipeline.workspace.cell",
    "pipeline.workspace.manifest",
    "pipeline.workspace.paths",
)
"""Code that only carries bytes: dvc.yaml names none of it, but defaults in pipeline.config.benchmark as parameters."""

UNUSED = ("corruptions.augment", "corruptions.gpu", "corruptions.literature")
"""Backends that no stage of dvc.yaml runs: its commands name no backend, so that they run the CPU's."""

EXTENDED = ("extend", "verify", "predict", "report")
"""Stages that may make cells of the extended set; the others, and `corrupt` and `tune` above all, never do."""

LOADED = {
    "corruptions.api": ("corruptions.cpu",),
    "pipeline.sources": ("pipeline.sources",),
    "benchmark.models.registry": ("benchmark.models.families",),
}
"""Packages that a module loads by name."""

OTHER_SOURCES = tuple(
    f"pipeline.sources.{name}"
    for name in ("arrays", "download", "imagefolder", "medimeta", "medmnist", "unpack", "zenodo")
)

APART = {
    "fetch": ("pipeline.sources.phantom",),  # downloads and lists files, and draws nothing
    "pretrain": ("corruptions.api", *OTHER_SOURCES),  # trains on clean images, and draws the phantom's
    "predict": ("benchmark.scoring.metrics",),  # says beforehand which metrics a split will not have
    "tune": ("pipeline.hub",),  # writes the text of the adapter's card
}
"""Imports of a stage that its own work does not use, or that change no weight, array or score."""

TABLE = "corruptions.table"
"""Its values are parameters of the stages that use them."""


@functools.cache
def stages() -> dict[str, dict[str, Any]]:
    read = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in read.items() if not stage.get("frozen")}


@functools.cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)


def inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def closure(stage: str) -> set[str]:
    """Return all modules that a stage imports, in turn, but for carriers and what it does not use."""
    modules, waiting = set(), {module_of(stages()[stage])}
    while waiting:
        module = waiting.pop()
        if module in modules or inside(module, (*CARRIERS, *UNUSED, *APART.get(stage, ()))):
            continue
        modules.add(module)
        waiting |= graph().find_modules_directly_imported_by(module)
        loaded = LOADED.get(module, ())
        if module == "corruptions.api" and stage in EXTENDED:
            loaded = (*loaded, "corruptions.extended.cpu")
        waiting |= {m for package in loaded for m in graph().modules if inside(m, (package,))}
    return modules


def is_init(module: str) -> bool:
    return (REPOSITORY / module.replace(".", "/")).is_dir()


def file_of(module: str) -> Path:
    path = REPOSITORY / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def code_deps(stage: dict[str, Any]) -> list[Path]:
    return [REPOSITORY / dep for dep in stage["deps"] if dep.partition("/")[0] in PACKAGES]


def module_of(stage: dict[str, Any]) -> str:
    return str(stage["cmd"].split()[2])


@pytest.mark.parametrize("name", stages())
def test_a_stage_depends_on_what_it_imports(name: str) -> None:
    stage = stages()[name]
    deps = code_deps(stage)
    needed = {file_of(module) for module in closure(name) - {TABLE} if not is_init(module)}
    missing = {str(path.relative_to(REPOSITORY)) for path in needed if not any(path.is_relative_to(d) for d in deps)}
    assert not missing


@pytest.mark.parametrize("name", stages())
def test_a_stage_depends_on_no_code_that_it_does_not_import(name: str) -> None:
    stage = stages()[name]
    needed = {file_of(module) for module in closure(name)} | {file_of(name) for name in CARRIERS}
    for dep in code_deps(stage):
        assert dep.exists(), dep
        assert any(path.is_relative_to(dep) for path in needed), f"{dep.relative_to(REPOSITORY)} is imported by nothing"


@pytest.mark.parametrize("name", stages())
def test_a_stage_that_reads_the_table_has_it_among_its_parameters(name: str) -> None:
    stage = stages()[name]
    named = {path for entry in stage.get("params", ()) if isinstance(entry, dict) for path in entry}
    reads_it = TABLE in closure(name)
    depends = "corruptions/table.py" in named or REPOSITORY / "corruptions" in code_deps(stage)
    writes_arrays = name in ("prepare", "corrupt", "extend", "verify", "tune")
    assert depends or not (reads_it and writes_arrays)


def test_the_core_and_what_is_trained_do_not_depend_on_the_extended_set() -> None:
    """Neither on its code nor on its rows: they stay as they are, whatever is added."""
    package = REPOSITORY / "corruptions" / "extended"
    for name, stage in stages().items():
        if name not in EXTENDED:
            assert not [dep for dep in code_deps(stage) if package.is_relative_to(dep) or dep.is_relative_to(package)]
            assert "EXTENDED" not in str(stage.get("params"))
            assert not [dep for dep in stage["deps"] if "extended" in dep and name in ("corrupt", "pretrain", "tune")]


def test_values_in_code_equal_what_the_lock_keeps_of_them() -> None:
    """A tuple is a list there, and its stage would never be up to date."""
    named = [entry for stage in stages().values() for entry in stage.get("params", ()) if isinstance(entry, dict)]
    code = {(path, key.partition(".")[0]) for entry in named for path in entry for key in entry[path] if ".py" in path}
    assert ("pipeline/config/benchmark.py", "SCALES") in code
    for path, key in code:
        value = parse_py((REPOSITORY / path).read_text(encoding="utf-8"), path)[key]
        assert json.loads(json.dumps(value)) == value, f"{key} of {path}"


def test_no_stage_names_a_backend() -> None:
    assert not [stage["cmd"] for stage in stages().values() if "--backend" in stage["cmd"]]


@pytest.mark.parametrize("name", stages())
def test_a_stage_depends_on_what_it_reads_of_the_cards_of_its_data_sets(name: str) -> None:
    """And on no card, since a data set's may be missing, and another data set's does not concern it."""
    deps = stages()[name]["deps"]
    cards = {"prepare": ["data/cards/prepare/${item}.json"], "describe": []}.get(name, [f"data/cards/{name}"])
    assert [dep for dep in deps if dep.startswith("data/cards")] == (cards if name in describe.READ else [])
    assert ("cards" in deps) == (name == "describe")
    assert not [
        dep for dep in deps if dep.startswith("cards/") and dep.endswith(".yaml") and Path(dep).stem in DATASETS
    ]

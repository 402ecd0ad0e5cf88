from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.models import ModelFile, ModelRecord, find_record, load, records
from pipeline.errors import UserError

ROOT = Path(__file__).parents[3]
MODELS = list(records().values())


@pytest.mark.parametrize("record", MODELS, ids=lambda record: record.name)
def test_every_file_is_pinned_or_says_where_it_is(record):
    assert record.files
    for file in record.files:
        if file.repo is None:
            assert file.origin.startswith(("https://", "`python -m "))
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", file.revision)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert record.licence
    assert record.citation
    assert record.sources
    assert re.compile(record.lora_targets)


@pytest.mark.parametrize("record", MODELS, ids=lambda record: record.name)
def test_the_preprocessing_is_one_of_a_bounded_image(record):
    preprocessing = record.preprocessing
    assert preprocessing.size in (224, 336, 448, 518, 896)
    assert all(0 <= mean < 1 for mean in preprocessing.mean)
    assert all(0 < std <= 1 for std in preprocessing.std)
    assert record.context_length in (32, 64, 77, 256) or record.kind != "zero-shot"


def test_a_name_is_its_records_and_an_adapter_names_its_base():
    assert {name: record.name for name, record in records().items()} == {name: name for name in records()}
    for record in MODELS:
        if record.base is not None:
            base = records()[record.base]
            for field in ("files", "family", "architecture", "lora_targets"):
                assert getattr(record, field) == getattr(base, field)


def test_a_record_survives_being_written_and_read():
    for record in MODELS:
        assert ModelRecord.model_validate_json(record.model_dump_json()) == record


def test_an_unpinned_revision_is_an_error():
    with pytest.raises(UserError, match=r"needs a pinned revision.*not 'main'"):
        find_record("hub:someone/something@main")
    with pytest.raises(ValueError, match="needs a pinned revision"):
        ModelFile(name="model.safetensors", repo="someone/something")
    with pytest.raises(ValueError, match="revision"):
        ModelFile(name="model.safetensors", repo="someone/something", revision="main")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        UserError,
        match=r"no model 'clipp'; have biomedclip, .*open_clip:ARCHITECTURE/TAG@COMMIT, .*hub:OWNER/NAME@COMMIT",
    ):
        find_record("clipp")


def test_a_hub_name_without_commit_is_an_error():
    with pytest.raises(UserError, match="has no commit"):
        find_record("hub:openai/clip-vit-base-patch16")


@pytest.mark.parametrize("repo", ["a b/c", "../c", "", "c", "a/b/c", "a/../c", "a/c\n"])
@pytest.mark.parametrize("form", ["encoder:", "hub:", "open_clip:hf-hub:", "vlm:"])
def test_an_invalid_repository_is_an_error(form, repo):
    with pytest.raises(UserError, match=r"is no repository of the Hub; have OWNER/NAME|needs a pinned revision"):
        find_record(f"{form}{repo}@{'0' * 40}", offline=True)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "tpu"])
def test_a_device_that_is_not_there_is_an_error(device, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="have auto, cpu"):
        load("phantom-clip", device=device, random_init=True)


@pytest.mark.parametrize("texts", [[3], ["a cell", None], [b"a cell"]])
def test_a_prompt_that_is_no_string_is_an_error(texts):
    with pytest.raises(UserError, match="a prompt must be a string, not"):
        load("phantom-clip", random_init=True).encode_texts(texts)


def test_an_adapter_is_asked_for():
    with pytest.raises(UserError, match="rmedclip is biomedclip with an adapter"):
        load("rmedclip")


def test_importing_the_package_imports_no_model_library():
    libraries = [
        "torch",
        "numpy",
        "open_clip",
        "timm",
        "torchvision",
        "transformers",
        "peft",
        "tokenizers",
        "safetensors",
    ]
    code = f"import sys, benchmark.models; print([name for name in {libraries} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "missing"), [("clip", "open_clip"), ("biomedclip", "timm"), ("medclip-resnet", "torchvision")]
)
def test_a_missing_package_is_one_sentence(name, missing, words, monkeypatch):
    for module in [loaded for loaded in sys.modules if loaded.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError) as caught:
        load(name, weights_dir=words, random_init=True)
    assert str(caught.value) == f"{missing} is not installed; in a checkout of this project: pip install -e '.[zoo]'"


FAMILY = """
from __future__ import annotations

import torch
from torch import nn

from benchmark.models.model import Towers
from benchmark.models.record import ModelFile, ModelRecord, Preprocessing

RECORDS = (
    ModelRecord(
        name="mean-colour",
        title="Mean colour",
        family="mean_colour",
        architecture="mean",
        files=(ModelFile(name="none", origin="https://example.org"),),
        preprocessing=Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1)),
        context_length=1,
        embedding=3,
        lora_targets="x",
        licence="MIT",
        citation="Nobody",
        sources=("this test",),
    ),
)


class Colour(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3))


class Words(nn.Module):
    def forward(self, colours):
        return colours


def tokenize(texts):
    return {"colours": torch.tensor([[word in text for word in ("red", "green", "blue")] for text in texts]).float()}


def build(record, files, *, random_init):
    return Towers(Colour(), Words(), tokenize, 10.0)
"""

SCRIPT = """
import torch
from benchmark.models import load
model = load("mean-colour")
images = torch.zeros((1, 8, 8, 3), dtype=torch.uint8)
images[..., 1] = 200
logits = model.encode_images(model.preprocess(images)) @ model.encode_texts(["a red cell", "a green cell"]).T
print(logits.argmax().item())
"""


def test_a_model_is_one_record_beside_its_loader(tmp_path):
    """Nothing but the new file is touched: the registry and the tables of the docs find it."""
    for package in ("benchmark", "pipeline", "corruptions"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "benchmark" / "models" / "families" / "mean_colour.py").write_text(FAMILY, encoding="utf-8")

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
        ).stdout

    assert run("-c", SCRIPT).strip() == "1"
    listing = run("-m", "benchmark.models.listing")
    assert "| `mean-colour` | Mean colour | zero-shot |  | 8 px bicubic" in listing
    assert all(f"| `{name}` |" in listing for name in records())

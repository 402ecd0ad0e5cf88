from __future__ import annotations

import re
import subprocess
import sys

import pytest

from benchmark import models
from benchmark.models.record import File, ModelError

PUBLISHED = list(models.RECORDS.values())


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.name)
def test_every_file_is_pinned_or_says_where_it_is(record):
    assert record.files
    for file in record.files:
        if file.repo is None:
            assert file.url is not None
            assert file.url.startswith("https://")
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", file.revision)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert record.licence
    assert record.citation
    assert record.sources
    assert re.compile(record.lora_targets)


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.name)
def test_the_view_is_one_of_a_bounded_image(record):
    view = record.view
    assert view.size in (224, 336)
    assert all(0 <= mean < 1 for mean in view.mean)
    assert all(0 < std <= 1 for std in view.std)
    assert record.context_length in (77, 256)


def test_a_name_is_its_records_and_an_adapter_names_its_base():
    assert {name: record.name for name, record in models.RECORDS.items()} == {name: name for name in models.RECORDS}
    for record in PUBLISHED:
        if record.base is not None:
            base = models.RECORDS[record.base]
            assert (record.files, record.architecture, record.lora_targets) == (
                base.files,
                base.architecture,
                base.lora_targets,
            )


def test_an_unpinned_revision_is_an_error():
    with pytest.raises(ModelError, match=r"needs a pinned revision.*not 'main'"):
        File("model.safetensors", repo="someone/something", revision="main")
    with pytest.raises(ModelError, match="needs a pinned revision"):
        File("model.safetensors", repo="someone/something")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ModelError, match=r"no model 'clipp'; have phantom-clip, clip, .*hub:OWNER/NAME@COMMIT"):
        models.record("clipp")


def test_a_hub_name_without_commit_is_an_error():
    with pytest.raises(ModelError, match="has no commit"):
        models.record("hub:openai/clip-vit-base-patch16")


def test_an_adapter_is_asked_for():
    with pytest.raises(ModelError, match="rmedclip is biomedclip with an adapter"):
        models.load("rmedclip")


def test_importing_the_package_imports_no_model_library():
    libraries = ["open_clip", "timm", "torchvision", "transformers", "peft", "tokenizers", "safetensors"]
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
    with pytest.raises(ModelError) as caught:
        models.load(name, weights_dir=words, random_init=True)
    assert str(caught.value) == f"this model needs {missing}: pip install 'medimeta-c[zoo]'"

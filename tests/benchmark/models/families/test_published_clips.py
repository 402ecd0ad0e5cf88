"""Records of published CLIPs: small models saved as their repositories are, read under the records' own names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmark.models import load, records
from benchmark.models.components.packages import package
from benchmark.models.families.published_clips import OWN, RECORDS
from pipeline.errors import UserError
from tests.benchmark.models.conftest import without_checksum
from tests.benchmark.models.families import test_openclip, test_transformers_clip

BY_TRANSFORMERS = [record for record in RECORDS if record.family == "transformers_clip"]
BY_OPEN_CLIP = [record for record in RECORDS if record.family == "openclip"]


def small(record, folder: Path):
    """Return a record whose weights may be any, of images of 32 pixels; write a CLIP or SigLIP in its form."""
    make = test_transformers_clip.siglip if record.architecture == "SiglipModel" else test_transformers_clip.clip
    theirs, _ = test_transformers_clip.save(make, folder)
    if record.files[0].name.endswith(".bin"):
        (folder / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), folder / record.files[0].name)
    length = 16 if record.architecture == "SiglipModel" else 24
    preprocessing = record.preprocessing.changed(size=32)
    return record.changed(files=without_checksum(record), preprocessing=preprocessing, context_length=length)


@pytest.mark.parametrize("record", BY_TRANSFORMERS, ids=lambda record: record.name)
def test_a_record_reads_the_files_that_it_names(record, tmp_path):
    model = load(small(record, tmp_path), weights_dir=tmp_path)
    expected = load("hub:someone/model", weights_dir=tmp_path)
    texts = ["a photo of a cell", "blood smear"]
    picture = test_transformers_clip.photographs()[0][None]
    with torch.inference_mode():
        assert torch.equal(model.encode_texts(texts), expected.encode_texts(texts))
        assert torch.equal(
            model.encode_images(model.preprocess(picture)), expected.encode_images(expected.preprocess(picture))
        )
    assert model.record.preprocessing == expected.record.preprocessing, "what the repository's files say"
    assert "resample" in model.record.preprocessing.library
    assert {file.name for file in record.files} <= {file.name for file in model.record.files}


def test_images_of_another_size_than_the_records_are_a_sentence(tmp_path):
    record = small(records()["plip"], tmp_path)
    with pytest.raises(UserError, match="the image processor of plip gives 32 pixels, not 224"):
        load(record.changed(preprocessing=OWN), weights_dir=tmp_path)


@pytest.mark.zoo
@pytest.mark.parametrize("record", BY_OPEN_CLIP, ids=lambda record: record.name)
def test_the_architecture_is_the_one_that_the_record_says(record, tmp_path):
    """Full size, random weights: width, context and number of parameters are those of open_clip's own."""
    open_clip = package("open_clip")
    config = open_clip.get_model_config(record.architecture)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    model = load(record, weights_dir=tmp_path, random_init=True)
    parameters = sum(p.numel() for tower in (model.image_tower, model.text_tower) for p in tower.parameters())
    assert parameters / 1e6 == pytest.approx(record.parameters, abs=0.06)
    assert model.record.preprocessing.size == record.preprocessing.size == config["vision_cfg"]["image_size"]
    assert (record.embedding, record.context_length) == (config["embed_dim"], config["text_cfg"]["context_length"])
    with torch.inference_mode():
        assert model.encode_texts(["a cell"]).shape == (1, record.embedding)


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("content", "match"),
    [("[", "is not JSON"), ("{}", "of quiltnet describes no CLIP"), ('{"model_cfg": 3}', "of quiltnet describes no")],
)
def test_a_broken_configuration_is_a_sentence_under_the_records_name(content, match, tmp_path):
    test_openclip.save(test_openclip.KINDS["custom"], tmp_path)
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(UserError, match=match):
        load("quiltnet", weights_dir=tmp_path)


@pytest.mark.zoo
def test_one_without_a_commit_says_where_its_file_is():
    for name, repo in (("bmc-clip", "BIOMEDICA/BMC_CLIP_CF"), ("medpmc-clip", "Yale-BIDS-Chen/medpmc-clip")):
        file = records()[name].files[0].name
        with pytest.raises(UserError, match=rf"{name} has its {file} not on the Hub, or at no .*huggingface.co/{repo}"):
            load(name, offline=True)

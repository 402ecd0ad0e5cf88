from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmark.models import find_record, load
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from tests.benchmark.models.conftest import PREPROCESSOR

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_gives_the_features_of_transformers(clip, prompts):
    folder, theirs = clip
    model = load("hub:someone/clip", weights_dir=folder)
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    pixels = model.preprocess(images)
    assert pixels.shape == (2, 3, 32, 32)
    tokens = model._tokenize(prompts)
    with torch.inference_mode():
        both = theirs(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=pixels)
        torch.testing.assert_close(model.encode_images(pixels), both.image_embeds)
        torch.testing.assert_close(model.encode_texts(prompts), both.text_embeds)
        logits = model.logit_scale * model.encode_images(pixels) @ model.encode_texts(prompts).T
    torch.testing.assert_close(logits, both.logits_per_image, rtol=1e-4, atol=1e-4)


def test_an_older_file_of_weights_does_too(clip, prompts):
    folder, theirs = clip
    with torch.inference_mode():
        expected = load("hub:someone/clip", weights_dir=folder).encode_texts(prompts)
    (folder / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
    model = load("hub:someone/clip", weights_dir=folder)
    with torch.inference_mode():
        assert torch.equal(model.encode_texts(prompts), expected)
    names = ("pytorch_model.bin", "config.json", "preprocessor_config.json", "tokenizer.json")
    assert [(file.name, file.sha256) for file in model.record.files] == [(n, file_checksum(folder / n)) for n in names]


def test_the_record_is_what_the_files_say(clip):
    folder, _ = clip
    described = find_record(f"hub:someone/clip@{COMMIT}", folder=folder)
    settings = described.preprocessing
    assert (settings.size, settings.mean, settings.interpolation) == (32, (0.4, 0.5, 0.6), "bicubic")
    assert (described.embedding, described.context_length) == (12, 24)
    assert described.files[0].revision == COMMIT


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.json", {"model_type": "siglip"}, "is a 'siglip' and not a 'clip'"),
        ("preprocessor_config.json", {**PREPROCESSOR, "resample": 1}, "neither bilinear nor bicubic"),
        ("preprocessor_config.json", {"size": 224}, "no mean and deviation"),
        ("config.json", [1], "must hold names and values"),
    ],
)
def test_another_model_is_an_error(clip, file, content, match):
    folder, _ = clip
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=match):
        find_record("hub:someone/clip", folder=folder)


def test_broken_files_are_one_sentence(clip):
    folder, _ = clip
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="is no tokenizer"):
        load("hub:someone/clip", weights_dir=folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="is not JSON"):
        load("hub:someone/clip", weights_dir=folder)


def test_lora_targets_are_its_attention(clip):
    import peft

    folder, _ = clip
    model = load("hub:someone/clip", weights_dir=folder)
    wrapped = peft.get_peft_model(model.image_tower, peft.LoraConfig(r=2, target_modules=model.lora_targets))
    assert sum(name.endswith("lora_A.default.weight") for name in wrapped.state_dict()) == 2 * 3

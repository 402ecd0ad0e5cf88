from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.models import load, record
from benchmark.models.record import ModelError
from benchmark.models.weights import sha256
from tests.benchmark.models.conftest import bpe

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SEEN = {
    "crop_size": {"height": 32, "width": 32},
    "size": {"shortest_edge": 32},
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.3, 0.4],
    "resample": 3,
    "do_center_crop": True,
}


@pytest.fixture
def clip(tmp_path: Path):
    """A small CLIP of transformers, saved as the Hub has them, and itself."""
    from transformers import CLIPConfig, CLIPModel

    bpe(tmp_path / "tokenizer.json")
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 300, "max_position_embeddings": 24}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**small, **ids}, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=12
    )
    model = CLIPModel(config).eval()
    model.save_pretrained(str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(SEEN), encoding="utf-8")
    return tmp_path, model


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
    assert [(file.name, file.sha256) for file in model.record.files] == [(n, sha256(folder / n)) for n in names]


def test_the_record_is_what_the_files_say(clip):
    folder, _ = clip
    found = record(f"hub:someone/clip@{COMMIT}", folder=folder)
    assert (found.view.size, found.view.mean, found.view.interpolation) == (32, (0.4, 0.5, 0.6), "bicubic")
    assert (found.embedding, found.context_length) == (12, 24)
    assert found.files[0].revision == COMMIT


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.json", {"model_type": "siglip"}, "is a 'siglip' and not a 'clip'"),
        ("preprocessor_config.json", {**SEEN, "resample": 1}, "neither bilinear nor bicubic"),
        ("preprocessor_config.json", {"size": 224}, "no mean and deviation"),
        ("config.json", [1], "holds no names"),
    ],
)
def test_another_model_is_an_error(clip, file, content, match):
    folder, _ = clip
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=match):
        record("hub:someone/clip", folder=folder)


def test_broken_files_are_one_sentence(clip):
    folder, _ = clip
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="is no tokenizer"):
        load("hub:someone/clip", weights_dir=folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="is no JSON"):
        load("hub:someone/clip", weights_dir=folder)


def test_lora_targets_are_its_attention(clip):
    import peft

    folder, _ = clip
    model = load("hub:someone/clip", weights_dir=folder)
    wrapped = peft.get_peft_model(model.image_tower, peft.LoraConfig(r=2, target_modules=model.lora_targets))
    assert sum(name.endswith("lora_A.default.weight") for name in wrapped.state_dict()) == 2 * 3

"""The published architectures, whole, with random weights: everything but the numbers that only a download has."""

from __future__ import annotations

import gc
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.models import Bert, ModelFile, find_record, load, records
from benchmark.models.components.packages import package
from benchmark.models.families import openclip
from benchmark.models.model import Model
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum

pytestmark = pytest.mark.zoo

SMALL = Bert(vocabulary=40, width=64, layers=2)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LORA_LAYERS = {
    "clip": 12,
    "clip-rn50": 16,
    "medclip": 3 * 12,
    "medclip-resnet": 49,
    "biomedclip": 12,
    "unimedclip": 12,
    "unimedclip-l14": 24,
    "unimedclip-l14-base": 24,
}
"""Modules that LoRA is put on: blocks of attention, one or three layers each, or convolutions of a ResNet-50."""


def images(count: int = 2, side: int = 224) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", LORA_LAYERS)
def test_every_published_model_runs_on_its_real_architecture(name, words, prompts):
    torch.manual_seed(0)
    model = load(name, weights_dir=words, random_init=True)
    known = model.record
    with torch.inference_mode():
        features = model.encode_images(model.preprocess(images()))
        texts = model.encode_texts(prompts)
    assert features.shape == (2, known.embedding)
    assert texts.shape == (3, known.embedding)
    for vectors in (features, texts):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))
        assert (vectors[0] - vectors[1]).abs().max() > 1e-5
    assert model.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)
    wanted = [n for n, _ in model.image_tower.named_modules() if re.fullmatch(known.lora_targets, n)]
    assert len(wanted) == LORA_LAYERS[name]
    del model
    gc.collect()


def drawn(name: str, **how: object) -> Model:
    """A CLIP with the same random weights at every call; RN50's blocks begin as nothing, so they are opened."""
    torch.manual_seed(0)
    model = load(name, random_init=True, **how)
    for n, parameter in model.image_tower.named_parameters():
        if n.endswith("bn3.weight"):
            nn.init.ones_(parameter)
    return model


@pytest.mark.parametrize("name", ["clip", "clip-rn50"])
def test_lora_moves_the_towers_of_open_clip_and_comes_back(name, tmp_path):
    """Gradients reach the adapter alone, and a folder gives the same features."""
    peft = package("peft")
    model = drawn(name)
    pixels = model.preprocess(images())
    with torch.inference_mode():
        plain = model.encode_images(pixels)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=model.lora_targets)
    model.image_tower = peft.get_peft_model(model.image_tower, config).eval()
    model.encode_images(pixels).square().mul(torch.arange(model.record.embedding)).sum().backward()
    with_gradient = [n for n, p in model.image_tower.named_parameters() if p.grad is not None]
    assert with_gradient
    assert all("lora_" in n for n in with_gradient)
    for n, parameter in model.image_tower.named_parameters():
        if "lora_" in n:
            nn.init.normal_(parameter.data, std=0.05)
    with torch.inference_mode():
        tuned = model.encode_images(pixels)
    assert (tuned - plain).abs().max() > 1e-4
    model.image_tower.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert told["base_model_name_or_path"] == name
    again = drawn(name, adapter=tmp_path / "adapter")
    with torch.inference_mode():
        torch.testing.assert_close(again.encode_images(pixels), tuned, rtol=1e-4, atol=1e-6)


def test_clip_reads_openais_names_and_gives_open_clips_features(tmp_path, prompts):
    """The published file has the names of one class of open_clip, CLIP; the towers here are another's, apart."""
    open_clip = package("open_clip")
    torch.manual_seed(0)
    theirs = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None, load_weights=False).eval()
    theirs.logit_scale.data.fill_(4.6052)
    assert {"visual.proj", "text_projection", "positional_embedding"} <= set(theirs.state_dict())
    state = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items() if name != "attn_mask"}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    record = records()["clip"].changed(files=(ModelFile(name="open_clip_model.safetensors"),))
    model = load(record, weights_dir=tmp_path)
    assert model.logit_scale == pytest.approx(100, rel=1e-4)
    transform = open_clip.image_transform(224, is_train=False)
    pictures = images(2)
    pixels = model.preprocess(pictures)
    pil = package("PIL.Image")
    own = torch.stack([transform(pil.fromarray(picture)) for picture in pictures])
    torch.testing.assert_close(pixels, own)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_images(pixels), theirs.encode_image(own, normalize=True))
        tokens = open_clip.get_tokenizer("ViT-B-16-quickgelu")(prompts)
        torch.testing.assert_close(model.encode_texts(prompts), theirs.encode_text(tokens, normalize=True))


def test_biomedclip_reads_open_clips_file_and_gives_its_features(words, tmp_path, prompts):
    """Against open_clip's own class, built as the published open_clip_config.json says, with a small BERT."""
    open_clip = package("open_clip")
    transformers = package("transformers")
    sizes = {"vocab_size": 40, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    transformers.BertConfig(**sizes, intermediate_size=256).save_pretrained(str(tmp_path / "bert"))
    torch.manual_seed(0)
    theirs = open_clip.CustomTextCLIP(
        embed_dim=512,
        vision_cfg={
            "timm_model_name": "vit_base_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
        text_cfg={
            "hf_model_name": str(tmp_path / "bert"),
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        },
    ).eval()
    state = dict(theirs.state_dict())
    state["text.transformer.embeddings.position_ids"] = torch.arange(512)[None]  # as the published file has it
    torch.save(state, words / "open_clip_pytorch_model.bin")
    biomedclip = records()["biomedclip"]
    record = biomedclip.changed(bert=SMALL, files=(ModelFile(name="open_clip_pytorch_model.bin"), biomedclip.files[1]))
    model = load(record, weights_dir=words)
    pixels = model.preprocess(images())
    tokenizer = transformers.BertTokenizerFast.from_pretrained(str(words))
    tokens = tokenizer(prompts, return_tensors="pt", max_length=256, padding="max_length", truncation=True).input_ids
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_images(pixels), theirs.encode_image(pixels, normalize=True))
        expected = theirs.encode_text(tokens, normalize=True)
        torch.testing.assert_close(model.encode_texts(prompts), expected, rtol=1e-4, atol=1e-5)


class Training:
    """Stands for the arguments that a training script pickles into its checkpoint."""


def test_unimedclip_reads_a_training_checkpoint(words, prompts):
    unimedclip = records()["unimedclip"]
    record = unimedclip.changed(bert=SMALL, files=(ModelFile(name="unimed-clip-vit-b16.pt"), unimedclip.files[1]))
    torch.manual_seed(0)
    first = load(record, weights_dir=words, random_init=True)
    state = {f"module.visual.{name}": tensor for name, tensor in first.image_tower.state_dict().items()}
    state |= {f"module.text_encoder.{name}": tensor for name, tensor in first.text_tower.state_dict().items()}
    state["module.logit_scale"] = torch.tensor(4.0)
    checkpoint = {"epoch": 9, "name": "b16", "state_dict": state, "args": Training(), "scaler": {"scale": 1.0}}
    torch.save(checkpoint, words / "unimed-clip-vit-b16.pt")
    model = load(record, weights_dir=words)
    assert model.logit_scale == pytest.approx(np.exp(4.0), rel=1e-5)
    pixels = model.preprocess(images())
    with torch.inference_mode():
        assert torch.equal(model.encode_images(pixels), first.encode_images(pixels))
        assert torch.equal(model.encode_texts(prompts), first.encode_texts(prompts))
    del state["module.visual.proj"]
    torch.save(checkpoint, words / "unimed-clip-vit-b16.pt")
    with pytest.raises(UserError, match=r"not those of unimedclip: visual.proj is missing"):
        load(record, weights_dir=words)


def test_the_published_names_of_a_clip_vit():
    """What anybody's copy of OpenAI's ViT-B/16 has: 302 tensors with a bias or weight each, and five of its own."""
    module = package("open_clip").create_model("ViT-B-16-quickgelu", pretrained=None, load_weights=False)
    names = {name for name in module.state_dict() if name != "attn_mask"}
    block = [f"attn.in_proj_{what}" for what in ("weight", "bias")]
    block += [
        f"{layer}.{what}"
        for layer in ("attn.out_proj", "ln_1", "ln_2", "mlp.c_fc", "mlp.c_proj")
        for what in ("weight", "bias")
    ]
    expected = {
        f"{side}transformer.resblocks.{i}.{name}" for side in ("", "visual.") for i in range(12) for name in block
    }
    expected |= {
        f"{norm}.{what}" for norm in ("ln_final", "visual.ln_pre", "visual.ln_post") for what in ("weight", "bias")
    }
    expected |= {"visual.class_embedding", "visual.positional_embedding", "visual.proj", "visual.conv1.weight"}
    expected |= {"positional_embedding", "text_projection", "token_embedding.weight", "logit_scale"}
    assert names == expected


def test_any_other_model_of_open_clip_by_name(tmp_path, prompts):
    name = f"open_clip:ViT-B-32/laion2b_s34b_b79k@{COMMIT}"
    other = find_record(name)
    assert (other.files[0].repo, other.files[0].revision) == ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", COMMIT)
    assert (other.preprocessing.size, other.embedding) == (224, 512)
    model = load("open_clip:RN50-gelu", weights_dir=tmp_path, random_init=True)
    with torch.inference_mode():
        assert model.encode_images(model.preprocess(images(1, 100))).shape == (1, 1024)
        assert model.encode_texts(prompts).shape == (3, 1024)


def test_weights_that_are_not_on_the_hub_name_no_repository(tmp_path, monkeypatch):
    """open_clip's table may have nothing but their address."""
    monkeypatch.setattr(package("open_clip"), "get_pretrained_cfg", lambda *_: {"url": "https://somewhere"})
    other = find_record(f"open_clip:RN50/cc12m@{COMMIT}", folder=tmp_path).files[0]
    assert (other.repo, other.revision) == (None, None)
    with pytest.raises(UserError, match="names no pinned weights"):
        find_record(f"open_clip:RN50/cc12m@{COMMIT}")


@pytest.mark.parametrize(
    ("wanted", "quick"),
    [("ViT-B-32/openai", True), ("ViT-B-32-quickgelu/openai", True), ("ViT-B-32/laion2b_s34b_b79k", False)],
)
def test_weights_get_the_activation_that_they_were_trained_with(wanted, quick, tmp_path):
    """open_clip itself warns of the other one; features would be wrong, and no tensor's name or shape tells."""
    other = find_record(f"open_clip:{wanted}@{COMMIT}")
    assert other.architecture.endswith("-quickgelu") == quick
    gelus = {type(module).__name__ for module in drawn_tower(other.architecture).modules()} & {"GELU", "QuickGELU"}
    assert gelus == {"QuickGELU" if quick else "GELU"}


def drawn_tower(architecture: str) -> nn.Module:
    return openclip.network(openclip.configuration(architecture)).visual


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        ("ViT-B-32/openai", "timm/vit_base_patch32_clip_224.openai/open_clip_model.safetensors"),
        ("ViTamin-S/datacomp1b", "jienengchen/ViTamin-S/pytorch_model.bin"),
    ],
)
def test_a_tags_own_file_is_taken(wanted, file):
    other = find_record(f"open_clip:{wanted}@{COMMIT}").files[0]
    assert f"{other.repo}/{other.name}" == file


def test_a_clip_on_the_hub_in_open_clips_form(tmp_path, prompts):
    """open_clip_config.json says the architecture and what the images go through."""
    open_clip = package("open_clip")
    vision = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8}
    text = {"context_length": 20, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    config = {"embed_dim": 24, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    preprocess = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "resize_mode": "squash"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    theirs = open_clip.CLIP(**config).eval()
    state = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items() if name != "attn_mask"}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    model = load("open_clip:hf-hub:someone/clip", weights_dir=tmp_path)
    settings = model.record.preprocessing
    assert settings.size == 32
    assert settings.mean == pytest.approx((0.1, 0.2, 0.3), abs=1e-5)
    assert settings.std == pytest.approx((0.4, 0.5, 0.6), abs=1e-5)
    assert '"interpolation": "bilinear"' in settings.library
    assert '"resize_mode": "squash"' in settings.library
    read = ("open_clip_model.safetensors", "open_clip_config.json")
    assert [(file.name, file.sha256) for file in model.record.files] == [(n, file_checksum(tmp_path / n)) for n in read]
    pixels = model.preprocess(images(2, 40))
    tokens = open_clip.SimpleTokenizer(context_length=20)(prompts)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_images(pixels), theirs.encode_image(pixels, normalize=True))
        torch.testing.assert_close(model.encode_texts(prompts), theirs.encode_text(tokens, normalize=True))
    pinned = find_record(f"open_clip:hf-hub:someone/clip@{COMMIT}", folder=tmp_path)
    assert {(file.repo, file.revision) for file in pinned.files} == {("someone/clip", COMMIT)}
    with pytest.raises(UserError, match="has no commit"):
        find_record("open_clip:hf-hub:someone/clip")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 24}}))
    with pytest.raises(UserError, match="describes no CLIP"):
        find_record("open_clip:hf-hub:someone/clip", folder=tmp_path)


def test_lora_finds_the_attention_of_a_timm_tower_in_open_clip(tmp_path):
    other = find_record("open_clip:EVA02-B-16", folder=tmp_path)
    names = [n for n, _ in drawn_tower(other.architecture).named_modules() if re.fullmatch(other.lora_targets, n)]
    assert len(names) == 3 * 12


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "names no pinned weights"),
        (f"open_clip:ViT-B-32/nothing@{COMMIT}", "names no pinned weights.*laion2b_s34b_b79k"),
        ("open_clip:ViT-Z-1", "no architecture 'ViT-Z-1'"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k@main", "needs a pinned revision"),
    ],
)
def test_an_unpinned_or_unknown_one_is_an_error(name, match):
    with pytest.raises(UserError, match=match):
        find_record(name)

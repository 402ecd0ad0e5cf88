"""Encoders: features and pixels against the library's own class and processor, at tiny random sizes."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.models import find_record, load
from benchmark.models.components.packages import package
from benchmark.models.families.encoder import KINDS
from pipeline.errors import UserError

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32}
SIZES = {
    "convnext": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 16, 32], "image_size": 32},
    "dinov2": {**SMALL, "patch_size": 8},
    "dinov2_with_registers": {**SMALL, "patch_size": 8},
    "dinov3_vit": {**SMALL, "intermediate_size": 48, "patch_size": 8, "num_register_tokens": 2},
    "resnet": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 16, 32], "embedding_size": 8, "layer_type": "basic"},
    "vit": {**SMALL, "intermediate_size": 48, "patch_size": 8},
}
PROCESSORS = {
    "convnext": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    "resnet": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    "vit": ("ViTImageProcessorPil", {"size": {"height": 32, "width": 32}}),
}
BIT = ("BitImageProcessorPil", {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}})


def save(kind, folder, *, classes=False):
    """Write a tiny encoder as its repository is, with a classifier if `classes`; return network and processor."""
    transformers = package("transformers")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES[kind])
    auto = transformers.AutoModelForImageClassification if classes else transformers.AutoModel
    network = auto.from_config(config).eval()
    name, settings = PROCESSORS.get(kind, BIT)
    processor = getattr(transformers, name)(**settings)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return network, processor


@pytest.mark.parametrize("kind", KINDS)
def test_gives_the_features_of_transformers(kind, tmp_path):
    network, processor = save(kind, tmp_path)
    model = load("encoder:someone/tiny", weights_dir=tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (3, 41, 53, 3), dtype=np.uint8)
    theirs = processor(images=[Image.fromarray(image) for image in images], return_tensors="pt").pixel_values
    pixels = model.preprocess(images)
    assert torch.equal(pixels, theirs)
    assert (model.record.kind, model.record.preprocessing.size, model.record.embedding) == ("encoder", 32, 32)
    with torch.inference_mode():
        output = network(pixel_values=theirs)
        expected = output.pooler_output.flatten(1) if kind in ("resnet", "convnext") else output.last_hidden_state[:, 0]
        torch.testing.assert_close(model.encode_images(pixels, unit=False), expected, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="has no text side: put a probe on it"):
        model.encode_texts(["a cell"])


def test_a_classifier_is_left_out(tmp_path):
    save("vit", tmp_path, classes=True)
    model = load("encoder:someone/tiny", weights_dir=tmp_path)
    with torch.inference_mode():
        assert model.encode_images(torch.zeros(1, 3, 32, 32)).shape == (1, 32)


def test_no_other_weights_are_left_out(tmp_path):
    save("vit", tmp_path, classes=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"num_hidden_layers": 1}))
    with pytest.raises(UserError, match=r"the weights are not those of encoder:someone/tiny: .*\.1\..* is left over"):
        load("encoder:someone/tiny", weights_dir=tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.json", {"model_type": "llama"}, "is a 'llama'; have convnext, dinov2"),
        ("config.json", {"hidden_size": "wide"}, "has a hidden_size or hidden_sizes of 'wide'"),
        ("preprocessor_config.json", {"crop_size": {"height": 32, "width": 24}}, "not one square image"),
        ("preprocessor_config.json", {"crop_size": "large"}, "preprocessor_config.json"),
        ("preprocessor_config.json", {"image_std": [0.2, 0, 0.2]}, "makes noise infinite or all the same"),
        ("preprocessor_config.json", {"rescale_factor": 0, "image_mean": [0, 0, 0]}, "makes noise infinite or all the"),
        ("config.json", {"architecture": "vit_tiny_patch16_224"}, "it lacks num_features"),
        ("model.safetensors", None, "can't be read as encoder:someone/tiny"),
    ],
)
def test_other_files_are_one_sentence(tmp_path, file, content, match):
    save("dinov2", tmp_path)
    path = tmp_path / file
    changed = "cut" if content is None else json.dumps(json.loads(path.read_text(encoding="utf-8")) | content)
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(UserError, match=match) as told:
        load("encoder:someone/tiny", weights_dir=tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_processor_that_needs_torchvision_says_so(tmp_path):
    save("dinov3_vit", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "DINOv3ViTImageProcessor"}')
    with pytest.raises(
        UserError, match=r"preprocessor_config.json of .* needs torchvision: pip install -e '\.\[zoo\]'"
    ):
        load("encoder:someone/tiny", weights_dir=tmp_path)


@pytest.mark.zoo
def test_a_processor_of_torchvision_alone_is_taken_where_that_is(tmp_path):
    package("torchvision")
    save("dinov3_vit", tmp_path)
    processor = package("transformers").DINOv3ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path)
    model = load("encoder:someone/tiny", weights_dir=tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (41, 53, 3), dtype=np.uint8)
    theirs = processor(images=Image.fromarray(image), return_tensors="pt").pixel_values
    assert torch.equal(model.preprocess(image[None]), theirs)


def test_a_commit_has_to_be_pinned():
    with pytest.raises(UserError, match="has no commit"):
        find_record("encoder:facebook/dinov2-base")


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("architecture", "settings", "classifier"),
    [
        ("resnet18", {"input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.95}, "fc"),
        ("vit_tiny_patch16_224", {"input_size": [3, 224, 224], "crop_pct": 0.9, "mean": [0.5] * 3}, "head"),
        ("vit_tiny_patch16_224", {"input_size": [3, 224, 224], "crop_pct": 1.0, "crop_mode": "squash"}, "head"),
    ],
)
def test_gives_the_features_of_timm(architecture, settings, classifier, tmp_path):
    from safetensors.torch import save_file

    timm = package("timm")
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=10).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": architecture, "num_classes": 10, "num_features": network.num_features}
    config["pretrained_cfg"] = {**settings, "classifier": classifier}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model = load("encoder:timm/tiny", weights_dir=tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    known = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    transform = timm.data.create_transform(**timm.data.resolve_data_config(known))
    theirs = transform(Image.fromarray(image))[None]
    pixels = model.preprocess(image[None])
    level = 1.01 / 255 / min(model.record.preprocessing.std)
    assert (pixels - theirs).abs().max() <= level, "one grey level"
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(theirs), pre_logits=True)
        torch.testing.assert_close(model.encode_images(theirs, unit=False), expected, atol=1e-5, rtol=0)

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from benchmark.models import find_record, load
from benchmark.models.components.packages import package
from benchmark.models.components.preprocessing import preprocess
from benchmark.models.families.transformers_clip import read_preprocessing
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
        ("preprocessor_config.json", {"crop_size": 24}, "gives images of 24 pixels, and the image tower takes 32"),
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


SETTINGS = [
    {},
    {"size": {"shortest_edge": 40}},
    {"size": 40},
    {"size": {"height": 32, "width": 32}, "do_center_crop": False},
    {"size": {"height": 45, "width": 45}},
    {"size": {"height": 45, "width": 45}, "crop_size": 32},
    {"do_normalize": False},
    {"do_rescale": False},
    {"rescale_factor": 1 / 127.5},
    {"rescale_factor": 0.00392156862745098, "resample": 2},
    {"do_resize": False},
    {"image_mean": 0.5, "image_std": 0.25},
    {"image_mean": None, "image_std": None},
    {"do_convert_rgb": True, "do_pad": None, "data_format": "channels_first"},
]
"""Changes to a preprocessor_config.json, each done as transformers does it."""


def photographs():
    """Crops of photographs, odd sizes in both directions."""
    images = [data.astronaut()[:341, :227], data.coffee()[100:199, 200:333], data.chelsea()[:97, :97]]
    return [np.ascontiguousarray(image) for image in images]


def away(processor, settings, images):
    """Return by how many grey levels a pixel is away at most, and the part that is away by more than half a level."""
    ours = read_preprocessing(settings, "it", image_size=32)
    theirs = processor(**{key: value for key, value in settings.items() if value is not None})
    differences = []
    for image in images:
        expected = theirs(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]
        levels = (preprocess(image[None], ours) - expected).abs() * torch.tensor(ours.std)[:, None, None] * 255
        differences.append(levels.flatten())
    together = torch.cat(differences)
    return together.max().item(), (together > 0.5).float().mean().item()


@pytest.mark.zoo
@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_photographs_are_preprocessed_as_by_transformers(changes):
    processor = package("transformers").CLIPImageProcessor
    most, share = away(processor, PREPROCESSOR | changes, photographs())
    assert most <= 1.01
    assert share < 0.02


PIXELS = st.integers(20, 60)
SIZES = st.one_of(
    PIXELS,
    st.fixed_dictionaries({"shortest_edge": PIXELS}),
    PIXELS.map(lambda side: {"height": side, "width": side}),
    st.fixed_dictionaries({"height": PIXELS, "width": PIXELS}),
    st.fixed_dictionaries({"shortest_edge": PIXELS, "longest_edge": PIXELS}),
)
VALUES = st.one_of(st.floats(0.1, 1), st.lists(st.floats(0.1, 1), min_size=3, max_size=3))
CONFIGURATIONS = st.fixed_dictionaries(
    {"size": SIZES, "crop_size": SIZES},
    optional={
        **{f"do_{step}": st.booleans() for step in ("resize", "center_crop", "rescale", "normalize", "convert_rgb")},
        "rescale_factor": st.sampled_from([1 / 255, 1 / 127.5, 1 / 256, 0.00392156862745098, 1]),
        "resample": st.sampled_from([1, 2, 3]),
        "image_mean": VALUES,
        "image_std": VALUES,
        "do_pad": st.booleans(),
        "default_to_square": st.booleans(),
        "crop_pct": st.just(0.9),
    },
)


@pytest.mark.zoo
@settings(max_examples=300, deadline=None, database=None)
@given(CONFIGURATIONS, st.integers(21, 97), st.integers(21, 97))
def test_any_configuration_is_done_as_by_transformers_or_refused(configuration, height, width):
    """To two grey levels: enlarging four times over, torchvision and Pillow are that far apart themselves."""
    photograph = np.ascontiguousarray(data.astronaut()[100 : 100 + height, 150 : 150 + width])
    processor = package("transformers").CLIPImageProcessor
    try:
        expected = processor(**configuration)(images=Image.fromarray(photograph), return_tensors="pt")["pixel_values"]
    except (ValueError, TypeError, RuntimeError, AttributeError):
        return  # a configuration that transformers cannot do either
    try:
        ours = read_preprocessing(configuration, "it", image_size=expected.shape[2])
        pixels = preprocess(photograph[None], ours)
    except UserError:
        return
    assert pixels.shape == expected.shape
    levels = (pixels - expected.float()).abs() * torch.tensor(ours.std)[:, None, None] * 255
    assert levels.max() < 2.05
    assert (levels > 0.5).float().mean() < 0.05


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_small_photographs_are_enlarged_as_by_transformers_without_torchvision(changes):
    """Shrinking is another matter: Pillow 13 does it down before across."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    images = [image[:31, 40:69] for image in photographs()] if changes != {"do_resize": False} else photographs()
    most, share = away(CLIPImageProcessorPil, PREPROCESSOR | changes, images)
    assert most <= 1.01
    assert share < 0.02


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"resample": 1}, "resample is 1; have 2, 3"),
        ({"size": {"shortest_edge": 32, "longest_edge": 64}}, "has size: .*longest_edge.*, which is not done here"),
        ({"size": {"height": 32, "width": 40}}, "have a height and an equal width"),
        ({"crop_size": {"height": 32, "width": 40}}, "has crop_size: .* have a height and an equal width"),
        ({"crop_size": {"shortest_edge": 32}}, "has crop_size"),
        ({"size": {"shortest_edge": 24}}, "a resize to 24 pixels leaves nothing to crop 32 from"),
        ({"image_processor_type": "SiglipImageProcessor"}, "image_processor_type is 'SiglipImageProcessor'; have CLIP"),
        ({"do_pad": True}, "do_pad is True"),
        ({"do_flip_channel_order": True}, "has do_flip_channel_order: True, which is not done here"),
        ({"rescale_factor": 0}, "rescale_factor must be above 0"),
        ({"rescale_factor": 255}, "rescale_factor must be at most 1"),
        ({"do_resize": "no"}, "do_resize must be true or false"),
        ({"do_center_crop": None}, "do_center_crop must be true or false, not None"),
        ({"size": 32, "default_to_square": True}, "has default_to_square for size: 32, which is not done here"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"size": -1}, "size"),
    ],
    ids=str,
)
def test_other_preprocessing_is_refused_by_name(clip, changes, match):
    folder, _ = clip
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | changes), encoding="utf-8")
    with pytest.raises(UserError, match=match) as caught:
        find_record("hub:someone/clip", folder=folder)
    assert "preprocessor_config.json of hub:someone/clip" in str(caught.value)
    assert "\n" not in str(caught.value)

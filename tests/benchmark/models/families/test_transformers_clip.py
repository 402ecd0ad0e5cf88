"""Models of transformers' own classes with random weights, saved as the Hub has them, against those classes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from benchmark.models import find_record, load
from benchmark.models.components.packages import package
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum
from tests.benchmark.models.conftest import PREPROCESSOR, PROMPTS, WORDS, write_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZE = 32
SHORT, LONG = "a cell", "blood smear microscopy " * 40
TEXTS = [*PROMPTS, SHORT, LONG]


def photographs() -> list[np.ndarray]:
    """Crops of photographs, odd sizes in both directions."""
    images = [data.astronaut()[:341, :227], data.coffee()[100:199, 200:333], data.chelsea()[:97, :97]]
    return [np.ascontiguousarray(image) for image in images]


def sentencepiece(folder: Path, kind: str) -> str:
    """Train a vocabulary on the prompts."""
    trainer = package("sentencepiece").SentencePieceTrainer
    trainer.train(
        sentence_iterator=iter([*PROMPTS, *WORDS] * 4),
        model_prefix=str(folder / "spiece"),
        vocab_size=60,
        model_type=kind,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        minloglevel=3,
    )
    return str(folder / "spiece.model")


def siglip(folder: Path) -> tuple[Any, Any]:
    """SigLIP: full-length padding, no mask, a bias; bilinear in this one."""
    transformers = package("transformers")
    text = {**SMALL, "vocab_size": 100, "max_position_embeddings": 16, "projection_size": 16}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    vision = {**SMALL, "image_size": SIZE, "patch_size": 8}
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():
        model.logit_scale.fill_(2.0)
        model.logit_bias.fill_(-7.0)
    package("transformers.models.siglip.tokenization_siglip").SiglipTokenizer(
        sentencepiece(folder, "unigram"), model_max_length=16
    ).save_pretrained(str(folder))
    return model, transformers.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE}, resample=2)


def siglip2(folder: Path) -> tuple[Any, Any]:
    """SigLIP 2 of a fixed size: SigLIP's classes with another tokenizer."""
    transformers = package("transformers")
    model, processor = siglip(folder)
    (folder / "spiece.model").unlink()
    letters = {letter: k for k, letter in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", *"abcdefghijklmnop\u2581,-"])}
    tokenizer = transformers.Siglip2Tokenizer(vocab=letters, merges=[], model_max_length=16)
    tokenizer.save_pretrained(str(folder))
    return model, processor


def clip(folder: Path) -> tuple[Any, Any]:
    """CLIP with a crop."""
    transformers = package("transformers")
    write_tokenizer(folder, length=24)
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 60, "max_position_embeddings": 24}
    config = transformers.CLIPConfig(
        text_config={**SMALL, **ids}, vision_config={**SMALL, "image_size": SIZE, "patch_size": 8}, projection_dim=12
    )
    return transformers.CLIPModel(config), transformers.CLIPImageProcessorPil(**PREPROCESSOR)


def bert(folder: Path) -> None:
    words = {word: k for k, word in enumerate(WORDS)}
    package("transformers").BertTokenizer(vocab=words, model_max_length=64).save_pretrained(str(folder))


def align(folder: Path) -> tuple[Any, Any]:
    """ALIGN: BERT beside EfficientNet, a temperature, an image processor of another kind."""
    transformers = package("transformers")
    bert(folder)
    config = transformers.AlignConfig(
        text_config={**SMALL, "vocab_size": 100, "pad_token_id": 0},
        vision_config={
            **{"image_size": SIZE, "hidden_dim": 16, "width_coefficient": 0.1, "depth_coefficient": 0.1},
            **{"kernel_sizes": [3], "in_channels": [32], "out_channels": [16], "strides": [1], "expand_ratios": [1]},
            **{"num_block_repeats": [1], "depthwise_padding": []},
        },
        projection_dim=8,
    )
    processor = transformers.EfficientNetImageProcessorPil(
        size={"height": 40, "width": 40}, crop_size={"height": SIZE, "width": SIZE}, do_center_crop=True
    )
    return transformers.AlignModel(config), processor


def chinese_clip(folder: Path) -> tuple[Any, Any]:
    """Chinese-CLIP: BERT's tokenizer and type ids."""
    transformers = package("transformers")
    bert(folder)
    config = transformers.ChineseCLIPConfig(
        text_config={**SMALL, "vocab_size": 100, "max_position_embeddings": 64},
        vision_config={**SMALL, "image_size": SIZE, "patch_size": 8},
        projection_dim=12,
    )
    processor = transformers.ChineseCLIPImageProcessorPil(size={"height": SIZE, "width": SIZE}, do_center_crop=False)
    return transformers.ChineseCLIPModel(config), processor


def altclip(folder: Path) -> tuple[Any, Any]:
    """AltCLIP: XLM-R, whose positions begin after its padding token's, beside CLIP's ViT."""
    transformers = package("transformers")
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(letter, -float(k)) for k, letter in enumerate("\u2581abcdefghijklmnopqrstuvwxyz,-", 1)]
    transformers.XLMRobertaTokenizer(vocab=pieces, model_max_length=24).save_pretrained(str(folder))
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "vocab_size": 60, "max_position_embeddings": 26}
    config = transformers.AltCLIPConfig(
        text_config={**SMALL, **ids, "project_dim": 16},
        vision_config={**SMALL, "image_size": SIZE, "patch_size": 8},
        projection_dim=12,
    )
    return transformers.AltCLIPModel(config), transformers.CLIPImageProcessorPil(**PREPROCESSOR)


KINDS = [clip, siglip, siglip2, align, chinese_clip, altclip]


def save(make: Any, folder: Path) -> tuple[Any, Any]:
    """Write a model of a kind as its repositories are; return it and its image processor."""
    torch.manual_seed(0)
    model, processor = make(folder)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not name.startswith("logit"):
            torch.nn.init.normal_(parameter, std=0.1)
    model.eval().save_pretrained(str(folder))
    processor.save_pretrained(str(folder))
    return model, processor


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_pixels_ids_features_and_logits_are_those_of_transformers(make, tmp_path):
    theirs, processor = save(make, tmp_path)
    model = load("hub:someone/model", weights_dir=tmp_path)
    words = package("transformers").AutoTokenizer.from_pretrained(str(tmp_path))
    is_full = make in (siglip, siglip2)
    padding = "max_length" if make in (siglip, siglip2, align) else True
    length = {clip: 24, siglip: 16, siglip2: 16, altclip: 24}.get(make, 64)
    tokens = dict(words(TEXTS, padding=padding, truncation=True, max_length=length, return_tensors="pt"))
    if is_full:
        tokens = {"input_ids": tokens["input_ids"]}
        assert tokens["input_ids"].shape == (len(TEXTS), 16)
    ours = model.tokenize(TEXTS)
    assert set(ours) == set(tokens)
    assert all(torch.equal(ours[name], tokens[name]) for name in tokens)
    assert len(set(map(tuple, tokens["input_ids"].tolist()))) >= len(TEXTS) - 1  # two begin alike
    for image in (*photographs(), photographs()[0][:SIZE, :SIZE]):
        pixels = model.preprocess(image[None])
        expected = processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]
        torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-5)
        with torch.inference_mode():
            both = theirs(pixel_values=expected, **tokens)
            features, texts = model.encode_images(pixels), model.encode_texts(TEXTS)
        normalised = torch.nn.functional.normalize(both.image_embeds, dim=-1)
        torch.testing.assert_close(features, normalised, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.logits(features, texts), both.logits_per_image, rtol=1e-5, atol=1e-5)
    if is_full:
        assert model.logit_bias == -7.0
    assert sum(p.numel() for p in model.image_tower.parameters()) < sum(p.numel() for p in theirs.parameters())


@pytest.mark.zoo
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_pixels_are_pillows_where_torchvision_is_installed_too(make, tmp_path):
    """The library's own choice would be torchvision's, which resizes to other pixels."""
    package("torchvision")
    _, processor = save(make, tmp_path)
    by_torchvision = package("transformers").AutoImageProcessor.from_pretrained(str(tmp_path), backend="torchvision")
    model = load("hub:someone/model", weights_dir=tmp_path)
    assert type(processor).__name__ in model.record.preprocessing.library
    picture = photographs()[0]
    pixels = model.preprocess(picture[None])
    inputs = {"images": Image.fromarray(picture), "return_tensors": "pt"}
    assert torch.equal(pixels, processor(**inputs)["pixel_values"])
    assert not torch.equal(pixels, by_torchvision(**inputs)["pixel_values"])


def test_an_older_file_of_weights_does_too(tmp_path, prompts):
    theirs, _ = save(clip, tmp_path)
    with torch.inference_mode():
        expected = load("hub:someone/clip", weights_dir=tmp_path).encode_texts(prompts)
    (tmp_path / "model.safetensors").unlink()
    state = {**theirs.state_dict(), "text_model.embeddings.position_ids": torch.arange(24)[None]}
    torch.save(state, tmp_path / "pytorch_model.bin")
    model = load("hub:someone/clip", weights_dir=tmp_path)
    with torch.inference_mode():
        assert torch.equal(model.encode_texts(prompts), expected)
    read = {file.name: file.sha256 for file in model.record.files}
    assert {"pytorch_model.bin", "config.json", "preprocessor_config.json", "tokenizer.json"} <= set(read)
    assert all(checksum == file_checksum(tmp_path / name) for name, checksum in read.items())


def test_the_record_is_what_the_files_say(tmp_path):
    save(clip, tmp_path)
    described = find_record(f"hub:someone/clip@{COMMIT}", folder=tmp_path)
    settings = described.preprocessing
    assert settings.size == 32
    assert settings.mean == pytest.approx((0.4, 0.5, 0.6), abs=1e-6)
    assert re.search(r'32 px, by CLIPImageProcessor\w* \{.*"resample": 3', settings.in_words())
    assert (described.embedding, described.context_length) == (12, 24)
    assert described.architecture == "CLIPModel"
    assert described.files[0].revision == COMMIT


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.json", {"model_type": "bert"}, "is a 'bert', and such a model has no image and text features"),
        ("config.json", {"model_type": "own", "auto_map": {"AutoModel": "run.py"}}, "transformers does not have"),
        ("config.json", {}, "is a None, which transformers does not have"),
        ("config.json", {"model_type": ["clip"]}, r"is a \['clip'\], which transformers does not have"),
        ("config.json", [1], "must hold names and values"),
        ("config.json", {"model_type": "clip", "text_config": 3}, "config.json of hub:someone/clip can't be read"),
        (
            "preprocessor_config.json",
            {**PREPROCESSOR, "crop_size": 24},
            "can't be run with its own tokenizer and image",
        ),
        (
            "preprocessor_config.json",
            {**PREPROCESSOR, "crop_size": {"height": 32, "width": 40}},
            "not one square image",
        ),
        ("preprocessor_config.json", {**PREPROCESSOR, "size": {"cubits": 3}}, "can't be followed"),
        ("preprocessor_config.json", {"image_processor_type": "Nothing"}, "can't be followed"),
        ("preprocessor_config.json", [1], "must hold names and values"),
    ],
    ids=str,
)
def test_what_transformers_cannot_do_is_one_sentence(tmp_path, file, content, match):
    save(clip, tmp_path)
    (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=match) as caught:
        load("hub:someone/clip", weights_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_broken_files_are_one_sentence(tmp_path):
    model, _ = save(clip, tmp_path)
    torch.save({**model.state_dict(), "logit_scale": torch.tensor(float("nan"))}, tmp_path / "pytorch_model.bin")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="are damaged: logit_scale has NaN"):
        load("hub:someone/clip", weights_dir=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(whole[:-5])
    with pytest.raises(UserError, match="can't be read as weights"):
        load("hub:someone/clip", weights_dir=tmp_path)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "visual_projection.weight"}
    (tmp_path / "model.safetensors").unlink()
    torch.save({**state, "extra": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        UserError, match=r"not those of hub:someone/clip: visual_projection.weight is missing, extra is"
    ):
        load("hub:someone/clip", weights_dir=tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="has no tokenizer that transformers can read"):
        load("hub:someone/clip", weights_dir=tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="is not JSON"):
        load("hub:someone/clip", weights_dir=tmp_path)


def test_a_vocabulary_longer_than_the_table_of_word_vectors_is_an_error(tmp_path):
    save(clip, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["vocab_size"] = 20
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="has 58 words, and the model vectors for 20"):
        load("hub:someone/clip", weights_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model_max_length": "x"}, "has a model_max_length of 'x', which is no length"),
        ({"model_max_length": -1}, "has a model_max_length of -1, which is no length"),
        ({"pad_token": None}, "the tokenizer of hub:someone/clip can't be used: Asking to pad"),
    ],
    ids=str,
)
def test_a_tokenizer_that_cannot_be_used_is_one_sentence(tmp_path, change, match):
    save(clip, tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    with pytest.raises(UserError, match=match) as told:
        load("hub:someone/clip", weights_dir=tmp_path)
    assert "\n" not in str(told.value)


def test_images_in_several_inputs_are_refused_by_name(tmp_path):
    save(siglip, tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "Siglip2ImageProcessor"}')
    with pytest.raises(UserError, match=r"gives .*pixel_attention_mask.*, and only pixel_values is known here"):
        load("hub:someone/naflex", weights_dir=tmp_path)


@pytest.mark.parametrize("make", [clip, siglip], ids=lambda make: make.__name__)
def test_lora_targets_are_attention(make, tmp_path):
    import peft

    save(make, tmp_path)
    model = load("hub:someone/model", weights_dir=tmp_path)
    wrapped = peft.get_peft_model(model.image_tower, peft.LoraConfig(r=2, target_modules=model.lora_targets))
    assert sum(name.endswith("lora_A.default.weight") for name in wrapped.state_dict()) == 2 * 3
    pixels = model.preprocess(photographs()[0][None])
    plain = model.encode_images(pixels)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter.data)
    model.image_tower = wrapped
    assert (model.encode_images(pixels) - plain).abs().max() > 1e-3

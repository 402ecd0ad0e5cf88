"""Models of open_clip's own factory with random weights, saved as its repositories are, against that factory."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data

from benchmark.models import find_record, load
from benchmark.models.components.packages import package
from pipeline.errors import UserError
from tests.benchmark.models.conftest import PROMPTS, WORDS

pytestmark = pytest.mark.zoo

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VISION = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8}
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "timm_model_pretrained": True, "timm_pool": "token"}
BERT = {
    **{"hf_model_name": "somebody/bert", "hf_tokenizer_name": "somebody/bert", "hf_proj_type": "mlp"},
    **{"hf_pooler_type": "cls_last_hidden_state_pooler", "context_length": 20},
}
MT5 = {"hf_model_name": "somebody/mt5", "hf_tokenizer_name": "somebody/mt5", "hf_pooler_type": "mean_pooler"}
NLLB = {
    **{"hf_model_name": "somebody/nllb", "hf_tokenizer_name": "somebody/nllb", "hf_proj_type": "linear"},
    **{"hf_pooler_type": "cls_pooler", "context_length": 20},
}
"""As open_clip's own configurations mt5-base-ViT-B-32 and nllb-clip-base have them."""

SIDE = {"layers": 1, "attention_heads": 4, "ffn_dim": 64}

PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
PIECES += [(letter, -float(k)) for k, letter in enumerate("\u2581abcdefghijklmnopqrstuvwxyz,-", 1)]

KINDS: dict[str, dict[str, Any]] = {
    "clip": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT, "quick_gelu": True},
    "custom": {
        "embed_dim": 24,
        "vision_cfg": VISION,
        "text_cfg": TEXT,
        "custom_text": True,
        "nonscalar_logit_scale": True,
    },
    "siglip": {
        "embed_dim": 24,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": {**TIMM, "timm_proj": "linear", "image_size": 224},
        "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last", "vocab_size": 49408},
    },
    "bert": {"embed_dim": 24, "vision_cfg": {**VISION, "image_size": [32, 32]}, "text_cfg": BERT},
    "mt5": {"embed_dim": 64, "vision_cfg": VISION, "text_cfg": MT5},
    "nllb": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": NLLB},
    "coca": {
        "embed_dim": 64,
        "custom_text": True,
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"width": 64, "context_length": 20, "vocab_size": 49408, "layers": 1, "heads": 2},
    },
}
PREPROCESS = {"mean": [0.1, 0.2, 0.3], "std": None, "interpolation": "bilinear", "resize_mode": "longest"}


def write_text(name: str, folder: Path) -> None:
    """Write the configuration and the tokenizer of a text side of transformers."""
    transformers = package("transformers")
    if name == "somebody/bert":
        size = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}
        config = transformers.BertConfig(vocab_size=100, **size)
        tokenizer = transformers.BertTokenizer(vocab={word: k for k, word in enumerate(WORDS)})
    elif name == "somebody/mt5":
        size = {"d_model": 64, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 4}
        config = transformers.MT5Config(vocab_size=100, pad_token_id=1, **size)
        tokenizer = transformers.T5Tokenizer(vocab=PIECES, extra_ids=0)
    else:
        sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in SIDE.items()}
        ids = {"vocab_size": 300, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        config = transformers.M2M100Config(d_model=64, **sides, **ids)
        words = {piece: k for k, (piece, _) in enumerate(PIECES)}
        tokenizer = transformers.NllbTokenizer(vocab=words, merges=[], src_lang="eng_Latn")
    config.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def save(config: dict[str, Any], folder: Path, preprocess: dict[str, Any] | None = None) -> tuple[Any, Any, Any]:
    """Write a model as its repositories are; return it, its transform of images and its tokenizer."""
    open_clip = package("open_clip")
    text_side = config["text_cfg"].get("hf_model_name")
    if text_side is not None:
        write_text(text_side, folder)
    content = {"model_cfg": config, "preprocess_cfg": preprocess or {}}
    read = json.loads(json.dumps(content))
    if text_side is not None:
        read["model_cfg"]["text_cfg"]["hf_model_name"] = str(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(read))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    state = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items() if name != "attn_mask"}
    save_file(state, folder / "open_clip_model.safetensors")
    cfg = open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg)
    transform = open_clip.transform.image_transform_v2(cfg, is_train=False)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return model, transform, tokenizer


@pytest.mark.parametrize("preprocess", [None, PREPROCESS], ids=["plain", "longest"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_ids_features_and_logits_are_those_of_open_clip(kind, preprocess, tmp_path):
    theirs, transform, tokenizer = save(KINDS[kind], tmp_path, preprocess)
    model = load("open_clip:hf-hub:someone/model", weights_dir=tmp_path, offline=True)
    texts = [*PROMPTS, "a cell " * 30]
    assert torch.equal(model.tokenize(texts)["text"], tokenizer(texts))
    assert len(set(map(tuple, tokenizer(texts).tolist()))) == len(texts)
    for image in (data.astronaut()[:341, :227], data.coffee()[100:199, 200:333], data.chelsea()[:32, :32]):
        image = np.ascontiguousarray(image)
        pixels = model.preprocess(image[None])
        torch.testing.assert_close(pixels, transform(Image.fromarray(image))[None], rtol=0, atol=1e-5)
        with torch.inference_mode():
            expected = theirs.encode_image(pixels, normalize=True), theirs.encode_text(tokenizer(texts), normalize=True)
            features, words = model.encode_images(pixels), model.encode_texts(texts)
            logits = theirs.logit_scale.exp() * expected[0] @ expected[1].T
            logits = logits if getattr(theirs, "logit_bias", None) is None else logits + theirs.logit_bias
        torch.testing.assert_close(features, expected[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(words, expected[1], rtol=0, atol=1e-5)
        torch.testing.assert_close(model.logits(features, words), logits, rtol=1e-5, atol=1e-5)
    assert (model.logit_bias == -10) == (kind == "siglip")


def test_nobody_is_told_of_random_weights_that_are_read_afterwards(tmp_path, caplog):
    save(KINDS["clip"], tmp_path)
    assert "initialized randomly" in caplog.text, "what open_clip says by itself"
    caplog.clear()
    load("open_clip:hf-hub:someone/model", weights_dir=tmp_path)
    assert not caplog.records
    logging.getLogger("mine").warning("as before")
    assert "as before" in caplog.text


def test_a_file_can_be_named(tmp_path):
    theirs, _, _ = save(KINDS["custom"], tmp_path)
    (tmp_path / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": {**theirs.state_dict(), "logit_scale": torch.tensor([2.0])}}, tmp_path / "mine.pt")
    model = load("open_clip:hf-hub:someone/model#mine.pt", weights_dir=tmp_path)
    assert model.logit_scale == pytest.approx(np.exp(2.0))
    pinned = find_record(f"open_clip:hf-hub:someone/model@{COMMIT}#mine.pt", folder=tmp_path)
    assert (pinned.files[0].name, pinned.files[0].revision) == ("mine.pt", COMMIT)
    with pytest.raises(UserError, match="ends in safetensors, bin, pt or pth"):
        find_record("open_clip:hf-hub:someone/model#../mine.npz", folder=tmp_path)


def test_an_absent_image_size_is_open_clips(tmp_path):
    vision = {key: value for key, value in VISION.items() if key != "image_size"}
    save({**KINDS["clip"], "vision_cfg": vision}, tmp_path, {"mean": None})
    described = find_record("open_clip:hf-hub:someone/model", folder=tmp_path)
    assert described.preprocessing.size == 224
    assert described.preprocessing.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073), abs=1e-5)


def test_a_folder_without_a_tag_is_asked_for_its_activation(tmp_path):
    with pytest.raises(
        UserError, match=r"trained with the faster GELU: .* open_clip:RN50-quickgelu or open_clip:RN50-gelu"
    ):
        find_record("open_clip:RN50", folder=tmp_path)
    for ending, quick in (("-quickgelu", True), ("-gelu", False)):
        model = load(f"open_clip:ViT-B-32{ending}", weights_dir=tmp_path, random_init=True)
        assert ("QuickGELU" in {type(module).__name__ for module in model.image_tower.modules()}) == quick


@pytest.mark.parametrize(
    "changes",
    [{"vision_cfg": 3}, {"vision_cfg": {"layers": "two"}}, {"vision_cfg": {"image_size": [32, 40]}}, {"odd": 1}],
)
def test_a_broken_configuration_is_one_sentence(changes, tmp_path):
    save(KINDS["clip"], tmp_path)
    config = {"model_cfg": {**KINDS["clip"], **changes}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        load("open_clip:hf-hub:someone/model", weights_dir=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("embed_dim", True), ("embed_dim", 0), ("context_length", "a"), ("context_length", 0), ("context_length", 10**9)],
)
def test_a_size_that_no_model_has_is_refused_before_anything_is_made(key, value, tmp_path):
    config = json.loads(json.dumps(KINDS["clip"]))
    (config if key == "embed_dim" else config["text_cfg"])[key] = value
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(UserError, match=rf"someone/model has {key}: {value!r}, which is none; have 1 to"):
        load("open_clip:hf-hub:someone/model", weights_dir=tmp_path)

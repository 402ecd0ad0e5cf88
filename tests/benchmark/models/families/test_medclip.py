from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.models import Bert, load, records
from benchmark.models.families import medclip
from benchmark.models.model import Model
from pipeline.errors import UserError

SMALL = records()["medclip"].changed(bert=Bert(vocabulary=40, width=64, layers=3))
DEPTHS = (2, 2, 6, 2)


def published_swin_names() -> list[str]:
    """The names of MedCLIP's image tower as published, 231 below `vision_model.model.` and the projection."""
    names = [f"embeddings.patch_embeddings.projection.{part}" for part in ("weight", "bias")]
    names += [f"embeddings.norm.{part}" for part in ("weight", "bias")]
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth):
            inside = [f"attention.self.{which}" for which in ("query", "key", "value")]
            inside += [
                "attention.output.dense",
                "layernorm_before",
                "layernorm_after",
                "intermediate.dense",
                "output.dense",
            ]
            here = f"encoder.layers.{stage}.blocks.{block}."
            names += [f"{here}{module}.{part}" for module in inside for part in ("weight", "bias")]
            names += [f"{here}attention.self.relative_position_{what}" for what in ("bias_table", "index")]
        if stage < 3:
            names += [
                f"encoder.layers.{stage}.downsample.{what}" for what in ("reduction.weight", "norm.weight", "norm.bias")
            ]
    return [*names, "layernorm.weight", "layernorm.bias"]


def as_published(module: medclip.MedClip) -> dict[str, torch.Tensor]:
    """A state dict under the names of the published checkpoint, with the buffers that it carries."""
    state = {}
    for name, tensor in module.state_dict().items():
        if name.startswith("vision_model."):
            for published, new in medclip.RENAMED:
                name = name.replace(new, published)
        state[name] = tensor
    for name in published_swin_names():
        if name.endswith("relative_position_index"):
            state[f"vision_model.model.{name}"] = torch.zeros(49, 49, dtype=torch.int64)
    state["text_model.model.embeddings.position_ids"] = torch.arange(512)[None]
    return state


@pytest.fixture(scope="module")
def module() -> medclip.MedClip:
    torch.manual_seed(1)
    return medclip.MedClip(SMALL, SMALL.bert).eval()


def test_the_published_names_are_the_towers(module):
    names = published_swin_names()
    assert len(names) == 231  # counted on the published file by others
    state = as_published(module)
    below = [name.removeprefix("vision_model.model.") for name in state if name.startswith("vision_model.model.")]
    assert sorted(below) == sorted(names)


def test_reads_the_published_checkpoint(module, words, prompts):
    module.logit_scale.data.fill_(9.0)  # beyond what the published code lets it be
    torch.save(as_published(module), words / "pytorch_model.bin")
    model = load(SMALL, weights_dir=words)
    assert model.logit_scale == pytest.approx(100, rel=1e-3)
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    pixels = model.preprocess(images)
    assert torch.equal(pixels[:, 0], pixels[:, 2])  # grey
    with torch.inference_mode():
        features, texts = model.encode_images(pixels), model.encode_texts(prompts)
        raw = module.vision_model(pixels)
    torch.testing.assert_close(features, raw / raw.norm(dim=-1, keepdim=True))
    assert features.shape == (2, 512)
    assert texts.shape == (3, 512)
    for vectors in (features, texts):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))


def test_weights_of_another_model_are_named(module, words):
    state = as_published(module)
    del state["vision_model.projection_head.weight"]
    torch.save(state, words / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"not those of medclip: vision_model.projection_head.weight is missing"):
        load(SMALL, weights_dir=words)


def test_no_other_tower():
    with pytest.raises(UserError, match="no image tower 'resnet18'; has swin-tiny-patch4-window7-224, resnet50"):
        medclip.MedClip(SMALL.changed(architecture="resnet18"), SMALL.bert)


@pytest.fixture
def model(words) -> Model:
    torch.manual_seed(1)
    return load(SMALL, weights_dir=words, random_init=True)


def test_lora_goes_on_the_attention_and_comes_back_from_its_folder(model, words, tmp_path):
    import peft

    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=model.lora_targets)
    images = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = model.preprocess(images)
    with torch.inference_mode():
        plain = model.encode_images(pixels)
    model.image_tower = peft.get_peft_model(model.image_tower, config)
    trained = {name for name, parameter in model.image_tower.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * 3 * sum(DEPTHS)
    model.encode_images(pixels).sum().backward()
    moved = [p for p in model.image_tower.parameters() if p.grad is not None]
    assert len(moved) == len(trained)
    for parameter in moved:
        torch.nn.init.normal_(parameter.data, std=0.1)
    with torch.inference_mode():
        tuned = model.encode_images(pixels)
    assert (tuned - plain).abs().max() > 1e-3
    model.image_tower.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)

    torch.manual_seed(1)
    again = load(SMALL, weights_dir=words, random_init=True, adapter=tmp_path / "adapter")
    with torch.inference_mode():
        torch.testing.assert_close(again.encode_images(pixels), tuned)
    assert not any(parameter.requires_grad for parameter in again.image_tower.parameters())
    with pytest.raises(UserError, match="is for medclip, not for biomedclip"):
        load(SMALL.changed(name="biomedclip"), weights_dir=words, random_init=True, adapter=tmp_path / "adapter")


def test_another_size_and_no_prompt_are_errors(model):
    with pytest.raises(UserError, match=r"medclip takes \(N, 3, 224, 224\), not \(1, 3, 96, 96\)"):
        model.encode_images(torch.zeros(1, 3, 96, 96))
    for texts in ([], "a photo"):
        with pytest.raises(UserError, match="a list of at least one prompt"):
            model.encode_texts(texts)


def test_many_prompts_are_encoded_in_parts(model, prompts, monkeypatch):
    monkeypatch.setattr("benchmark.models.model.TEXT_BATCH", 2)
    with torch.inference_mode():
        parts = model.encode_texts(prompts)
        monkeypatch.undo()
        torch.testing.assert_close(parts, model.encode_texts(prompts), rtol=1e-4, atol=1e-5)

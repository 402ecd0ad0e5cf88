from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from benchmark.models import Bert, Preprocessing, load, loading, records
from benchmark.models.components.adapters import attach
from benchmark.models.components.packages import package
from benchmark.models.components.preprocessing import preprocess
from benchmark.models.model import Model, Towers
from benchmark.models.robustmedclip import convert, main
from pipeline.config.benchmark import Benchmark
from pipeline.errors import UserError
from pipeline.workspace.paths import Workspace
from tests.benchmark.models import robustmedclip_original as original
from tests.benchmark.models.conftest import published_state, without_checksum

SIZE = 32
WIDTH = 16


class Attention(nn.Module):
    """What timm's does, at one head."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return functional.scaled_dot_product_attention(q, k, v)


class SmallVit(nn.Module):
    """Names and layers of BiomedCLIP's tower, two blocks of them."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleDict({"embed": nn.Conv2d(3, WIDTH, 8, 8)})
        self.trunk["blocks"] = nn.ModuleList([nn.ModuleDict({"attn": Attention()}) for _ in range(2)])
        self.head = nn.ModuleDict({"proj": nn.Linear(WIDTH, 8, bias=False)})

    def forward(self, x):
        tokens = self.trunk["embed"](x).flatten(2).transpose(1, 2)
        for block in self.trunk["blocks"]:
            tokens = tokens + block["attn"](tokens)
        return self.head["proj"](tokens.mean(1))


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 pixels with batch norm, the middle one halving or not."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(WIDTH, WIDTH // 2, 1, bias=False), nn.BatchNorm2d(WIDTH // 2)
        self.conv2, self.bn2 = nn.Conv2d(WIDTH // 2, WIDTH // 2, 3, stride, 1, bias=False), nn.BatchNorm2d(WIDTH // 2)
        self.conv3, self.bn3 = nn.Conv2d(WIDTH // 2, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)))


class SmallResnet(nn.Module):
    """Names and layers of MedCLIP's ResNet, one or two bottlenecks a stage."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential()
        self.model.add_module("conv1", nn.Conv2d(3, WIDTH, 7, 2, 3))
        self.model.add_module("pool", nn.MaxPool2d(3, 2, 1))
        for stage in range(1, 5):
            blocks = [Bottleneck(1 if stage == 1 else 2)] + ([Bottleneck(1)] if stage == 2 else [])
            self.model.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.model.add_module("mean", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        self.model.add_module("fc", nn.Linear(WIDTH, 8, bias=False))
        for layer in self.model.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)  # else little is left of an image at the end

    def forward(self, x):
        return self.model(x)


KINDS = {
    "vit": ("biomedclip", "robustmedclip", SmallVit, original.vit),
    "resnet": ("medclip-resnet", "robustmedclip-resnet", SmallResnet, original.resnet),
    "first resnet": ("medclip-resnet", "robustmedclip-resnet", SmallResnet, original.first_resnet),
}


def small(name: str, tower: type[nn.Module], seed: int = 0, size: int = SIZE) -> Model:
    """A base model of that name with small towers."""
    torch.manual_seed(seed)
    towers = Towers(tower(), nn.Linear(4, 8), lambda texts: {}, 1.0)
    return Model(records()[name].changed(preprocessing=Preprocessing(size=size, mean=(0, 0, 0), std=(1, 1, 1))), towers)


@pytest.fixture(params=KINDS)
def published(request, tmp_path):
    """A base, the published tower on it and its files."""
    name, converted, tower, publish = KINDS[request.param]
    base = small(name, tower)
    theirs, state, parts = publish(base.image_tower, base.text_tower, 3)
    torch.save(state, tmp_path / "model.pth")
    save_file(parts, tmp_path / "lora_weights.safetensors")
    return SimpleNamespace(
        name=name,
        converted=converted,
        tower=tower,
        publish=publish,
        base=base,
        theirs=theirs,
        state=state,
        parts=parts,
        folder=tmp_path,
    )


def test_the_adapter_gives_the_published_features(published):
    convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)
    model = small(published.name, published.tower)
    pixels = torch.randn(4, 3, SIZE, SIZE)
    with torch.inference_mode():
        plain = model.image_tower(pixels)
        model.image_tower = attach(model.image_tower, published.folder / "adapter", base=published.name)
        ours, theirs = model.image_tower(pixels), published.theirs(pixels)
        merged = model.image_tower.merge_and_unload()(pixels)
    assert (theirs - plain).abs().max() > 0.01
    assert (theirs[0] - theirs[1]).abs().max() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(merged, theirs, rtol=0, atol=1e-5)
    with torch.inference_mode():  # the base was left as it was
        assert torch.equal(published.base.image_tower(pixels), plain)


@pytest.fixture
def doubles():
    """Everything in double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("kind", KINDS)
def test_at_224_pixels_the_two_forms_are_the_same_but_for_rounding(kind, tmp_path):
    name, _, tower, publish = KINDS[kind]
    model = small(name, tower, size=224)
    theirs, state, _ = publish(model.image_tower, model.text_tower, 8)
    torch.save(state, tmp_path / "model.pth")
    convert(tmp_path / "model.pth", tmp_path / "adapter", base=model)
    model.image_tower = attach(model.image_tower, tmp_path / "adapter", base=name)
    pixels = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = theirs(pixels)
        difference = (model.image_tower(pixels) - expected).abs().max() / expected.abs().max()
    assert expected.dtype == torch.float64
    assert difference < 1e-15


def test_the_adapter_holds_three_ranks_or_a_tap_in_the_centre(published):
    convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)
    tensors = load_file(published.folder / "adapter" / "adapter_model.safetensors")
    if published.name == "biomedclip":
        up = tensors["base_model.model.trunk.blocks.1.attn.qkv.lora_B.weight"]
        assert up.shape == (3 * WIDTH, 9)
        blocks = up.reshape(3, WIDTH, 3, 3)
        assert all(bool(blocks[i, :, j].any()) == (i == j) for i in range(3) for j in range(3))
        assert not any("running" in name for name in tensors)
    else:
        down = {name: tensor for name, tensor in tensors.items() if name.endswith("lora_A.weight")}
        layers = original.LATER if published.publish is original.resnet else original.FIRST
        convolutions = [n for n, _ in published.base.image_tower.model.named_modules() if re.fullmatch(layers, n)]
        assert list(down) == sorted(f"base_model.model.model.{name}.lora_A.weight" for name in convolutions)
        for tensor in down.values():
            middle = tensor.shape[2] // 2
            assert tensor.shape[2] in ((1, 3, 7) if layers == original.LATER else (3,))
            assert tensor[:, :, middle, middle].any()
            tensor[:, :, middle, middle] = 0
            assert not tensor.any()
        assert tensors["base_model.model.model.layer2.0.bn2.num_batches_tracked"] == 40


def test_lora_weights_alone_are_refused(published):
    with pytest.raises(UserError, match=r"no matrices for k and no batch-norm statistics: convert the model.pth"):
        convert(published.folder / "lora_weights.safetensors", published.folder / "adapter", base=published.base)


def test_a_contradiction_beside_it_is_refused(published):
    published.parts["w_b_001"] += 1
    save_file(published.parts, published.folder / "lora_weights.safetensors")
    with pytest.raises(UserError, match=r"contradicts model.pth: its w_b_001 is not"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)


def test_another_base_is_refused_and_nothing_written(published):
    stranger = small(published.name, published.tower, seed=1)
    with pytest.raises(UserError, match=r"in the checkpoint's image tower, .* is not the base model's"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=stranger)
    other = "medclip-resnet" if published.name == "biomedclip" else "biomedclip"
    with pytest.raises(UserError, match=f"was tuned from {published.name}, not from {other}"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=small(other, published.tower))
    assert not (published.folder / "adapter").exists()


def test_a_hole_and_a_surplus_are_named(published):
    name = next(name for name in published.state if name.startswith("text_encoder.weight"))
    state = {key: tensor for key, tensor in published.state.items() if key != name}
    torch.save(state, published.folder / "model.pth")
    with pytest.raises(UserError, match=r"text tower, weight is missing \(1 such in all\)"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)
    torch.save({**published.state, "text_encoder.other": torch.ones(1)}, published.folder / "model.pth")
    with pytest.raises(UserError, match="text tower, other is unknown"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)


def test_an_existing_folder_is_never_overwritten(published):
    (published.folder / "adapter").mkdir()
    with pytest.raises(UserError, match="conversion never overwrites"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)


def test_at_an_odd_size_the_two_forms_differ_and_conversion_says_so(tmp_path):
    odd = 40  # 20 after the stem, 10 after the pool, 5 into the last halving but one
    base = small("medclip-resnet", SmallResnet, size=odd)
    theirs, state, _ = original.resnet(base.image_tower, base.text_tower, 3)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"at 40 pixels halves an odd size.*only multiples of 32"):
        convert(tmp_path / "model.pth", tmp_path / "adapter", base=base)
    base.record = small("medclip-resnet", SmallResnet).record
    convert(tmp_path / "model.pth", tmp_path / "adapter", base=base)
    base.image_tower = attach(base.image_tower, tmp_path / "adapter", base="medclip-resnet")
    pixels = torch.randn(2, 3, odd, odd)
    with torch.inference_mode():
        assert (base.image_tower(pixels) - theirs(pixels)).abs().max() > 1e-4  # ten times the tolerance above


def test_the_command_line_prints_one_sentence(tmp_path, capsys):
    torch.save({"weight": torch.ones(1)}, tmp_path / "model.pth")
    assert main([str(tmp_path / "model.pth"), "--out", str(tmp_path / "adapter")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'model.pth'} is no RobustMedCLIP checkpoint")


REAL = {
    "vit": ("biomedclip", original.vit, 16),
    "resnet": ("medclip-resnet", original.resnet, 8),
    "first resnet": ("medclip-resnet", original.first_resnet, 8),
}


@pytest.mark.zoo
@pytest.mark.parametrize("kind", REAL)
def test_the_real_architecture_gives_the_published_features(kind, words, tmp_path, monkeypatch, capsys):
    """Through files and the command line: base from a folder, checkpoint to adapter, adapter as it is scored."""
    name, publish, rank = REAL[kind]
    bert = Bert(vocabulary=40, width=64, layers=3)
    files = without_checksum(records()[name])
    for known in (name, "robustmedclip" if kind == "vit" else "robustmedclip-resnet"):
        monkeypatch.setitem(records(), known, records()[known].changed(bert=bert, files=files))
    torch.manual_seed(0)
    base = load(name, weights_dir=words, random_init=True)
    torch.save(published_state(base), words / files[0].name)
    theirs, state, parts = publish(base.image_tower, base.text_tower, rank)
    torch.save(state, tmp_path / "model.pth")
    save_file(parts, tmp_path / "lora_weights.safetensors")
    converted = "robustmedclip" if kind == "vit" else "robustmedclip-resnet"
    workspace, config = Workspace(tmp_path), Benchmark(weights={name: str(words)})
    with pytest.raises(UserError, match="no adapter in"):
        loading.load(workspace, config, converted, device="cpu")
    out = workspace.adapter(converted)
    assert main([str(tmp_path / "model.pth"), "--out", str(out), "--weights", str(words)]) == 0
    assert f"`python -m benchmark.predict --model {converted}` takes it" in capsys.readouterr().out
    model = loading.load(workspace, config, converted, device="cpu")
    images = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    pixels = model.preprocess(images)
    torch.testing.assert_close(pixels, transformed(images), rtol=0, atol=1e-6)
    with torch.inference_mode():
        plain = functional.normalize(base.image_tower(pixels), dim=-1)
        ours, theirs_normalised = model.encode_images(pixels), functional.normalize(theirs(pixels), dim=-1)
    assert (theirs_normalised - plain).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs_normalised, rtol=0, atol=1e-5)


def transformed(images):
    """What RobustMedCLIP's own evaluation gives its towers: dataset.py, `get_transform`."""
    transforms = package("torchvision.transforms")
    compose = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    return torch.stack([compose(Image.fromarray(image.numpy())) for image in images])


@pytest.mark.parametrize("name", ["robustmedclip", "robustmedclip-resnet"])
def test_a_published_checkpoint_sees_what_it_was_tuned_on(name):
    """CLIP's mean and deviation on all three channels, for either tower."""
    settings = records()[name].preprocessing
    assert settings == records()["clip"].preprocessing
    images = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    expected = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(preprocess(images, settings), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(published, value):
    name = next(name for name in published.state if re.search(r"linear_a(_q)?\.weight$", name))
    published.state[name][0, 0] = value
    torch.save(published.state, published.folder / "model.pth")
    (published.folder / "lora_weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"can't be scored: .*lora_A.weight has NaN or infinite numbers$"):
        convert(published.folder / "model.pth", published.folder / "adapter", base=published.base)
    assert list(published.folder.iterdir()) == [published.folder / "model.pth"]

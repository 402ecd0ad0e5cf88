"""Turn a published RobustMedCLIP checkpoint into a PEFT adapter that gives the same features.

    python -m benchmark.models.robustmedclip best_model/model.pth --out data/models/robustmedclip/adapter
    python -m benchmark.predict --model robustmedclip

BioMedIA-MBZUAI/RobustMedCLIP (Imam et al. 2025, utils.py) has its own LoRA in two forms:

- on BiomedCLIP's ViT (`_LoRA_qkv_timm`), rank r on each of q, k and v: that is rank 3r on timm's joint qkv layer, the
  three A above one another and the three B on a diagonal of blocks, at scaling 1;
- on MedCLIP's ResNet-50 (`_LoRA_Conv2d`), a 1 by 1 path beside a convolution, brought to its output's size by taking
  the nearest pixel: that is a convolution of the same size whose A has its one tap in the centre, if a stride of 2
  halves an even size, since nearest then picks every second pixel from the first on, and picks others at an odd size.
  Commit 08ec053 has it on the 3 by 3 convolutions, 88afd04 and later on the stem and all three of every block.

lora_weights.safetensors has w_a_ and w_b_ of q and v only, so a conversion reads model.pth, the full state dict. Its
ResNet was trained with batch norm in training mode, so the running statistics belong to the checkpoint and go with the
adapter. Everything else in it is frozen, and is compared with the base model.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmark.models.components.checkpoints import check_finite, read_tensors
from benchmark.models.components.packages import package
from benchmark.models.model import Model
from benchmark.models.registry import load
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_folder
from pipeline.run import command_line


@dataclass(frozen=True)
class Backbone:
    """One of the two image towers that are published.

    Attributes:
        prefix: what its names begin with in model.pth; models.py, `BiomedCLIPViT_LoRA` and `MedCLIPResnet_LoRA`.
        base: record of the model that it was tuned from.
        name: record that scores what `convert` writes, from data/models/<name>/adapter.
    """

    prefix: str
    base: str
    name: str


VIT = Backbone("lora_vit.lora_vit.", base="biomedclip", name="robustmedclip")
RESNET = Backbone("lora_resnet.lora_medclip.", base="medclip-resnet", name="robustmedclip-resnet")
BACKBONES = (VIT, RESNET)

TEXT = "text_encoder."
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
LORA_WEIGHTS = "lora_weights.safetensors"
PROJECTIONS = ("q", "k", "v")

Tensors = dict[str, Tensor]


def convert(checkpoint: Path, out: Path, *, base: Model) -> None:
    """Write the PEFT adapter of a published checkpoint to the folder `out`, whole or not at all.

    Args:
        checkpoint: model.pth; a lora_weights.safetensors beside it must not contradict it.
        out: a folder that does not exist yet.
        base: the model that it was tuned from, ``biomedclip`` or ``medclip-resnet``; left as it is.

    Raises:
        UserError: not such a checkpoint, a frozen weight that is not the base's, a number that is not finite, or a
            size at which the two forms of LoRA differ.
    """
    if out.exists():
        raise UserError(f"{out} is there already; conversion never overwrites")
    state = read_tensors(checkpoint)
    backbone = find_backbone(state, checkpoint)
    if base.record.name != backbone.base:
        raise UserError(f"{checkpoint} was tuned from {backbone.base}, not from {base.record.name}")
    _check_lora_weights(state, backbone, checkpoint.parent / LORA_WEIGHTS)
    tower = _below(backbone.prefix, state)
    size = base.record.preprocessing.size
    adapter, frozen = _split_vit(tower) if backbone is VIT else _split_resnet(tower, size)
    norms = [name.rpartition(".")[0] for name in frozen if name.endswith("running_mean")]
    own = base.image_tower.state_dict()
    _check_frozen({n: t for n, t in frozen.items() if not n.endswith(STATISTICS)}, own, "image tower")
    _check_frozen(_below(TEXT, state), base.text_tower.state_dict(), "text tower")
    layers = [name.removesuffix(".lora_A.weight") for name in adapter if name.endswith(".lora_A.weight")]
    rank = len(adapter[f"{layers[0]}.lora_A.weight"])
    config = package("peft").LoraConfig(
        r=rank,
        lora_alpha=rank,
        lora_dropout=0.0,
        target_modules="|".join(re.escape(layer) for layer in layers),
        modules_to_save=norms or None,
        base_model_name_or_path=base.record.name,
        inference_mode=True,
    )
    statistics = {name: tensor for name, tensor in frozen.items() if name.rpartition(".")[0] in norms}
    check_finite(adapter | statistics, f"{checkpoint} can't be scored")
    tensors = {f"base_model.model.{n}": tensor.contiguous() for n, tensor in (adapter | statistics).items()}
    with atomic_folder(out) as folder:
        package("safetensors.torch").save_file(tensors, str(folder / "adapter_model.safetensors"))
        config.save_pretrained(str(folder))


def find_backbone(state: Mapping[str, Tensor], checkpoint: Path) -> Backbone:
    """Return which of `BACKBONES` a full state dict is of.

    Raises:
        UserError: none of them.
    """
    for backbone in BACKBONES:
        if any(name.startswith(backbone.prefix) for name in state):
            return backbone
    if any(name.startswith("w_a_") for name in state):
        raise UserError(
            f"{checkpoint} holds no matrices for k and no batch-norm statistics: convert the model.pth beside it"
        )
    prefixes = " or ".join(backbone.prefix for backbone in BACKBONES)
    raise UserError(f"{checkpoint} is no RobustMedCLIP checkpoint: no name begins with {prefixes}")


def _below(prefix: str, state: Mapping[str, Tensor]) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _split_vit(tower: Tensors) -> tuple[Tensors, Tensors]:
    """Split an image tower into a PEFT adapter on the joint qkv layers and the frozen rest under timm's names."""
    adapter, frozen = Tensors(), Tensors()
    for name, tensor in tower.items():
        if name.endswith("linear_a_q.weight"):
            layer = name.removesuffix(".linear_a_q.weight")
            down = [tower[f"{layer}.linear_a_{part}.weight"] for part in PROJECTIONS]
            up = [tower[f"{layer}.linear_b_{part}.weight"] for part in PROJECTIONS]
            adapter[f"{layer}.lora_A.weight"] = torch.cat(down)
            adapter[f"{layer}.lora_B.weight"] = torch.block_diag(*up)  # type: ignore[no-untyped-call]
        elif not re.search(r"\.linear_[ab]_[qkv]\.weight$", name):
            frozen[re.sub(r"\.qkv\.qkv\.(weight|bias)$", r".qkv.\1", name)] = tensor
    return adapter, frozen


def _split_resnet(tower: Tensors, size: int) -> tuple[Tensors, Tensors]:
    """Split an image tower into a PEFT adapter on the convolutions and the frozen rest under torchvision's names."""
    if size % 32:  # the stem divides by 4, and three stages by 2 each
        raise UserError(
            f"RobustMedCLIP's ResNet at {size} pixels halves an odd size, where taking the nearest pixel is no"
            " convolution: only multiples of 32 can be converted"
        )
    adapter, frozen = Tensors(), Tensors()
    for name, tensor in tower.items():
        if name.endswith(".linear_a.weight"):
            layer = name.removesuffix(".linear_a.weight")
            height, width = tower[f"{layer}.conv.weight"].shape[2:]
            down = tensor.new_zeros(*tensor.shape, height, width)
            down[:, :, height // 2, width // 2] = tensor
            adapter[f"{layer}.lora_A.weight"] = down
            adapter[f"{layer}.lora_B.weight"] = tower[f"{layer}.linear_b.weight"][:, :, None, None].clone()
        elif not name.endswith(".linear_b.weight"):
            frozen[re.sub(r"\.conv\.(weight|bias)$", r".\1", name)] = tensor
    return adapter, frozen


def _check_frozen(tensors: Tensors, own: Mapping[str, Tensor], tower: str) -> None:
    """Raise UserError unless `tensors` are the base's `own`, but for buffers that are computed or tracked."""
    ignored = (*STATISTICS, "position_ids")
    missing = [name for name in own if name not in tensors and not name.endswith(ignored)]
    unknown = [name for name in tensors if name not in own and not name.endswith(ignored)]
    other = [name for name, tensor in tensors.items() if name in own and not torch.equal(tensor, own[name])]
    for names, problem in ((missing, "is missing"), (unknown, "is unknown"), (other, "is not the base model's")):
        if names:
            raise UserError(f"in the checkpoint's {tower}, {names[0]} {problem} ({len(names)} such in all)")


def _check_lora_weights(state: Mapping[str, Tensor], backbone: Backbone, path: Path) -> None:
    """Raise UserError if lora_weights.safetensors is there and says other than the full state dict."""
    if not path.is_file():
        return
    saved = read_tensors(path)
    if backbone is VIT:
        layers = [name for name in state if name.endswith(".linear_a_q.weight")]
        layers.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
        pairs = [
            tuple(layer.replace("_a_q", f"_{matrix}_{part}") for matrix in "ab") for layer in layers for part in "qv"
        ]
    else:
        count = sum(name.startswith("lora_resnet.w_As.") for name in state)
        pairs = [tuple(f"lora_resnet.w_{matrix}s.{k}.weight" for matrix in "AB") for k in range(count)]
    for k, pair in enumerate(pairs):
        for matrix, name in zip("ab", pair, strict=True):
            key = f"w_{matrix}_{k:03d}"
            if key not in saved or not torch.equal(saved[key], state[name]):
                raise UserError(f"{path} contradicts model.pth: its {key} is not {name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one checkpoint; return 1, with one sentence on stderr, if it can't be."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.models.robustmedclip", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoint", type=Path, help="model.pth, as published")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapter, not there yet")
    parser.add_argument("--weights", type=Path, help="folder of the base model's files, if not from the Hub")
    parser.add_argument("--offline", action="store_true", help="never ask the network")
    args = parser.parse_args(argv)
    return command_line.run(lambda: _convert_file(args.checkpoint, args.out, args.weights, offline=args.offline))


def _convert_file(checkpoint: Path, out: Path, weights_dir: Path | None, *, offline: bool) -> None:
    backbone = find_backbone(read_tensors(checkpoint), checkpoint)
    base = load(backbone.base, weights_dir=weights_dir, offline=offline)
    assert isinstance(base, Model), "both bases have towers"
    convert(checkpoint, out, base=base)
    print(
        f"wrote {out}: an adapter on {backbone.base}; `python -m benchmark.predict --model {backbone.name}` takes it"
        f" from data/models/{backbone.name}/adapter"
    )


if __name__ == "__main__":
    sys.exit(main())

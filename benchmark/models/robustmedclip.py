"""Turn a published RobustMedCLIP checkpoint into a PEFT adapter that gives the same features.

    python -m benchmark.models.robustmedclip best_model/model.pth --out data/models/robustmedclip/adapter
    python -m benchmark.predict --model robustmedclip

BioMedIA-MBZUAI/RobustMedCLIP (Imam et al. 2025, utils.py) has its own LoRA in two forms:

- on BiomedCLIP's ViT (`_LoRA_qkv_timm`), rank r on each of q, k and v: that is rank 3r on timm's joint qkv layer, the
  three A above one another and the three B on a diagonal of blocks, at scaling 1;
- on MedCLIP's ResNet-50 (`_LoRA_Conv2d`), a 1 by 1 path beside every 3 by 3 convolution, brought to its output's size
  by taking the nearest pixel: that is a convolution whose A has its one tap in the centre, if a stride of 2 halves an
  even size, since nearest then picks every second pixel from the first on, and picks others at an odd size.

lora_weights.safetensors has w_a_ and w_b_ of q and v only, so a conversion reads model.pth, the full state dict. Its
ResNet was trained with batch norm in training mode, so the running statistics belong to the checkpoint and go with the
adapter. Everything else in it is frozen, and is compared with the base model.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.models import weights
from benchmark.models.extras import package
from benchmark.models.model import Model, load
from benchmark.models.record import ModelError
from pipeline.io.atomic import atomic_folder

VIT, RESNET = "lora_vit.lora_vit.", "lora_resnet.lora_medclip."
"""What an image tower's names begin with in model.pth; models.py, `BiomedCLIPViT_LoRA` and `MedCLIPResnet_LoRA`."""

BASES = {VIT: "biomedclip", RESNET: "medclip-resnet"}
NAMES = {VIT: "robustmedclip", RESNET: "robustmedclip-resnet"}
"""The records that score what `convert` writes, from data/models/<name>/adapter."""

TEXT = "text_encoder."
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
BESIDE = "lora_weights.safetensors"
PARTS = ("q", "k", "v")


def convert(checkpoint: Path, out: Path, *, base: Model) -> None:
    """Write the PEFT adapter of a published checkpoint to the folder `out`, whole or not at all.

    Args:
        checkpoint: model.pth; a lora_weights.safetensors beside it must not contradict it.
        out: a folder that does not exist yet.
        base: the model that it was tuned from, ``biomedclip`` or ``medclip-resnet``; left as it is.

    Raises:
        ModelError: not such a checkpoint, a frozen weight that is not the base's, or a size at which the two forms of
            LoRA differ.
    """
    if out.exists():
        raise ModelError(f"{out} is there already; conversion never overwrites")
    state = weights.read(checkpoint)
    kind = kind_of(state, checkpoint)
    if base.record.name != BASES[kind]:
        raise ModelError(f"{checkpoint} was tuned from {BASES[kind]}, not from {base.record.name}")
    _agree(state, kind, checkpoint.parent / BESIDE)
    tower = {name.removeprefix(kind): tensor for name, tensor in state.items() if name.startswith(kind)}
    adapter, rest = _vit(tower) if kind == VIT else _resnet(tower, base.record.view.size)
    saved = _frozen(rest, base.image_tower, kind)
    text = {name.removeprefix(TEXT): tensor for name, tensor in state.items() if name.startswith(TEXT)}
    _same(text, base.text_tower.state_dict(), "text tower")
    rank = max(len(tensor) for name, tensor in adapter.items() if name.endswith("lora_A.weight"))
    config = package("peft").LoraConfig(
        r=rank,
        lora_alpha=rank,
        lora_dropout=0.0,
        target_modules=base.record.lora_targets,
        modules_to_save=sorted({name.rpartition(".")[0] for name in saved}) or None,
        base_model_name_or_path=base.record.name,
        inference_mode=True,
    )
    _write({**adapter, **saved}, config, out)


def kind_of(state: Mapping[str, Tensor], checkpoint: Path) -> str:
    """Return `VIT` or `RESNET`, whichever a full state dict is, or raise ModelError."""
    for kind in BASES:
        if any(name.startswith(kind) for name in state):
            return kind
    if any(name.startswith("w_a_") for name in state):
        raise ModelError(
            f"{checkpoint} holds no matrices for k and no batch-norm statistics: convert the model.pth beside it"
        )
    raise ModelError(f"{checkpoint} is no RobustMedCLIP checkpoint: no name begins with {' or '.join(BASES)}")


def _vit(tower: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split an image tower into a PEFT adapter on the joint qkv layers and the frozen rest under timm's names."""
    adapter, rest = {}, {}
    for name, tensor in tower.items():
        if name.endswith("linear_a_q.weight"):
            layer = name.removesuffix(".linear_a_q.weight")
            down = [tower[f"{layer}.linear_a_{part}.weight"] for part in PARTS]
            up = [tower[f"{layer}.linear_b_{part}.weight"] for part in PARTS]
            adapter[f"{layer}.lora_A.weight"] = torch.cat(down)
            adapter[f"{layer}.lora_B.weight"] = torch.block_diag(*up)  # type: ignore[no-untyped-call]
        elif not re.search(r"\.linear_[ab]_[qkv]\.weight$", name):
            rest[re.sub(r"\.qkv\.qkv\.(weight|bias)$", r".qkv.\1", name)] = tensor
    return adapter, rest


def _resnet(tower: Mapping[str, Tensor], size: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split an image tower into a PEFT adapter on the convolutions and the frozen rest under torchvision's names."""
    if size % 32:  # the stem divides by 4, and three stages by 2 each
        raise ModelError(
            f"RobustMedCLIP's ResNet at {size} pixels halves an odd size, where taking the nearest pixel is no"
            " convolution: only multiples of 32 can be converted"
        )
    adapter, rest = {}, {}
    for name, tensor in tower.items():
        if name.endswith(".linear_a.weight"):
            layer = name.removesuffix(".linear_a.weight")
            down = tensor.new_zeros(*tensor.shape, 3, 3)
            down[:, :, 1, 1] = tensor
            adapter[f"{layer}.lora_A.weight"] = down
            adapter[f"{layer}.lora_B.weight"] = tower[f"{layer}.linear_b.weight"][:, :, None, None].clone()
        elif not name.endswith(".linear_b.weight"):
            rest[re.sub(r"\.conv2\.conv\.weight$", ".conv2.weight", name)] = tensor
    return adapter, rest


def _frozen(rest: Mapping[str, Tensor], tower: nn.Module, kind: str) -> dict[str, Tensor]:
    """Return what is saved beside LoRA, every tensor of each batch norm, once the rest is the base's own."""
    own = tower.state_dict()
    if kind == VIT:
        _same(rest, own, "image tower")
        return {}
    _same({name: tensor for name, tensor in rest.items() if not name.endswith(STATISTICS)}, own, "image tower")
    norms = [name.rpartition(".")[0] for name in rest if name.endswith("running_mean")]
    return {name: tensor for name, tensor in rest.items() if name.rpartition(".")[0] in norms}


def _same(have: Mapping[str, Tensor], own: Mapping[str, Tensor], what: str) -> None:
    """Raise ModelError unless `have` is what the base has, but for buffers that are computed or tracked."""
    ignored = (*STATISTICS, "position_ids")
    missing = [name for name in own if name not in have and not name.endswith(ignored)]
    other = [name for name, tensor in have.items() if name in own and not torch.equal(tensor, own[name])]
    unknown = [name for name in have if name not in own and not name.endswith(ignored)]
    for names, problem in ((missing, "is missing"), (unknown, "is unknown"), (other, "is not the base model's")):
        if names:
            raise ModelError(f"in the checkpoint's {what}, {names[0]} {problem} ({len(names)} such in all)")


def _agree(state: Mapping[str, Tensor], kind: str, beside: Path) -> None:
    """Raise ModelError if lora_weights.safetensors is there and says other than the full state dict."""
    if not beside.is_file():
        return
    parts = weights.read(beside)
    if kind == VIT:
        first = [name for name in state if name.endswith(".linear_a_q.weight")]
        first.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
        forms = [name.replace("_a_q", f"_{{}}_{part}") for name in first for part in ("q", "v")]
        letters = {"a": "a", "b": "b"}
    else:
        count = sum(name.startswith("lora_resnet.w_As.") for name in state)
        forms = [f"lora_resnet.w_{{}}s.{position}.weight" for position in range(count)]
        letters = {"a": "A", "b": "B"}
    for position, form in enumerate(forms):
        for letter, full in letters.items():
            key, name = f"w_{letter}_{position:03d}", form.format(full)
            if key not in parts or not torch.equal(parts[key], state[name]):
                raise ModelError(f"{beside} contradicts model.pth: its {key} is not {name}")


def _write(tensors: Mapping[str, Tensor], config: object, out: Path) -> None:
    named = {f"base_model.model.{name}": tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_folder(out) as folder:
        package("safetensors.torch").save_file(named, str(folder / "adapter_model.safetensors"))
        config.save_pretrained(str(folder))  # type: ignore[attr-defined]


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one checkpoint; return 1, with one sentence on stderr, if it can't be."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.models.robustmedclip", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoint", type=Path, help="model.pth, as published")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapter, not there yet")
    parser.add_argument("--weights", type=Path, help="folder of the base model's files, if not from the Hub")
    parser.add_argument("--offline", action="store_true", help="never ask the network")
    options = parser.parse_args(argv)
    try:
        kind = kind_of(weights.read(options.checkpoint), options.checkpoint)
        convert(
            options.checkpoint,
            options.out,
            base=load(BASES[kind], weights_dir=options.weights, offline=options.offline),
        )
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    name = NAMES[kind]
    print(
        f"wrote {options.out}: an adapter on {BASES[kind]}; `python -m benchmark.predict --model {name}` takes it"
        f" from data/models/{name}/adapter"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

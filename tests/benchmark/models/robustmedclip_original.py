"""RobustMedCLIP's LoRA as published, written out again from its description: what a conversion must equal.

BioMedIA-MBZUAI/RobustMedCLIP, utils.py: `_LoRA_qkv_timm`, `_LoRA_Conv2d`, and what their state dicts are called.
"""

from __future__ import annotations

import copy
import re

import torch
from torch import Tensor, nn
from torch.nn import functional


def low_rank(fan_in: int, fan_out: int, rank: int) -> tuple[nn.Linear, nn.Linear]:
    """Two linear layers without bias, of a size that moves the features."""
    down, up = nn.Linear(fan_in, rank, bias=False), nn.Linear(rank, fan_out, bias=False)
    nn.init.normal_(down.weight, std=0.1)
    nn.init.normal_(up.weight, std=0.1)
    return down, up


class Qkv(nn.Module):
    """timm's joint projection with a low-rank path beside each of its three parts."""

    def __init__(self, qkv: nn.Linear, rank: int) -> None:
        super().__init__()
        width = qkv.in_features
        self.qkv = qkv
        self.linear_a_q, self.linear_b_q = low_rank(width, width, rank)
        self.linear_a_k, self.linear_b_k = low_rank(width, width, rank)
        self.linear_a_v, self.linear_b_v = low_rank(width, width, rank)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = q + self.linear_b_q(self.linear_a_q(x))
        k = k + self.linear_b_k(self.linear_a_k(x))
        v = v + self.linear_b_v(self.linear_a_v(x))
        return torch.cat([q, k, v], dim=-1)


class Convolution(nn.Module):
    """A convolution with a pointwise low-rank path beside it, resized to its output by the nearest pixel."""

    def __init__(self, conv: nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.conv = conv
        self.linear_a, self.linear_b = low_rank(conv.in_channels, conv.out_channels, rank)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        beside = self.linear_b(self.linear_a(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        if beside.shape != out.shape:
            beside = functional.interpolate(beside, size=out.shape[2:], mode="nearest")
        return out + beside


def vit(tower: nn.Module, text: nn.Module, rank: int) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """Return the published tower, its model.pth and its lora_weights.safetensors."""
    tower = copy.deepcopy(tower)
    parts = {}
    blocks = tower.trunk["blocks"] if isinstance(tower.trunk, nn.ModuleDict) else tower.trunk.blocks
    for place, block in enumerate(blocks):
        block.attn.qkv = Qkv(block.attn.qkv, rank)
        for step, part in enumerate("qv"):
            for letter in "ab":
                layer = getattr(block.attn.qkv, f"linear_{letter}_{part}")
                parts[f"w_{letter}_{2 * place + step:03d}"] = layer.weight.detach()
    head = tower.head.proj
    parts[f"fc_{head.in_features}in_{head.out_features}out"] = head.weight.detach()
    state = {f"lora_vit.lora_vit.{name}": tensor for name, tensor in tower.state_dict().items()}
    return tower.eval(), {**state, **texts(text)}, parts


FIRST, LATER = r"layer\d\.\d+\.conv2", r"conv1|layer\d\.\d+\.conv[123]"
"""Convolutions with LoRA below `model`: of the commit 08ec053 of 1 April 2025, and of every later one."""


def resnet(
    tower: nn.Module, text: nn.Module, rank: int, layers: str = LATER
) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """Return the published tower, trained with batch norm in training mode, its model.pth and its safetensors."""
    tower = copy.deepcopy(tower)
    extra, parts = {}, {}
    wanted = [name for name, _ in tower.model.named_modules() if re.fullmatch(layers, name)]
    for place, name in enumerate(wanted):
        parent, _, child = name.rpartition(".")
        owner = tower.model.get_submodule(parent)
        convolution = Convolution(getattr(owner, child), rank)
        setattr(owner, child, convolution)
        for letter, which in (("A", convolution.linear_a), ("B", convolution.linear_b)):
            extra[f"lora_resnet.w_{letter}s.{place}.weight"] = which.weight.detach()
            parts[f"w_{letter.lower()}_{place:03d}"] = which.weight.detach()
    for norm in (module for module in tower.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.5, 1.5)
        norm.num_batches_tracked.fill_(40)
    state = {f"lora_resnet.lora_medclip.{name}": tensor for name, tensor in tower.state_dict().items()}
    return tower.eval(), {**extra, **state, **texts(text)}, parts


def first_resnet(
    tower: nn.Module, text: nn.Module, rank: int
) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """Return the same of the first commit, on the 3 by 3 convolutions alone."""
    return resnet(tower, text, rank, FIRST)


def texts(tower: nn.Module) -> dict[str, Tensor]:
    """The text side of a model.pth, with the buffer that older releases of transformers stored."""
    state = {f"text_encoder.{name}": tensor for name, tensor in tower.state_dict().items()}
    return {**state, "text_encoder.transformer.embeddings.position_ids": torch.arange(512)[None]}

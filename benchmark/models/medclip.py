"""MedCLIP: Swin-T or ResNet-50 beside Bio_ClinicalBERT, both projected to 512 (Wang et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark.models import bert, weights
from benchmark.models.extras import package
from benchmark.models.model import Towers
from benchmark.models.record import Bert, ModelError, Record

WARMEST = 4.6052
"""Upper bound of the logarithm of the logit scale, RyanWangZf/MedCLIP modeling_medclip.py, `compute_logits`."""

LAYERS = (1, 2, -1)
"""Hidden states that are averaged, the word vectors being number 0; same file, `MedCLIPTextModel.forward`."""

RENAMED = (
    (".attention.self.relative_position_bias_table", ".attention.relative_position_bias.relative_position_bias_table"),
    (".attention.self.query.", ".attention.q_proj."),
    (".attention.self.key.", ".attention.k_proj."),
    (".attention.self.value.", ".attention.v_proj."),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
)
"""Names inside a Swin block: in the published checkpoint (transformers 4), and in transformers 5."""

UNSTORED = (*bert.UNSTORED, ".relative_position_index")


class SwinTower(nn.Module):
    """Swin-T, its averaged patches projected."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        transformers = package("transformers")
        # the defaults are swin-tiny-patch4-window7-224 (constants.py, VIT_TYPE)
        self.model = transformers.SwinModel(transformers.SwinConfig())
        self.projection_head = nn.Linear(768, embedding, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        projected: Tensor = self.projection_head(self.model(pixels).pooler_output)
        return projected


class ResnetTower(nn.Module):
    """torchvision's ResNet-50 with the projection in the place of its classifier."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.model = package("torchvision.models").resnet50(weights=None)
        self.model.fc = nn.Linear(self.model.fc.in_features, embedding, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.model(pixels)
        return features


class TextTower(nn.Module):
    """The mean over a prompt's tokens and three layers, projected.

    The published code averages over padding too, so that a prompt's vector depends on the longest one beside it. Here
    only a prompt's own tokens count, which is what the published code gives for a prompt alone.
    """

    def __init__(self, size: Bert, embedding: int) -> None:
        super().__init__()
        self.model = bert.network(size, pooler=True)
        self.projection_head = nn.Linear(size.width, embedding, bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        tokens = torch.stack([states[layer] for layer in LAYERS]).mean(0)
        own = attention_mask[..., None].to(tokens.dtype)
        projected: Tensor = self.projection_head((tokens * own).sum(1) / own.sum(1))
        return projected


TOWERS = {"swin-tiny-patch4-window7-224": SwinTower, "resnet50": ResnetTower}


class Medclip(nn.Module):
    """Both towers under the names of the published checkpoint."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        assert record.bert is not None
        if record.architecture not in TOWERS:
            raise ModelError(f"MedCLIP has no image tower {record.architecture!r}; has {', '.join(TOWERS)}")
        self.vision_model = TOWERS[record.architecture](record.embedding)
        self.text_model = TextTower(record.bert, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # `logit_scale_init_value`, same file


def build(record: Record, files: weights.Files, *, random_init: bool) -> Towers:
    """Make MedCLIP from pytorch_model.bin and Bio_ClinicalBERT's vocab.txt."""
    module, tokenize = bert.pair(
        Medclip, record, files, random_init=random_init, text="text_model.model", current=current, unstored=UNSTORED
    )
    scale = module.logit_scale.detach().clamp(0, WARMEST).exp().item()
    return Towers(module.vision_model, module.text_model, tokenize, scale)


def current(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return the published checkpoint under the names that the installed transformers gives to a Swin block."""
    if any(".attention.self." in name for name in module.state_dict() if name.startswith("vision_model.")):
        return dict(state)
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("vision_model."):
            for published, new in RENAMED:
                name = name.replace(published, new)
        renamed[name] = tensor
    return renamed

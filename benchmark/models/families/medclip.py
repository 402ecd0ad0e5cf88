"""MedCLIP: Swin-T or ResNet-50 beside Bio_ClinicalBERT, both projected to 512 (Wang et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.models.components import bert
from benchmark.models.components.files import Files
from benchmark.models.components.packages import package
from benchmark.models.model import Towers
from benchmark.models.record import Bert, ModelFile, ModelRecord, Preprocessing
from pipeline.errors import UserError

MEAN, STD = 0.5862785803043838, 0.27950088968644304
"""RyanWangZf/MedCLIP, medclip/constants.py, IMG_MEAN and IMG_STD, of grey chest radiographs."""

MAX_LOG_SCALE = 4.6052
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

COMPUTED = (*bert.COMPUTED, ".relative_position_index")

VIT = ModelRecord(
    name="medclip",
    title="MedCLIP ViT",
    parameters=136.6,
    family="medclip",
    architecture="swin-tiny-patch4-window7-224",
    files=(
        ModelFile(name="pytorch_model.bin", origin="https://storage.googleapis.com/pytrial/medclip-vit-pretrained.zip"),
        ModelFile(
            name=bert.VOCABULARY,
            repo="emilyalsentzer/Bio_ClinicalBERT",
            revision="d5892b39a4adaed74b92212a44081509db72f87b",
        ),
    ),
    preprocessing=Preprocessing(size=224, mean=(MEAN, MEAN, MEAN), std=(STD, STD, STD), resize="pad", grey=True),
    context_length=77,
    embedding=512,
    lora_targets=r".*\.attention\.(q_proj|k_proj|v_proj)",
    licence="none stated (MIT until commit 8bb9800 of its repository; its setup.py says BSD)",
    citation="Wang et al., MedCLIP: Contrastive Learning from Unpaired Medical Images and Text, EMNLP 2022",
    sources=("RyanWangZf/MedCLIP, medclip/constants.py, dataset.py, modeling_medclip.py and medclip_vit_weight.txt",),
    # 28996 words in BERT's cased vocabulary, which Bio_ClinicalBERT keeps (Devlin et al. 2019; Alsentzer et al. 2019).
    # It is cased, yet transformers' AutoTokenizer lowercases for it, having no configuration to the contrary
    # (EmilyAlsentzer/clinicalBERT, issue 26); MedCLIP was trained on such tokens.
    bert=Bert(vocabulary=28996, width=768, layers=12, lowercase=True),
    notes="Its archive is not on the Hub: unpack it and give the folder. Sees every image in grey.",
)

RESNET = VIT.changed(
    name="medclip-resnet",
    title="MedCLIP ResNet-50",
    parameters=133.3,
    architecture="resnet50",
    files=(
        ModelFile(name="pytorch_model.bin", origin="https://storage.googleapis.com/pytrial/medclip-pretrained.zip"),
        *VIT.files[1:],
    ),
    # all 49 convolutions but the shortcuts', as BioMedIA-MBZUAI/RobustMedCLIP, utils.py, `LoRA_resnet`, since 88afd04
    lora_targets=r"model\.(conv1|layer[1-4]\.\d+\.conv[123])",
    sources=(
        "RyanWangZf/MedCLIP, medclip/constants.py, dataset.py, modeling_medclip.py and medclip_resnet_weight.txt",
    ),
)

RECORDS = (VIT, RESNET)


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

    Attributes:
        counts_padding: average over padding too.
    """

    counts_padding = False

    def __init__(self, size: Bert, embedding: int) -> None:
        super().__init__()
        self.model = bert.network(size, pooler=True)
        self.projection_head = nn.Linear(size.width, embedding, bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        tokens = torch.stack([states[layer] for layer in LAYERS]).mean(0)
        own = (torch.ones_like(attention_mask) if self.counts_padding else attention_mask)[..., None].to(tokens.dtype)
        projected: Tensor = self.projection_head((tokens * own).sum(1) / own.sum(1))
        return projected


TOWERS = {"swin-tiny-patch4-window7-224": SwinTower, "resnet50": ResnetTower}


class MedClip(nn.Module):
    """Both towers under the names of the published checkpoint."""

    def __init__(self, record: ModelRecord, size: Bert) -> None:
        super().__init__()
        if record.architecture not in TOWERS:
            raise UserError(f"MedCLIP has no image tower {record.architecture!r}; has {', '.join(TOWERS)}")
        self.vision_model = TOWERS[record.architecture](record.embedding)
        self.text_model = TextTower(size, record.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())  # `logit_scale_init_value`, same file


def build(record: ModelRecord, files: Files, *, random_init: bool) -> Towers:
    """Make MedCLIP from pytorch_model.bin and Bio_ClinicalBERT's vocab.txt."""
    model, tokenize = bert.build_pair(
        MedClip, record, files, random_init=random_init, text="text_model.model", rename=rename, computed=COMPUTED
    )
    scale = model.logit_scale.detach().clamp(0, MAX_LOG_SCALE).exp().item()
    return Towers(model.vision_model, model.text_model, tokenize, scale)


def rename(name: str) -> str:
    """Return the name that transformers 5 has for a tensor of the published checkpoint."""
    if name.startswith("vision_model."):
        for published, current in RENAMED:
            name = name.replace(published, current)
    return name

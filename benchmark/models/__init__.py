"""The models that are scored: a record says what is known of one, `load` makes it, and three methods are all it does.

    model = load("biomedclip", device="cuda")
    pixels = model.preprocess(images)              # uint8 (N, H, W, 3), array or tensor -> float32 (N, 3, S, S)
    features = model.encode_images(pixels)         # float32 (N, D), unit length
    texts = model.encode_texts(["a photo of .."])  # float32 (K, D), unit length
    logits = model.logit_scale * features @ texts.T

A family is a module of `families`: its records stand beside the code that builds them, and the registry finds both.
LoRA goes on ``model.image_tower``, which may be replaced by its PEFT wrapping.
"""

from __future__ import annotations

from benchmark.models.record import AdapterRecord, Bert, ModelFile, ModelRecord, Preprocessing
from benchmark.models.registry import find_record, load, records

__all__ = [
    "AdapterRecord",
    "Bert",
    "ModelFile",
    "ModelRecord",
    "Preprocessing",
    "find_record",
    "load",
    "records",
]

"""The models that are scored: a record says what is known of one, `load` makes it, and three methods are all it does.

    model = load("biomedclip", device="cuda")
    pixels = model.preprocess(images)              # uint8 (N, H, W, 3), array or tensor -> float32 (N, 3, S, S)
    features = model.encode_images(pixels)         # float32 (N, D), unit length
    texts = model.encode_texts(["a photo of .."])  # float32 (K, D), unit length
    logits = model.logit_scale * features @ texts.T

A family is a module here with ``build(record, files, *, random_init) -> Towers``; it alone knows its architecture, file
format and tokenizer. LoRA goes on ``model.image_tower``, which may be replaced by its PEFT wrapping.
"""

from __future__ import annotations

from benchmark.models.model import Model, Towers, load
from benchmark.models.record import File, ModelError, Record, View
from benchmark.models.zoo import NAMES, PINNED, RECORDS, record

__all__ = ["NAMES", "PINNED", "RECORDS", "File", "Model", "ModelError", "Record", "Towers", "View", "load", "record"]

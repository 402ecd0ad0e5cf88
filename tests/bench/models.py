"""Images per second and peak memory of each kind of model: `python -m tests.bench.models`, `make bench-models`.

Every model is of its library's own class with random weights, saved as its repositories are, and its image tower is a
ViT of one size (`VISION`), so that the rows differ by what else the kind does. All take turns in one process: "ours"
goes from uint8 images to the logits of `CLASSES` classes, "forward" is the library's image tower alone on pixels that
are ready (a generative model's pass over image and question). Peak memory is that of a process of its own that only
makes the model and predicts, libraries included; on a GPU it is what torch allocated there. A kind whose library is not
installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch

from benchmark.models import load
from benchmark.models.components.packages import package
from benchmark.models.generative import GenerativeModel, Question
from benchmark.models.model import Model
from benchmark.tuning.probing import Head
from pipeline.io.records import write_json
from pipeline.workspace.cell import SIZE
from tests.bench.timing import Row, Work, machine, measured, photographs
from tests.benchmark.models import tiny_vlms
from tests.benchmark.models.conftest import write_tokenizer

CLASSES = 4
VISION = {
    **{"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 12, "num_attention_heads": 3},
    **{"image_size": SIZE, "patch_size": 16},
}
"""ViT-Ti/16 (Touvron et al. 2021, table 1)."""

TEXT = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 3}
NAMES = [letter * 3 for letter in ascii_lowercase[:CLASSES]]
SQUARE = {"height": SIZE, "width": SIZE}


def _random(network: Any) -> Any:
    """Draw weights that are far enough from nothing for two prompts to have features of their own."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def hub_clip(folder: Path) -> str:
    """Write a CLIP of transformers."""
    transformers = package("transformers")
    write_tokenizer(folder, length=77)
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 60, "max_position_embeddings": 77}
    config = transformers.CLIPConfig(text_config={**TEXT, **ids}, vision_config=VISION, projection_dim=192)
    _random(transformers.CLIPModel(config)).save_pretrained(folder)
    transformers.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SQUARE).save_pretrained(folder)
    return "hub:someone/clip"


def hub_siglip(folder: Path) -> str:
    """Write a SigLIP of transformers; its prompts are filled up to 64 tokens."""
    transformers = package("transformers")
    ids = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "vocab_size": 64, "max_position_embeddings": 64}
    text = {**TEXT, **ids, "projection_size": 192}
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=VISION))
    _random(model).save_pretrained(folder)
    letters = {letter: k for k, letter in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", *ascii_lowercase, "\u2581"])}
    transformers.Siglip2Tokenizer(vocab=letters, merges=[], model_max_length=64).save_pretrained(folder)
    transformers.SiglipImageProcessorPil(size=SQUARE).save_pretrained(folder)
    return "hub:someone/siglip"


def open_clip(folder: Path) -> str:
    """Write a CLIP of open_clip."""
    from safetensors.torch import save_file

    vision = {"image_size": SIZE, "layers": 12, "width": 192, "head_width": 64, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 192, "heads": 3, "layers": 4}
    config = {"embed_dim": 192, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    state = package("open_clip").CLIP(**config).state_dict()
    tensors = {name: tensor.contiguous() for name, tensor in state.items() if name != "attn_mask"}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return "open_clip:hf-hub:someone/clip"


def vlm(folder: Path) -> str:
    """Write a LLaVA: 196 tokens an image, a Llama of the text side's size."""
    words = {**TEXT, "num_key_value_heads": 3, "max_position_embeddings": 4096}
    network, processor = tiny_vlms.llava(vision=VISION, text=words)
    _random(network).save_pretrained(folder)
    processor.save_pretrained(folder)
    return "vlm:someone/llava"


def encoder(folder: Path) -> str:
    """Write a DINOv2 of transformers, to be scored with a linear probe."""
    transformers = package("transformers")
    sizes = {key: value for key, value in VISION.items() if key != "intermediate_size"}
    _random(transformers.Dinov2Model(transformers.Dinov2Config(**sizes))).save_pretrained(folder)
    transformers.BitImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SQUARE).save_pretrained(folder)
    return "encoder:someone/dinov2"


KINDS: dict[str, Callable[[Path], str]] = {
    "hub: CLIP": hub_clip,
    "hub: SigLIP": hub_siglip,
    "open_clip: CLIP": open_clip,
    "vlm: LLaVA": vlm,
    "encoder: DINOv2, linear probe": encoder,
}


LIBRARIES = {open_clip: "open_clip"}
"""What a kind needs beside the extra ``benchmark``."""


def _is_installed(kind: str) -> bool:
    library = LIBRARIES.get(KINDS[kind])
    if library is None or importlib.util.find_spec(library) is not None:
        return True
    print(f"{kind} is left out: {library} is not installed")
    return False


def works(kind: str, count: int, batch: int, device: str) -> dict[str, Work]:
    """Make the model of a kind, and return what its row measures."""
    torch.manual_seed(0)
    images = photographs(count)
    with tempfile.TemporaryDirectory() as folder:
        model = load(KINDS[kind](Path(folder)), weights_dir=folder, device=device)
    if isinstance(model, GenerativeModel):
        return _generative(model, images, batch)
    return _towers(model, images, batch)


def _batched(step: Callable[[Any], object], images: Any, batch: int, device: torch.device) -> Work:
    """Return the work of one step after another, half precision on a GPU as `predict` has it."""

    def work() -> int:
        kind = device.type
        with torch.inference_mode(), torch.autocast(kind, torch.float16, enabled=kind == "cuda"):
            for start in range(0, len(images), batch):
                step(images[start : start + batch])
        if kind == "cuda":
            torch.cuda.synchronize(device)
        return len(images)

    return work


def _towers(model: Model, images: Any, batch: int) -> dict[str, Work]:
    with torch.inference_mode():
        pixels = model.preprocess(images)
        if model.record.kind == "encoder":
            weight = np.random.default_rng(0).normal(size=(CLASSES, model.record.embedding)).astype(np.float32)
            head = Head(weight, np.zeros(CLASSES, np.float32))

            def classify(part: Any) -> object:
                return head.logits(model.encode_images(model.preprocess(part)).float().cpu().numpy())
        else:
            texts = model.encode_texts([f"a photo of {name}" for name in NAMES])

            def classify(part: Any) -> object:
                return model.logits(model.encode_images(model.preprocess(part)), texts).cpu()

    return {
        "ours": _batched(classify, images, batch, model.device),
        "forward": _batched(model.image_tower, pixels, batch, model.device),
    }


def _generative(model: GenerativeModel, images: Any, batch: int) -> dict[str, Work]:
    orders = [[*NAMES[k:], *NAMES[:k]] for k in range(CLASSES)]
    closed_set = Question(model, ["Which one is it?\n" + "\n".join(order) for order in orders], NAMES)
    _, inputs = closed_set.shared_inputs(images)

    def forward(rows: range) -> object:
        part = {name: value[rows.start : rows.stop] for name, value in inputs.items()}
        return model.network(**part, use_cache=False, logits_to_keep=1)

    return {
        "ours": _batched(closed_set.log_likelihoods, images, batch, model.device),
        "forward": _batched(forward, range(len(images)), batch, model.device),
    }


def peak(kind: str, *, count: int, batch: int, device: str) -> float:
    """Return the peak memory, MB, of a process that makes a model and predicts `count` images."""
    options = ["--images", str(count), "--batch", str(batch), "--device", device]
    command = [sys.executable, "-m", "tests.bench.models", "--peak", kind, *options]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _own_peak(kind: str, count: int, batch: int, device: str) -> float:
    works(kind, count, batch, device)["ours"]()
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: list[str] | None = None) -> int:
    """Measure, print a line for each kind and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--images", type=int, default=32, help="photographs (default %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="images of one forward pass (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default %(default)s)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("build/bench/models.json"))
    parser.add_argument("--peak", choices=list(KINDS), help="print the peak memory of this kind alone, in MB")
    given = parser.parse_args(argv)
    if given.peak:
        print(_own_peak(given.peak, given.images, given.batch, given.device))
        return 0
    clock = time.perf_counter if given.device.startswith("cuda") else time.process_time
    kinds = [kind for kind in given.kinds if _is_installed(kind)]
    # first, since a process starts with the peak of the one that it comes from
    peaks = {kind: peak(kind, count=given.images, batch=given.batch, device=given.device) for kind in kinds}
    contenders = {kind: works(kind, given.images, given.batch, given.device) for kind in kinds}
    turns = {f"{kind}, {who}": work for kind, row in contenders.items() for who, work in row.items()}
    rates = measured(turns, given.rounds, clock)
    rows: dict[str, Row] = {kind: {who: rates[f"{kind}, {who}"] for who in row} for kind, row in contenders.items()}
    first = next(iter(rows.values()))["ours"].median
    print(f"{'kind':32}{'images/s':>10}{'of the first':>14}{'of forward':>12}{'peak MB':>9}")
    for kind, row in rows.items():
        own, forward = row["ours"].median, row["forward"].median
        print(f"{kind:32}{own:10.1f}{own / first:14.2f}{own / forward:12.2f}{peaks[kind]:9.0f}")
    result = {
        "machine": machine(),
        "unit": "224 x 224 x 3 images per second of CPU time (on a GPU, of wall time): median, slowest and fastest",
        "device": torch.cuda.get_device_name(given.device) if given.device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "images": given.images,
        "batch": given.batch,
        "rounds": given.rounds,
        "classes": CLASSES,
        "rows": {kind: {who: t._asdict() for who, t in row.items()} for kind, row in rows.items()},
        "peak MB": peaks,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.output, result)
    print(f"wrote {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

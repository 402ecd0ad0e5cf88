"""Pre-train phantom-clip on the phantom's first acquisition domain, all data sets together.

Each image is told apart from the sentences of its own data set's classes and of everybody's, a template drawn a step.
Only its position and mirror image are varied: photometric augmentation would erase the gap between the two domains,
which is what adapting to the second one is about. Writes data/models/phantom-clip/, whole or absent.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.data import pool
from benchmark.data.classes import class_columns, own_columns
from benchmark.data.pool import Pool
from benchmark.data.prompts import TEMPLATES, Prompts, prompts
from benchmark.models import phantom_clip, pixels
from pipeline.config import Benchmark, Pretrain, read_config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.io.records import write_json
from pipeline.paths import Workspace
from pipeline.run import command_line

SHIFT = 16
"""Pixels that an image is moved at most, edges replicated."""


def pretrain(root: Path | str) -> dict[str, Any]:
    """Train both towers and write the checkpoint and its record; return the record.

    The same parameters, images, machine and thread count give the same weights.
    """
    workspace = Workspace(root)
    given = read_config(workspace)
    chosen = given.benchmark
    bases = {tuned.base for tuned in chosen.tuned.values()}
    if phantom_clip.RECORD.name not in {*chosen.models, *bases}:
        print("pretrain: no model of params.yaml is phantom-clip or tuned from it; nothing to do")
        write_json(workspace.model(phantom_clip.RECORD.name) / "pretrain.json", {"skipped": "not among the models"})
        return {}
    if given.source != "phantom":
        raise UserError(f"phantom-clip is pre-trained on the phantom, and params.yaml has source: {given.source}")
    named = [prompts(workspace, name, templates="ensemble") for name in given.datasets]
    images = Pool([pool.part(workspace, name, "pretrain") for name in given.datasets])
    started = time.monotonic()
    image, text, scale = train(images, named, chosen.pretrain)
    seconds = time.monotonic() - started
    held = Pool([pool.part(workspace, name, "pretest") for name in given.datasets])
    record: dict[str, Any] = {
        "images": len(images),
        "parameters": sum(p.numel() for tower in (image, text) for p in tower.parameters()),
        "pretest_accuracy": accuracies(image, text, held, named),
        "settings": chosen.pretrain.model_dump(mode="json"),
    }
    _write(workspace, chosen, image, text, scale, record)
    mean = np.mean(list(record["pretest_accuracy"].values()))
    print(f"phantom-clip: {mean:.1%} mean zero-shot accuracy on the first domain, {seconds:.0f} s of training")
    return record


def train(
    images: Pool, named: Sequence[Prompts], how: Pretrain
) -> tuple[phantom_clip.ImageTower, phantom_clip.TextTower, Tensor]:
    """Return the towers and the logarithm of the logit scale, trained on `images` of the data sets `named`."""
    image, text = phantom_clip.towers(seed=how.seed)
    log_scale = torch.nn.Parameter(torch.tensor(math.log(20.0)))
    matrices = [p for tower in (image, text) for p in tower.parameters() if p.ndim > 1]
    vectors = [p for tower in (image, text) for p in tower.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": [*vectors, log_scale], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=how.learning_rate, weight_decay=how.weight_decay)
    steps = how.epochs * math.ceil(len(images) / how.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, steps, warmup=0.1))
    columns = {
        t: class_columns([p.class_names for p in named], [[s[t] for s in p.sentences] for p in named])
        for t in range(len(TEMPLATES["ensemble"]))
    }
    rng, started = np.random.default_rng((how.seed, 1)), time.monotonic()
    with command_line.progress(total=steps, desc="pretrain", unit="step") as bar:
        for epoch in range(how.epochs):
            losses = []
            order = rng.permutation(len(images))
            for start in range(0, len(order), how.batch):
                places = order[start : start + how.batch]
                template = int(rng.integers(len(columns)))
                batch = _moved(images, places, rng)
                words = phantom_clip.tokenize([s[template] for p in named for s in p.sentences])
                logits = log_scale.exp() * functional.normalize(image(batch)) @ functional.normalize(text(**words)).T
                loss = contrast(logits, images, places, *columns[template])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_([*matrices, *vectors], 1.0)
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    log_scale.clamp_(max=math.log(100.0))  # as CLIP does (Radford et al. 2021, section 2.5)
                losses.append(loss.item())
                bar.update()
            left = time_left(epoch + 1, how.epochs, time.monotonic() - started)
            bar.write(f"epoch {epoch + 1} of {how.epochs}: loss {np.mean(losses):.3f}; {left}")
    return image.eval(), text.eval(), log_scale.detach()


def contrast(logits: Tensor, images: Pool, places: NDArray[np.int64], starts: Tensor, allowed: Tensor) -> Tensor:
    """Return the mean of two cross entropies: among the image's own data set's classes, and among everybody's."""
    sets = torch.from_numpy(images.sets[places])
    target = starts[sets] + torch.from_numpy(images.labels[places])
    everybody = functional.cross_entropy(logits.masked_fill(~allowed[sets], -1e4), target)
    own = own_columns(starts, logits.shape[1])[sets]
    return (everybody + functional.cross_entropy(logits.masked_fill(~own, -1e4), target)) / 2


def warm_cosine(step: int, steps: int, *, warmup: float) -> float:
    """Return the fraction of the learning rate at `step`: linear over the first `warmup`, then a half cosine to 0."""
    rise = max(1, int(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def time_left(done: int, all_of_it: int, seconds: float) -> str:
    """Return in words how long the rest takes if it goes on as `done` of it did, which took `seconds`."""
    left = round(seconds / done * (all_of_it - done))
    return f"about {left // 60} min {left % 60} s left" if left >= 60 else f"about {left} s left"


def _moved(images: Pool, places: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Return images by number as the tower takes them, each moved a little and mirrored where its card allows that."""
    made = np.empty((len(places), 224, 224, 3), np.uint8)
    for row, place in enumerate(places):
        down, right = rng.integers(-SHIFT, SHIFT + 1, 2)
        flips = rng.integers(0, 2, 2).astype(bool) & pool.mirror(images.datasets[images.sets[place]])
        one = images.native(place)
        ys, xs = (np.clip(np.arange(224) + by, 0, 223) for by in (down, right))
        made[row] = one[(ys[::-1] if flips[1] else ys)[:, None], xs[::-1] if flips[0] else xs]
    return pixels.prepare(made, phantom_clip.RECORD.view)


def accuracies(
    image: phantom_clip.ImageTower, text: phantom_clip.TextTower, held: Pool, named: Sequence[Prompts]
) -> dict[str, float]:
    """Return the zero-shot accuracy on each data set of `held`, with the ensemble of templates."""
    found = {}
    with torch.inference_mode():
        for k, chosen in enumerate(named):
            words = phantom_clip.tokenize([s for group in chosen.sentences for s in group])
            features = functional.normalize(text(**words)).reshape(len(chosen.class_names), -1, phantom_clip.EMBEDDING)
            centres = functional.normalize(features.mean(dim=1))
            places = np.flatnonzero(held.sets == k)
            right = 0
            for start in range(0, len(places), 64):
                group = places[start : start + 64]
                batch = pixels.prepare(held.read(group), phantom_clip.RECORD.view)
                guesses = (functional.normalize(image(batch)) @ centres.T).argmax(dim=1).numpy()
                right += int((guesses == held.labels[group]).sum())
            found[chosen.dataset] = right / max(1, len(places))
    return found


def _write(
    workspace: Workspace, chosen: Benchmark, image: Any, text: Any, scale: Tensor, record: dict[str, Any]
) -> None:
    folder = workspace.model(phantom_clip.RECORD.name)
    tensors = {f"image.{k}": v.contiguous() for k, v in image.state_dict().items()}
    tensors |= {f"text.{k}": v.contiguous() for k, v in text.state_dict().items()}
    with atomic_write(folder / phantom_clip.WEIGHTS) as handle:
        handle.write(safetensors.torch.save({**tensors, "log_scale": scale.reshape(())}))
    write_json(folder / "pretrain.json", record)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    given = command_line.parser(__doc__).parse_args(argv)

    def work() -> None:
        pretrain(given.root)

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())

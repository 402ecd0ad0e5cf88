"""Pre-train the two towers of a small CLIP against each other, on the phantom's first acquisition domain."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.data.classes import ClassColumns, class_columns, masked_cross_entropy
from benchmark.data.pool import Ints, Pool, Subset, open_subset
from benchmark.data.prefetch import prefetch
from benchmark.data.prompts import TEMPLATES, Prompts, prompts, prompts_of
from benchmark.models.components.preprocessing import preprocess
from benchmark.models.families import phantom_clip
from benchmark.models.record import ModelRecord
from benchmark.tuning.geometry import may_mirror, shift_and_mirror
from benchmark.tuning.records import TRAINING_VERSION
from benchmark.tuning.schedule import time_left, warm_cosine
from pipeline.config.benchmark import Pretrain
from pipeline.config.params import Config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.run.progress import progress
from pipeline.sources import phantom
from pipeline.sources.phantom.random_state import DRAWING_VERSION
from pipeline.workspace import manifest
from pipeline.workspace.datasets import card
from pipeline.workspace.paths import Workspace


def training_key(workspace: Workspace, config: Config, of_datasets: Sequence[Prompts]) -> str:
    """Return a checksum of all that a model's weights depend on, beside its architecture."""
    images: list[Any] = [
        manifest.read_prepared(workspace, dataset).split("pretrain").model_dump(mode="json")
        for dataset in config.datasets_of("phantom")
    ]
    values = {
        "version": TRAINING_VERSION,
        "settings": Pretrain(**config.benchmark.pretrain.model_dump()).model_dump(mode="json"),
        "prompts": [p.model_dump(mode="json") for p in of_datasets],
        "mirror": [may_mirror(p.dataset, "phantom") for p in of_datasets],
        "images": images or [DRAWING_VERSION, config.seed, config.counts.pretrain],
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def prompts_of_phantom(workspace: Workspace, config: Config) -> list[Prompts]:
    """Return the prompts of the phantom's data sets: those of params.yaml, or all if it has none."""
    if names := config.datasets_of("phantom"):
        return [prompts(workspace, name) for name in names]
    return [prompts_of(name, card(name).classes, "phantom") for name in phantom.DATASETS]


def pool_of_phantom(workspace: Workspace, config: Config, split: str) -> Pool:
    """Return a split of the same data sets, as ``prepare`` wrote it, or drawn now into memory."""
    if names := config.datasets_of("phantom"):
        return Pool([open_subset(workspace, name, split) for name in names])
    drawn = []
    for name in progress(phantom.DATASETS, desc=f"draw {split}", unit="data set"):
        clean = phantom.load(name, split, count=getattr(config.counts, split), seed=config.seed)
        rows = np.arange(len(clean.labels))
        drawn.append(Subset(name, split, clean.read(rows.tolist()), clean.labels, rows))
    return Pool(drawn)


class Pretrained(NamedTuple):
    """Both towers, and the logarithm of the logit scale."""

    image: nn.Module
    text: phantom_clip.TextTower
    log_scale: Tensor

    @property
    def parameters(self) -> int:
        """Number of both towers' parameters."""
        return sum(p.numel() for tower in (self.image, self.text) for p in tower.parameters())

    def save(self, folder: Path) -> None:
        """Write the checkpoint into the model's folder, whole or absent."""
        tensors = {f"image.{name}": tensor.contiguous() for name, tensor in self.image.state_dict().items()}
        tensors |= {f"text.{name}": tensor.contiguous() for name, tensor in self.text.state_dict().items()}
        with atomic_write(folder / phantom_clip.WEIGHTS) as handle:
            handle.write(safetensors.torch.save({**tensors, "log_scale": self.log_scale.reshape(())}))


class Step(NamedTuple):
    """Images at some positions of the pool as the tower takes them, and the number of a template."""

    positions: Ints
    template: int
    images: Tensor


def train(record: ModelRecord, pool: Pool, prompts: Sequence[Prompts], settings: Pretrain) -> Pretrained:
    """Train both towers of a model on `pool`, the `prompts` being of its data sets in order.

    Each image is told apart from the sentences of its own data set's classes and of everybody's, in a template drawn
    at each step. The same arguments, machine and number of threads give the same weights.
    """
    image, text = phantom_clip.towers(record, seed=settings.seed)
    log_scale = torch.nn.Parameter(torch.tensor(math.log(20.0)))
    matrices = [p for tower in (image, text) for p in tower.parameters() if p.ndim > 1]
    vectors = [p for tower in (image, text) for p in tower.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": [*vectors, log_scale], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * math.ceil(len(pool) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, steps, warmup=0.1))
    templates = range(len(TEMPLATES["ensemble"]))
    columns = [class_columns(prompts, template=t) for t in templates]
    words = [phantom_clip.tokenize([s[t] for p in prompts for s in p.sentences]) for t in templates]
    rng, started = np.random.default_rng((settings.seed, 1)), time.monotonic()
    with progress(total=steps, desc="pretrain", unit="step") as bar:
        for epoch in range(settings.epochs):
            losses = []
            for batch in prefetch(_batches(pool, settings.batch, len(templates), rng)):
                text_features = functional.normalize(text(**words[batch.template]))
                logits = log_scale.exp() * functional.normalize(image(batch.images)) @ text_features.T
                loss = contrastive_loss(logits, pool, batch.positions, columns[batch.template])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_([*matrices, *vectors], 1.0)
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    log_scale.clamp_(max=math.log(100.0))  # as CLIP does (Radford et al. 2021, section 2.5)
                losses.append(loss.item())
                if not math.isfinite(losses[-1]):
                    raise UserError(
                        f"the loss of pre-training is {losses[-1]} in epoch {epoch + 1}, not a finite number;"
                        " a smaller benchmark.pretrain.learning_rate may help"
                    )
                bar.update()
            left = time_left(epoch + 1, settings.epochs, time.monotonic() - started)
            bar.write(f"epoch {epoch + 1} of {settings.epochs}: loss {np.mean(losses):.3f}; {left}")
    return Pretrained(image.eval(), text.eval(), log_scale.detach())


def contrastive_loss(logits: Tensor, pool: Pool, positions: Ints, columns: ClassColumns) -> Tensor:
    """Return the mean of two cross entropies: among the image's own data set's classes, and among everybody's."""
    dataset_ids = torch.from_numpy(pool.dataset_ids[positions])
    targets = columns.starts[dataset_ids] + torch.from_numpy(pool.labels[positions])
    everybody = masked_cross_entropy(logits, columns.distinct[dataset_ids], targets)
    return (everybody + masked_cross_entropy(logits, columns.own[dataset_ids], targets)) / 2


def accuracies(towers: Pretrained, pool: Pool, prompts: Sequence[Prompts]) -> dict[str, float]:
    """Return the zero-shot accuracy on each data set of `pool`, with the ensemble of templates."""
    result = {}
    with torch.inference_mode():
        for dataset_id, of_dataset in enumerate(prompts):
            words = phantom_clip.tokenize([s for group in of_dataset.sentences for s in group])
            features = functional.normalize(towers.text(**words))
            features = features.reshape(len(of_dataset.class_names), -1, phantom_clip.EMBEDDING)
            centres = functional.normalize(features.mean(dim=1))
            positions = np.flatnonzero(pool.dataset_ids == dataset_id)
            right = 0
            for start in range(0, len(positions), 64):
                some = positions[start : start + 64]
                images = preprocess(pool.read(some), phantom_clip.RECORD.preprocessing)
                guesses = (functional.normalize(towers.image(images)) @ centres.T).argmax(dim=1).numpy()
                right += int((guesses == pool.labels[some]).sum())
            result[of_dataset.dataset] = right / max(1, len(positions))
    return result


def _batches(pool: Pool, size: int, templates: int, rng: np.random.Generator) -> Iterator[Step]:
    """Yield an epoch's batches.

    Only position and mirror image vary: photometric augmentation would erase the gap between the two domains, which
    is what adapting to the second one is about.
    """
    order = rng.permutation(len(pool))
    for start in range(0, len(order), size):
        positions = order[start : start + size]
        template = int(rng.integers(templates))
        images = shift_and_mirror(pool, positions, rng)
        yield Step(positions, template, preprocess(images, phantom_clip.RECORD.preprocessing))

"""Tune a model's image tower with LoRA, from epoch to epoch, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.data.classes import class_columns, class_features, masked_cross_entropy
from benchmark.data.pool import Images, Ints, Pool
from benchmark.data.prefetch import prefetch
from benchmark.data.prompts import prompts
from benchmark.models import loading, protocol
from benchmark.models.devices import parse_device
from benchmark.tuning.adapters import add_lora
from benchmark.tuning.augmentation import RandomCorruption
from benchmark.tuning.geometry import RandomCropAndMirror, may_mirror
from benchmark.tuning.records import TRAINING_VERSION, EpochRecord, TuneRecord
from benchmark.tuning.schedule import time_left, warm_cosine
from benchmark.tuning.shots import balanced_order, choose_images, count_overlap
from corruptions.table import BYTES_VERSION
from pipeline.config.params import Config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.run.progress import progress as progress_bar
from pipeline.workspace.paths import Workspace

_DAMAGED = (RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError)
"""What torch and pydantic raise for a checkpoint that was cut or edited."""


@dataclass
class Progress:
    """Where a run stands: its epochs, and the weights of the best one by name."""

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)


class Tuning:
    """One run: the model with its LoRA, and what it sees.

    Attributes:
        settings: all settings of the tuned model.
        model: the base with LoRA on its image tower.
        weights: LoRA's, by name.
        shots, held: images that are tuned on, and those that choose the epoch, if there are some.
        overlap: pairs of equal images with two uses, where that is allowed.
        corruption: the augmentation, if the model is trained with it.
        protocol: of params.yaml; ``robustmedclip`` takes that code's view, prompts, order, learning rate and loss.
        key: checksum of all that the weights depend on; a checkpoint with another one is not resumed.
    """

    def __init__(self, workspace: Workspace, config: Config, name: str) -> None:
        if name not in config.benchmark.tuned:
            choices = ", ".join(config.benchmark.tuned) or "none"
            raise UserError(f"params.yaml tunes no {name!r}; have {choices}")
        self.settings = config.benchmark.settings(name)
        self.protocol = config.benchmark.protocol
        self._is_reference = self.protocol == "robustmedclip"
        self.name, self.workspace = name, workspace
        self.images = choose_images(workspace, config, self.settings)
        self.shots, self.held = self.images.shots, self.images.held
        self.overlap = count_overlap(workspace, config, self.images, allowed=self.settings.allow_overlap)
        self.device = parse_device(config.benchmark.device)
        self.model = loading.load_towers(workspace, config.benchmark, self.settings.base, device=self.device)
        if self._is_reference:
            protocol.follow(self.model, is_tuned=True)
        self.corruption: RandomCorruption | None = None
        if self.settings.augment:
            self.corruption = RandomCorruption(
                config.benchmark.trained,
                strength=self.settings.strength,
                profile=config.profile,
                columns=config.columns,
            )
        size = self.model.record.preprocessing.size
        self._move = RandomCropAndMirror(
            size, {name: config.source_of(name) for name in config.datasets}, as_reference=self._is_reference
        )
        templates = "robustmedclip-tuning" if self._is_reference else config.benchmark.prompts
        self._prompts = [prompts(workspace, dataset, templates=templates) for dataset in config.datasets]
        self._columns = class_columns(self._prompts)
        together = [self._prompts] if self._is_reference else [[of_dataset] for of_dataset in self._prompts]
        self.features = torch.cat([class_features(self.model, *group) for group in together])
        self.key = self._key(config)
        self.tower = add_lora(self.model, self.settings)
        self.weights: dict[str, Tensor] = {n: p for n, p in self.tower.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.weights.values(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            foreach=False,
        )

    @property
    def checkpoint_path(self) -> Path:
        """File that an interrupted run goes on from."""
        return self.workspace.model(self.name) / "checkpoint.pt"

    def _key(self, config: Config) -> str:
        values = {
            "version": TRAINING_VERSION,
            "settings": self.settings.model_dump(mode="json"),
            "base": self.model.checksum(),
            "mirror": [may_mirror(dataset, config.source_of(dataset)) for dataset in config.datasets],
            "corruption": self.corruption
            and [BYTES_VERSION, vars(self.corruption), self.corruption.strengths(config.datasets)],
            "prompts": [p.model_dump(mode="json") for p in self._prompts],
            "images": self.images.entries(self.workspace),
            "torch": torch.__version__,
        }
        digest = hashlib.sha256(self.features.cpu().numpy().tobytes())
        digest.update(json.dumps(values, sort_keys=True).encode())
        return digest.hexdigest()

    def run(self, *, stop_after: int | None = None) -> Progress:
        """Train to the end, or until `stop_after` epochs are done. Resumes where a run stopped."""
        progress, epochs = self.resume(), self.settings.epochs
        first, started = len(progress.history), time.monotonic()
        bar = progress_bar(range(first, epochs), desc=f"tune {self.name}", unit="epoch")
        for epoch in bar:
            line = EpochRecord(epoch=epoch + 1, loss=self._epoch(epoch))
            is_last = is_best = line.epoch == epochs
            if self.held is not None:
                is_best = False
                if is_last or line.epoch % self.settings.validate_every == 0:
                    scores = self.validate()
                    line = line.changed(**scores)
                    is_best = scores["validation"] > progress.best_score
                    progress.best_score = max(progress.best_score, scores["validation"])
            if is_best:
                progress.best_epoch = line.epoch
                progress.best = {name: w.detach().cpu().clone() for name, w in self.weights.items()}
            progress.history.append(line)
            self._checkpoint(progress)
            if line.validation is not None or epoch == first:
                left = time_left(line.epoch - first, epochs - first, time.monotonic() - started)
                score = "" if line.validation is None else f", validation {line.validation:.1%}"
                bar.write(f"epoch {line.epoch} of {epochs}: loss {line.loss:.3f}{score}; {left}")
            if stop_after is not None and line.epoch >= stop_after:
                break
        return progress

    def keep_best(self, progress: Progress) -> TuneRecord:
        """Put the weights of the best epoch in place, scaled as validates best, and return the record of the run."""
        self._restore(progress.best)
        scales = {} if self.held is None else self.choose_scale(progress.best_score)
        return TuneRecord(
            base=self.settings.base,
            settings=self.settings,
            shots={subset.dataset: tuple(subset.indices.tolist()) for subset in self.shots.subsets},
            corruptions=() if self.corruption is None else self.corruption.names,
            parameters=sum(weight.numel() for weight in self.weights.values()),
            history=tuple(progress.history),
            best_epoch=progress.best_epoch,
            scales=scales,
            scale=_best(scales) if scales else 1.0,
            chosen_on=self.images.chosen_on,
            held_images=0 if self.held is None else len(self.held),
            overlap=self.overlap,
            device=self.device.type,
            protocol=self.protocol,
            key=self.key,
        )

    def choose_scale(self, full_score: float) -> dict[float, float]:
        """Keep the part of LoRA's update that validates best, and return each part's validation.

        Part of the way from the base to the tuned weights often does better than all of it, also on what was not tuned
        on: Wortsman et al., CVPR 2022 (WiSE-FT).

        Args:
            full_score: validation of all of it, the weights as they are.
        """
        full = {name: weight.detach().clone() for name, weight in self.weights.items() if "lora_B" in name}
        scores: dict[float, float] = {}
        for scale in self.settings.scales:
            self._restore({name: scale * weight for name, weight in full.items()})
            scores[scale] = full_score if scale == 1.0 else self.validate()["validation"]
        self._restore({name: _best(scores) * weight for name, weight in full.items()})
        return scores

    def _restore(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in weights.items():
                self.weights[name].copy_(weight)

    def _epoch(self, epoch: int) -> float:
        """Train one epoch and return its mean loss; everything drawn depends on the seed and the epoch alone."""
        settings = self.settings
        rng = np.random.default_rng((settings.seed, epoch))
        is_plain = self._is_reference
        order = rng.permutation(len(self.shots)) if is_plain else balanced_order(self.shots.dataset_ids, rng)
        starts = range(0, len(order), settings.batch)
        batches = [order[start : start + settings.batch] for start in starts]
        seeds = [(settings.seed, epoch, step) for step in range(len(batches))]
        self.tower.eval()  # statistics and dropouts of the base stay as they are; only LoRA's own dropout is active
        for name, module in self.tower.named_modules():
            if "lora_dropout" in name:
                module.train()
        losses = []
        with torch.random.fork_rng():
            torch.manual_seed((settings.seed * 100_003 + epoch) % 2**63)
            images = prefetch(self._images(self.shots, batches, seeds, self.corruption))
            for step, (positions, batch) in enumerate(zip(batches, images, strict=True)):
                done = epoch * len(batches) + step
                steps = settings.epochs * len(batches)
                rate = 1.0 if is_plain else warm_cosine(done, steps, warmup=settings.warmup)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate * settings.learning_rate
                losses.append(self.step(positions, batch))
                if not math.isfinite(losses[-1]):
                    raise UserError(
                        f"{self.name}: the loss of epoch {epoch + 1} is {losses[-1]}, not a finite number;"
                        " a smaller learning_rate may help"
                    )
        return float(np.average(losses, weights=[len(positions) for positions in batches]))

    def step(self, positions: Ints, images: Images) -> float:
        """Take one step on the shots at `positions`, whose `images` are uint8 (n, 224, 224, 3); return the loss."""
        dataset_ids = torch.from_numpy(self.shots.dataset_ids[positions])
        labels = torch.from_numpy(self.shots.labels[positions])
        columns = self._columns.own if self.settings.classes == "own" else self._columns.distinct
        targets = (self._columns.starts[dataset_ids] + labels).to(self.device)
        moved = self._move(self.model.preprocess(images), dataset_ids)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            image_features = self.model.encode_images(moved, unit=not self._is_reference)
            logits = self.model.logits(image_features, self.features)
        loss = masked_cross_entropy(logits.float(), columns[dataset_ids].to(self.device), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.weights.values()), self.settings.clip)
        self.optimizer.step()
        return loss.item()

    def validate(self) -> dict[str, float]:
        """Return the mean accuracy over data sets of held images: clean, corrupted if trained so, and their mean."""
        assert self.held is not None
        scores = {"clean": self._accuracy(self.held, None)}
        if self.corruption is not None:
            scores["corrupted"] = self._accuracy(self.held, self.corruption)
        return {**scores, "validation": float(np.mean(list(scores.values())))}

    def _accuracy(self, held: Pool, corruption: RandomCorruption | None) -> float:
        self.tower.eval()
        hits = np.empty(len(held), bool)
        batches = [np.arange(start, min(start + 64, len(hits))) for start in range(0, len(hits), 64)]
        seeds = [(0, int(positions[0])) for positions in batches]
        images = prefetch(self._images(held, batches, seeds, corruption))
        for positions, batch in zip(batches, images, strict=True):
            dataset_ids = torch.from_numpy(held.dataset_ids[positions])
            with torch.inference_mode():
                cosines = self.model.encode_images(self.model.preprocess(batch)) @ self.features.T
            own = self._columns.own[dataset_ids].to(self.device)
            guesses = cosines.masked_fill(~own, -2).argmax(dim=1).cpu() - self._columns.starts[dataset_ids]
            hits[positions] = guesses.numpy() == held.labels[positions]
        return float(np.mean([hits[held.dataset_ids == k].mean() for k in np.unique(held.dataset_ids)]))

    @staticmethod
    def _images(
        pool: Pool, batches: Sequence[Ints], seeds: Sequence[tuple[int, ...]], corruption: RandomCorruption | None
    ) -> Iterator[Images]:
        for positions, seed in zip(batches, seeds, strict=True):
            yield pool.read(positions) if corruption is None else corruption(pool, positions, seed)

    def _checkpoint(self, progress: Progress) -> None:
        weights = {name: weight.detach().cpu() for name, weight in self.weights.items()}
        history = [line.model_dump(exclude_unset=True) for line in progress.history]
        state = {"key": self.key, "weights": weights, "optimizer": self.optimizer.state_dict()}
        with atomic_write(self.checkpoint_path) as handle:
            torch.save({**state, "progress": {**vars(progress), "history": history}}, handle)

    def resume(self) -> Progress:
        """Return where an interrupted run with the same key stopped, its weights put back; else a new start."""
        try:
            state = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
            if state["key"] != self.key:
                return Progress()
            progress = Progress(**state["progress"])
            progress.history = [EpochRecord(**line) for line in state["progress"]["history"]]
            self.optimizer.load_state_dict(state["optimizer"])
            self._restore(state["weights"])
        except FileNotFoundError:
            return Progress()
        except _DAMAGED:
            return Progress()  # a checkpoint is only ever a saving of time
        return progress


def _best(scores: Mapping[float, float]) -> float:
    """Return the key of the highest score, of equal ones the largest."""
    return max(scores, key=lambda key: (scores[key], key))

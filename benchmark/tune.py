"""Tune a model's image tower with LoRA on a few clean shots of all data sets together: RMedCLIP (Imam et al. 2025).

The text side stays frozen: cross entropy, with the model's own logit scale, against the text features of the classes.
The epoch that is kept is the best on images that are neither tuned on nor scored: the rest of the split that the shots
came from, and the val split unless that is scored. Writes data/models/<name>/adapter (PEFT), tune.json and DVCLive's
curves in live/. Interrupted, it goes on from the last epoch, to the same weights on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.data import pool
from benchmark.data.classes import class_columns, class_features, own_columns
from benchmark.data.pool import Part, Pool
from benchmark.data.prompts import prompts
from benchmark.models import loading
from benchmark.models.extras import package
from benchmark.pretrain import time_left, warm_cosine
from benchmark.tuning.adapters import curves, keep
from benchmark.tuning.augmentation import Corrupting, Moving
from corruptions import BYTES_VERSION
from pipeline import manifest
from pipeline.cell import PREPARED
from pipeline.config import Benchmark, Config, Tuned, read_config
from pipeline.errors import UserError
from pipeline.io.atomic import atomic_write
from pipeline.paths import Workspace
from pipeline.run import command_line

VALIDATION = 64
"""Images a data set from the rest of the tuning split that the best epoch is chosen on, beside all of val."""


class Tuning:
    """One run: the model with its LoRA, what it sees, and where it stands."""

    def __init__(self, root: Path | str, name: str) -> None:
        self.workspace = Workspace(root)
        self.config = read_config(self.workspace)
        self.plan = self.config.benchmark
        if name not in self.plan.tuned:
            raise UserError(f"params.yaml tunes no {name!r}; have {', '.join(self.plan.tuned) or 'none'}")
        given = self.config
        self.name, self.tuned = name, self.plan.tuned[name]
        self.device = loading.device(self.plan.device)
        self.model = loading.load(self.workspace, self.plan, self.tuned.base, device=self.device)
        self.named = [prompts(self.workspace, d, templates=self.plan.prompts) for d in given.datasets]
        self.shots, self.held = chosen_images(self.workspace, given.datasets, self.plan, self.tuned.seed)
        self.corrupting = _corrupting(self.plan, self.tuned, given)
        self.moving = Moving(self.model.record.view.size, given.datasets)
        self.features = torch.cat([class_features(self.model, p) for p in self.named])
        self.key = self._key()
        sentences = [[group[0] for group in p.sentences] for p in self.named]
        self.starts, self.allowed = class_columns([p.class_names for p in self.named], sentences)
        if self.plan.tune.classes == "own":
            self.allowed = own_columns(self.starts, self.features.shape[0])
        self._wrap()

    def _key(self) -> str:
        """Return a checksum of all that the weights depend on: a checkpoint with another one is not gone on with."""
        facts = {
            "tune": self.plan.tune.model_dump(),
            "tuned": self.tuned.model_dump(),
            "base": self.model.checksum(),
            "corrupting": self.corrupting and [BYTES_VERSION, vars(self.corrupting)],
            "prompts": [p.model_dump(mode="json") for p in self.named],
            "images": [
                (part.dataset, part.split, _checksums(self.workspace, part), part.indices.tolist())
                for part in (*self.shots.parts, *self.held.parts)
            ],
            "torch": torch.__version__,
        }
        digest = hashlib.sha256(self.features.cpu().numpy().tobytes())
        digest.update(json.dumps(facts, sort_keys=True).encode())
        return digest.hexdigest()

    def _wrap(self) -> None:
        peft = package("peft")
        config = peft.LoraConfig(
            r=self.tuned.rank,
            lora_alpha=self.plan.tune.alpha,
            lora_dropout=self.plan.tune.dropout,
            target_modules=self.model.lora_targets,
            base_model_name_or_path=self.model.record.name,
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.tuned.seed)
            try:
                self.tower = peft.get_peft_model(self.model.image_tower, config)
            except ValueError as problem:  # PEFT's word for a tower without such layers
                raise UserError(f"LoRA can't be put on {self.tuned.base}: {str(problem).splitlines()[0]}") from None
        self.tower.to(memory_format=torch.channels_last)
        self.model.image_tower = self.tower
        self.weights = {n: p for n, p in self.tower.named_parameters() if p.requires_grad}
        how = self.plan.tune
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=how.learning_rate, weight_decay=how.weight_decay, foreach=False
        )
        self.steps = math.ceil(len(self.shots) / how.batch)

    def run(self, *, stop_after: int | None = None) -> dict[str, Any]:
        """Train to the end, or until `stop_after` epochs are done; return the history. Resumes where a run stopped."""
        how = self.plan.tune
        state = self._resume()
        first, started = state["epoch"], time.monotonic()
        bar = command_line.progress(range(first, how.epochs), desc=f"tune {self.name}", unit="epoch")
        for epoch in bar:
            line: dict[str, float] = {"epoch": epoch + 1, "loss": self._epoch(epoch)}
            validated = (epoch + 1) % how.validate_every == 0 or epoch + 1 == how.epochs
            if validated:
                line |= self.validate()
                if line["validation"] > state["best_score"]:
                    best = {n: w.detach().cpu().clone() for n, w in self.weights.items()}
                    state |= {"best_score": line["validation"], "best_epoch": epoch + 1, "best": best}
            state["history"].append(line)
            state["epoch"] = epoch + 1
            self._checkpoint(state)
            if validated or epoch == first:
                left = time_left(epoch + 1 - first, how.epochs - first, time.monotonic() - started)
                score = f", validation {line['validation']:.1%}" if validated else ""
                bar.write(f"epoch {epoch + 1} of {how.epochs}: loss {line['loss']:.3f}{score}; {left}")
            if stop_after is not None and epoch + 1 >= stop_after:
                return state
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["best"][name])
        state["scales"] = self._scaled()
        return state

    def _scaled(self) -> dict[float, float]:
        """Keep the part of LoRA's update that validates best, and return each part's validation.

        Part of the way from the base to the tuned weights often does better than all of it, also on what was not tuned
        on: Wortsman et al., CVPR 2022 (WiSE-FT).
        """
        full = {name: weight.detach().clone() for name, weight in self.weights.items() if "lora_B" in name}
        found: dict[float, float] = {}
        for scale in self.plan.tune.scales:
            self._put(full, scale)
            found[scale] = self.validate()["validation"]
        self._put(full, max(found, key=lambda scale: (found[scale], scale)))
        return found

    def _put(self, full: Mapping[str, Tensor], scale: float) -> None:
        with torch.no_grad():
            for name, weight in full.items():
                self.weights[name].copy_(scale * weight)

    def _epoch(self, epoch: int) -> float:
        """Train one epoch and return its mean loss; everything drawn depends on the seed and the epoch alone."""
        how = self.plan.tune
        order = balanced(self.shots.sets, np.random.default_rng((self.tuned.seed, epoch)))
        self.tower.eval()  # statistics and dropouts of the base stay as they are; only LoRA's own dropout is active
        for name, module in self.tower.named_modules():
            if "lora_dropout" in name:
                module.train()
        losses = []
        with torch.random.fork_rng():
            torch.manual_seed(self.tuned.seed * 100_003 + epoch)
            for step, start in enumerate(range(0, len(order), how.batch)):
                places = order[start : start + how.batch]
                rate = warm_cosine(epoch * self.steps + step, how.epochs * self.steps, warmup=how.warmup)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate * how.learning_rate
                losses.append(self._step(places, (self.tuned.seed, epoch, step)))
        return float(
            np.average(losses, weights=[min(how.batch, len(order) - s) for s in range(0, len(order), how.batch)])
        )

    def _step(self, places: NDArray[np.int64], seed: tuple[int, ...]) -> float:
        images = self.shots.read(places) if self.corrupting is None else self.corrupting(self.shots, places, seed)
        sets = torch.from_numpy(self.shots.sets[places])
        target = (self.starts[sets] + torch.from_numpy(self.shots.labels[places])).to(self.device)
        prepared = self.moving(self.model.preprocess(images), sets)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.model.logit_scale * self.model.encode_images(prepared) @ self.features.T
        loss = functional.cross_entropy(logits.float().masked_fill(~self.allowed[sets].to(self.device), -1e4), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.weights.values()), self.plan.tune.clip)
        self.optimizer.step()
        return loss.item()

    def validate(self) -> dict[str, float]:
        """Return the mean accuracy over data sets of held images: clean, corrupted if trained so, and their mean."""
        scores = {"clean": self._accuracy(None)}
        if self.corrupting is not None:
            scores["corrupted"] = self._accuracy(self.corrupting)
        return {**scores, "validation": float(np.mean(list(scores.values())))}

    def _accuracy(self, corrupting: Corrupting | None) -> float:
        self.tower.eval()
        hits = np.empty(len(self.held), bool)
        own = own_columns(self.starts, len(self.features)).to(self.device)
        for start in range(0, len(hits), 64):
            places = np.arange(start, min(start + 64, len(hits)))
            images = self.held.read(places) if corrupting is None else corrupting(self.held, places, (0, start))
            sets = torch.from_numpy(self.held.sets[places])
            with torch.inference_mode():
                cosines = self.model.encode_images(self.model.preprocess(images)) @ self.features.T
            guess = cosines.masked_fill(~own[sets.to(self.device)], -2).argmax(dim=1).cpu() - self.starts[sets]
            hits[places] = guess.numpy() == self.held.labels[places]
        return float(np.mean([hits[self.held.sets == k].mean() for k in np.unique(self.held.sets)]))

    @property
    def _checkpoint_path(self) -> Path:
        return self.workspace.model(self.name) / "checkpoint.pt"

    def _checkpoint(self, state: Mapping[str, Any]) -> None:
        weights = {name: weight.detach().cpu() for name, weight in self.weights.items()}
        with atomic_write(self._checkpoint_path) as handle:
            torch.save({**state, "weights": weights, "optimizer": self.optimizer.state_dict()}, handle)

    def _resume(self) -> dict[str, Any]:
        """Return the state of an interrupted run with the same key, its weights put back; else of a new one."""
        fresh = {"key": self.key, "epoch": 0, "best_score": -1.0, "best_epoch": 0, "best": {}, "history": []}
        if not self._checkpoint_path.is_file():
            return fresh
        try:
            state: dict[str, Any] = torch.load(self._checkpoint_path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            return fresh  # damaged on the disk: a checkpoint is only ever a saving of time
        if state.get("key") != self.key:
            return fresh
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        return {name: state[name] for name in fresh}


def chosen_images(workspace: Workspace, datasets: Sequence[str], chosen: Benchmark, seed: int) -> tuple[Pool, Pool]:
    """Return the shots, and the images that the best epoch is chosen on: neither tuned on nor scored."""
    how = chosen.tune
    tuned: list[Part] = []
    held: list[Part] = []
    for k, name in enumerate(datasets):
        whole_split = pool.part(workspace, name, how.split)
        picked = pool.shots(whole_split.labels, count=how.shots, percent=how.percent, seed=(seed, k))
        rest = np.setdiff1d(whole_split.indices, picked)
        rest = np.random.default_rng((seed, k, 1)).permutation(rest)[:VALIDATION]
        tuned.append(pool.part(workspace, name, how.split, picked))
        held.append(pool.part(workspace, name, how.split, rest))
        if "val" not in (how.split, chosen.split):
            held.append(pool.part(workspace, name, "val"))
    images = Pool(held)
    if set(images.sets) != set(range(len(datasets))):
        raise UserError(f"no image of {how.split} is left to choose the best epoch on; use fewer shots")
    return Pool(tuned), images


def balanced(sets: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many numbers as there are images, every data set's alike, none again before all of its others.

    With k shots a class a data set of 15 classes would otherwise be seen seven times as often as one of two.
    """
    names = np.unique(sets)
    share = np.full(len(names), len(sets) // len(names))
    share[: len(sets) % len(names)] += 1
    drawn = []
    for name, count in zip(rng.permutation(names), share, strict=True):
        own = np.flatnonzero(sets == name)
        rounds = [rng.permutation(own) for _ in range(-(-int(count) // len(own)))]
        drawn.append(np.concatenate(rounds)[:count])
    return rng.permutation(np.concatenate(drawn))


def _checksums(workspace: Workspace, part: Part) -> dict[str, Any]:
    """Return the entry of a part's whole split in the manifest that has it."""
    read = manifest.read_prepared if part.split in PREPARED else manifest.read_clean
    return read(workspace, part.dataset).split(part.split).model_dump(mode="json", exclude_unset=True)


def _corrupting(chosen: Benchmark, tuned: Tuned, given: Config) -> Corrupting | None:
    if not tuned.augment:
        return None
    return Corrupting(chosen.trained, strength=chosen.tune.strength, profile=given.profile, columns=given.columns)


def tune(root: Path | str, name: str) -> dict[str, Any]:
    """Tune the model `name` of params.yaml and write its adapter, record and curves; return the record."""
    run = Tuning(root, name)
    epochs = run.plan.tune.epochs
    print(f"tune {name}: {len(run.shots)} shots, {epochs} epochs, {len(run.held)} images to choose the epoch on")
    state, split = run.run(), run.plan.tune.split
    record = {
        "base": run.tuned.base,
        "best_epoch": state["best_epoch"],
        "chosen_on": ", and ".join(
            [f"rest of {split}", *{part.split for part in run.held.parts if part.split != split}]
        ),
        "corruptions": list(run.corrupting.names) if run.corrupting else [],
        "device": run.device.type,
        "held_images": len(run.held),
        "history": state["history"],
        "key": run.key,
        "scale": max(state["scales"], key=lambda scale: (state["scales"][scale], scale)),
        "scales": {str(scale): score for scale, score in state["scales"].items()},
        "parameters": sum(w.numel() for w in run.weights.values()),
        "settings": {**run.plan.tune.model_dump(mode="json"), **run.tuned.model_dump(mode="json")},
        "shots": {part.dataset: part.indices.tolist() for part in run.shots.parts},
    }
    curves(run.workspace.model(name) / "live", state["history"])
    keep(run.tower, run.model.record, run.workspace, name, record)
    run._checkpoint_path.unlink(missing_ok=True)
    return record


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from a command line."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name under benchmark.tuned in params.yaml")
    given = parser.parse_args(argv)

    def work() -> None:
        tune(given.root, given.model)

    return command_line.run(work)


if __name__ == "__main__":
    sys.exit(main())

"""Linear heads on a model's frozen features: logistic regression and the nearest class mean, a data set at a time."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.data.pool import Pool
from benchmark.models.components.packages import package
from benchmark.models.model import Model
from benchmark.tuning.shots import TuningImages
from pipeline.config.benchmark import Probe
from pipeline.errors import UserError
from pipeline.workspace.paths import Workspace

VERSION = 1
"""Of what fitting makes of the same features: raise it if the heads change."""

STRENGTHS = tuple(10.0**power for power in range(-3, 5))
"""What is tried: inverse strengths of regularisation (C), or factors of squared distances."""

UNCHOSEN = 1.0
"""What is taken where no image is left to choose on."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Head(NamedTuple):
    """Logits are ``features @ weight.T + bias``; weight float32 (K, D), bias float32 (K,)."""

    weight: Floats
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        """Return float32 (N, K) of unit-length features float32 (N, D)."""
        return features @ self.weight.T + self.bias


class Fitted(NamedTuple):
    """A data set's head, its strength, and its accuracy on held images, None without any."""

    head: Head
    strength: float
    accuracy: float | None


def encode(model: Model, pool: Pool, *, batch: int) -> Floats:
    """Return the unit-length features of all images of a pool, float32 (n, D)."""
    kind, features = model.device.type, []
    with torch.inference_mode(), torch.autocast(kind, torch.float16, enabled=kind == "cuda"):
        for start in range(0, len(pool), batch):
            images = pool.read(range(start, min(start + batch, len(pool))))
            features.append(model.encode_images(model.preprocess(images)).float().cpu())
    encoded: Floats = torch.cat(features).numpy()
    return encoded


def fit(kind: str, shots: tuple[Floats, Ints], held: tuple[Floats, Ints] | None, *, classes: int) -> Fitted:
    """Fit one data set's head.

    Args:
        kind: ``linear`` or ``means``.
        shots: features and labels that it is fitted on; every class must be among them.
        held: those that choose the strength: the most are right, of equal ones the smallest cross entropy.
        classes: number of them.

    Raises:
        UserError: a class has no shot.
    """
    if missing := sorted(set(range(classes)) - set(shots[1].tolist())):
        raise UserError(f"class {missing[0]} has no image to fit a probe on")
    fit_one = _linear if kind == "linear" else _means
    if held is None or not len(held[1]):
        return Fitted(fit_one(*shots, UNCHOSEN), UNCHOSEN, None)
    tried = [(strength, fit_one(*shots, strength)) for strength in STRENGTHS]
    scores = [_score(head, *held) for _, head in tried]
    best = max(range(len(tried)), key=lambda k: scores[k])
    return Fitted(tried[best][1], tried[best][0], scores[best][0])


def _score(head: Head, features: Floats, labels: Ints) -> tuple[float, float]:
    """Return accuracy and mean log-likelihood."""
    logits = torch.from_numpy(head.logits(features))
    likelihood = -torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item()
    return float((logits.argmax(dim=1).numpy() == labels).mean()), likelihood


def _linear(features: Floats, labels: Ints, strength: float) -> Head:
    """Fit scikit-learn's multinomial logistic regression on features brought to a mean square of 1."""
    scale = np.float32(np.sqrt(features.shape[1]))
    model = package("sklearn.linear_model").LogisticRegression(C=strength, max_iter=2000, tol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", package("sklearn.exceptions").ConvergenceWarning)  # held images judge it anyway
        model.fit((features * scale).astype(np.float64), labels)
    weight, bias = model.coef_ * scale, model.intercept_
    if len(weight) == 1:  # two classes have one line there: the first class's logit is its negative
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(np.ascontiguousarray(weight, np.float32), bias.astype(np.float32))


def _means(features: Floats, labels: Ints, strength: float) -> Head:
    """Return the head whose logits are negative squared distances to the class means, times `strength`.

    What all classes have alike, the length of the feature itself, is left out.
    """
    means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)]).astype(np.float64)
    weight, bias = 2 * strength * means, -strength * (means**2).sum(axis=1)
    return Head(np.ascontiguousarray(weight, np.float32), bias.astype(np.float32))


def select(pool: Pool, features: Floats, dataset: str) -> tuple[Floats, Ints]:
    """Return the features and labels of a pool's images that are of `dataset`."""
    own = pool.dataset_ids == pool.datasets.index(dataset)
    return features[own], pool.labels[own]


def key(workspace: Workspace, probe: Probe, model: Model, images: TuningImages) -> str:
    """Return the checksum of all that a probe's heads depend on."""
    values = {
        "version": VERSION,
        "probe": probe.model_dump(mode="json"),
        "base": model.checksum(),
        "preprocessing": model.record.preprocessing.model_dump(mode="json"),
        "files": [file.sha256 for file in model.record.files],
        "images": images.entries(workspace),
        "device": model.device.type,
        "packages": [torch.__version__, package("sklearn").__version__],
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

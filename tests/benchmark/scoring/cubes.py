"""Cubes of models that have so many of 40 images wrong."""

import numpy as np

from benchmark.scoring import metrics
from benchmark.scoring.cube import combine
from benchmark.scoring.measure import measure
from benchmark.scoring.records import Grid, ScoredDataset, Setting
from corruptions import SEVERITIES

IMAGES = 40
LABELS = np.arange(IMAGES) % 2
CLASS_NAMES = ("benign", "malignant")


def logits_of(wrong, labels=LABELS):
    """Logits that are wrong on the images `wrong`, and right on the others."""
    guesses = labels.copy()
    guesses[list(wrong)] = 1 - guesses[list(wrong)]
    return 4 * np.eye(2, dtype=np.float32)[guesses]


def measured(clean, labels=LABELS, samples=30, **corrupted):
    """Measure a model that has so many images wrong (or these), clean and under each corruption at all severities."""
    cells = [clean, *(wrong for wrong in corrupted.values() for _ in SEVERITIES)]
    logits = np.stack([logits_of(range(wrong) if isinstance(wrong, int) else wrong, labels) for wrong in cells])
    counts = metrics.bootstrap_counts(len(labels), samples, (1,))
    return measure(logits, labels, counts, tuple(corrupted), CLASS_NAMES)


def grid_of(models, collections, **changes):
    """Describe `models`, measurements by data set and model name; the first model is the baseline."""
    baseline = next(iter(models))
    datasets = {}
    for name in [name for names in collections.values() for name in names]:
        datasets[name] = ScoredDataset(
            source="phantom",
            seed=3,
            class_names=CLASS_NAMES,
            native_channels=3,
            modality="eyes" if name == "c" else "skin",
            corruptions=tuple(models[baseline][name].scores.corruption.values.tolist()),
            count=IMAGES,
            images="",
            labels="",
            per_class=(20, 20),
            undefined={},
        )
    fields = {
        "baseline": baseline,
        "settings": {model: Setting(name=model, seed=None) for model in models},
        "datasets": datasets,
        "collections": collections,
        "trained": (),
        "held_out": (),
        "split": "test",
    }
    return Grid(**fields | changes)


def cube_of(models, collections, **changes):
    """Return the cube of `models`."""
    scores = {model: {name: one.scores for name, one in by_name.items()} for model, by_name in models.items()}
    return combine(scores, grid_of(models, collections, **changes))


COLLECTIONS = {"ours": ("a", "b"), "theirs": ("c",)}
MODELS = {
    "base": {
        "a": measured(4, contrast=8, pixelate=10),
        "b": measured(4, contrast=8, pixelate=10),
        "c": measured(4, stain=20, contrast=16),
    },
    "better": {
        "a": measured(4, contrast=4, pixelate=10),
        "b": measured(4, contrast=8, pixelate=5),
        "c": measured(2, stain=10, contrast=24),
    },
}

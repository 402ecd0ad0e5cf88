"""How far corruptions that no tuning has seen are from those that one may have seen, without any model.

After Mintun, Kirillov & Xie, NeurIPS 2021 ("On Interaction Between Augmentations and Corruptions in Natural Corruption
Robustness", ImageNet-C-bar): a corruption is the mean of features of the images under it, and its distance from a set
of augmentations the smallest one to a member of it, which they call the minimal sample distance. Their features are a
trained network's last hidden layer. These are of the pixels alone, so that every model is held against the same
numbers: the mean of each channel, and the amplitude of each octave of its spatial frequencies, in grey levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from benchmark.reporting import tables
from benchmark.reporting.examples import read_images
from benchmark.reporting.tables import BASE, Column, Entry, Table, number
from benchmark.scoring.aggregation import defined_mean
from benchmark.scoring.records import ScoresRecord
from corruptions.spec import SEVERITIES
from pipeline.config.params import home, read_config
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace

SAMPLE = 16
"""Images of each data set's scored split, evenly spaced."""

NOTE = (
    "Distance of mean pixel statistics (level and amplitude by octave) from the nearest severity of any corruption that"
    " augmentation may draw from, after the minimal sample distance of Mintun et al. 2021; the farthest come first."
)

_OCTAVES = 5  # 224 pixels are halved to 7


class Distance(NamedTuple):
    """How far a corruption is from others, in grey levels, means over its severities.

    Attributes:
        trained: distance from each corruption that a tuning may have seen, at whatever severity is nearest.
        nearest: distance from all of these together.
        clean: distance from the clean images.
    """

    trained: dict[str, float]
    nearest: float
    clean: float


Distances = Mapping[str, Mapping[str, Distance]]
"""By data set and corruption."""


def distances(workspace: Workspace, scores: ScoresRecord) -> Distances:
    """Return the distance of every corruption of each data set that none of the tunings may have seen.

    A data set that has none of the trained ones has no distances.
    """
    config = read_config(workspace)
    return {name: _of_dataset(home(config, workspace, name), name, scores) for name in scores.datasets}


def _of_dataset(source: Workspace, dataset: str, scores: ScoresRecord) -> dict[str, Distance]:
    names, count = scores.datasets[dataset].corruptions, scores.datasets[dataset].count
    trained = [name for name in names if name in scores.trained]
    if not trained:
        return {}
    indices = np.unique(np.linspace(0, count - 1, SAMPLE).round().astype(int)).tolist()

    def mean_features(cell: Cell) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = features(read_images(source, cell, indices)).mean(axis=0)
        return mean

    clean = mean_features(Cell(dataset, scores.split))
    points = {
        name: np.stack([mean_features(Cell(dataset, scores.split, name, k)) for k in SEVERITIES]) for name in names
    }
    return {
        name: distance(points[name], {c: points[c] for c in trained}, clean) for name in names if name not in trained
    }


def features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the features of images uint8 (N, 224, 224, C), C = 1 or 3: float (N, 21), in grey levels.

    Of each channel (a grey one counts three times) its mean; the root mean square of what is lost where every 2 x 2
    pixels become their mean, five times over; and the standard deviation of the 7 x 7 means that are left.
    """
    level = images.astype(np.float64)
    columns = [level.mean(axis=(1, 2))]
    for _ in range(_OCTAVES):
        count, height, width, channels = level.shape
        blocks = level.reshape(count, height // 2, 2, width // 2, 2, channels)
        means = blocks.mean(axis=(2, 4))
        columns.append(np.sqrt(((blocks - means[:, :, None, :, None]) ** 2).mean(axis=(1, 2, 3, 4))))
        level = means
    columns.append(level.std(axis=(1, 2)))
    together = np.stack(columns, axis=1)
    return np.broadcast_to(together, (*together.shape[:2], 3)).reshape(len(images), -1)


def distance(
    corruption: NDArray[np.float64], trained: Mapping[str, NDArray[np.float64]], clean: NDArray[np.float64]
) -> Distance:
    """Return the distance of a corruption, whose mean features are float (5, F) by severity, from others alike."""
    by_severity = {
        name: np.linalg.norm(corruption[:, None] - points[None], axis=-1).min(axis=1)
        for name, points in trained.items()
    }
    return Distance(
        {name: float(values.mean()) for name, values in by_severity.items()},
        float(np.min([*by_severity.values()], axis=0).mean()),
        float(np.linalg.norm(corruption - clean, axis=-1).mean()),
    )


def mean_distance(of_datasets: Sequence[Distance]) -> Distance:
    """Return the mean over data sets, each of which counts the same; from what only some have, over those."""
    names = dict.fromkeys(name for one in of_datasets for name in one.trained)
    return Distance(
        {name: float(np.mean([one.trained[name] for one in of_datasets if name in one.trained])) for name in names},
        float(np.mean([one.nearest for one in of_datasets])),
        float(np.mean([one.clean for one in of_datasets])),
    )


def nearest_name(found: Distance) -> str:
    """Return the name of the trained corruption that is nearest by itself."""
    return min(found.trained, key=lambda name: found.trained[name])


def frame(found: Distances) -> pd.DataFrame:
    """Return all distances as a table, a row a data set and corruption."""
    columns = ["dataset", "corruption", "distance", "nearest", "from_clean"]
    rows = [
        (dataset, name, one.nearest, nearest_name(one), one.clean)
        for dataset, by_name in found.items()
        for name, one in by_name.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def tables_of(
    cube: xr.Dataset, scores: ScoresRecord, labels: Mapping[str, Entry], distances: Distances
) -> Iterator[Table]:
    """Yield for each collection a row a corruption, the farthest first; none of a collection without distances."""
    _, ce = tables.percentages(cube, scores.baseline)
    models = [Column(label.text, BASE, "low", group="CE") for label in labels.values()]
    heads = [
        Column("Corruption", is_text=True),
        Column("Distance", "grey levels", help="From the trained corruptions."),
        Column("Nearest trained", is_text=True),
        Column("From clean", "grey levels", help="Distance from the clean images."),
        *models,
    ]
    for collection, names in scores.collections.items():
        found = {
            c: mean_distance([distances[name][c] for name in names if c in distances.get(name, {})])
            for c in dict.fromkeys(c for name in names for c in distances.get(name, {}))
        }
        rows = []
        for corruption, apart in sorted(found.items(), key=lambda item: -item[1].nearest):
            means = defined_mean(ce.sel(dataset=list(names), corruption=corruption), "dataset")
            values = [tables.defined(float(means.sel(model=model))) for model in labels]
            title, nearest = tables.corruption_title(corruption, scores), nearest_name(apart).replace("_", " ")
            words = title, number(apart.nearest), nearest, number(apart.clean)
            best = tables.best(values, models[0])
            rows.append([*map(Entry, words), *(Entry(number(v), is_best=number(v) == best) for v in values)])
        if rows:
            shown = collection if len(scores.collections) > 1 else ""
            title = "Held-out corruptions by distance" + (f" of {shown}" if shown else "")
            yield Table(tables.slug("held-out", shown), title, heads, rows, NOTE)

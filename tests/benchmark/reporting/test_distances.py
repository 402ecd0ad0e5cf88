"""How far held-out corruptions are from trained ones: against plain loops, on real kernels, and in the report."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmark import report, score
from benchmark.reporting import distances
from benchmark.reporting.distances import Distance
from benchmark.scoring import files
from corruptions import SEVERITIES, corrupt
from pipeline.io import npz
from pipeline.workspace.cell import Cell
from tests.benchmark.conftest import CLASSES, params, write_logits


def plain_features(image):
    """The same features of one image, float (H, W, C), by loops over blocks."""
    columns = []
    for channel in range(3):
        plane = image[..., min(channel, image.shape[2] - 1)].astype(float)
        row = [plane.mean()]
        while len(plane) > 7:
            means = np.empty((len(plane) // 2, len(plane) // 2))
            squares = 0.0
            for y in range(len(means)):
                for x in range(len(means)):
                    block = plane[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                    means[y, x] = block.mean()
                    squares += ((block - means[y, x]) ** 2).sum()
            row.append(math.sqrt(squares / plane.size))
            plane = means
        columns.append([*row, plane.std()])
    return np.array(columns).T.ravel()


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_what_loops_make(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, channels), np.uint8)
    images[1] = np.linspace(0, 255, 224).astype(np.uint8)[:, None, None]
    expected = [plain_features(image) for image in images]
    np.testing.assert_allclose(distances.features(images), expected, atol=1e-9)
    assert distances.features(images).shape == (2, 21)


def test_each_kind_of_change_moves_its_own_features():
    image = np.full((1, 224, 224, 1), 100, np.uint8)
    brighter = distances.features(image + 10) - distances.features(image)
    np.testing.assert_allclose(brighter[0], [10] * 3 + [0] * 18)
    board = np.indices((224, 224)).sum(axis=0)[None, ..., None] % 2 * 20
    finest = distances.features(image + board.astype(np.uint8))[0]
    np.testing.assert_allclose(finest, [110] * 3 + [10] * 3 + [0] * 15, atol=1e-9)


def test_the_distance_is_to_the_nearest_severity_of_any_trained_one():
    severities = np.arange(1.0, 6)
    corruption = np.stack([severities, np.zeros(5)], axis=1)
    trained = {"same": corruption[::-1], "aside": corruption + np.array([0, 3]), "far": corruption + np.array([100, 0])}
    found = distances.distance(corruption, trained, np.zeros(2))
    assert found.trained == pytest.approx({"same": 0, "aside": 3, "far": np.mean(101 - severities)})
    assert found.nearest == 0
    assert found.clean == pytest.approx(3)
    without = distances.distance(corruption, {name: trained[name] for name in ("aside", "far")}, np.zeros(2))
    assert without.nearest == pytest.approx(3)
    assert distances.nearest_name(without) == "aside"


def test_each_data_set_counts_the_same_over_what_it_has():
    one, other = Distance({"a": 1.0, "b": 4.0}, 1.0, 10.0), Distance({"a": 3.0}, 3.0, 20.0)
    assert distances.mean_distance([one, other]) == Distance({"a": 2.0, "b": 4.0}, 2.0, 15.0)


@pytest.fixture
def with_set(copied):
    """The reported workspace with an extended corruption that stands in no file, so that it is made anew."""
    values = params() | {"corruption_set": ["speckle_noise"]}
    (copied.root / "params.yaml").write_text(yaml.safe_dump(values))
    for name in CLASSES:
        for model in ("base", "better"):
            for severity in SEVERITIES:
                write_logits(copied, model, name, f"speckle_noise_severity_{severity}", 9)
    assert score.main(["--root", str(copied.root)]) == 0
    return copied


def test_distances_are_those_of_the_corrupted_images(with_set):
    scores = files.read_scores(with_set)
    found = distances.distances(with_set, scores)
    names = {name: list(by_corruption) for name, by_corruption in found.items()}
    assert names == {name: ["zoom_blur", "contrast", "speckle_noise"] for name in CLASSES}
    assert found["oct"]["speckle_noise"].trained.keys() == set(scores.trained)
    images = npz.read(with_set.npz(Cell("oct", "test"))).images
    indices = np.unique(np.linspace(0, len(images) - 1, 16).round().astype(int))

    def point(name, severity):
        corrupted = corrupt(
            images[indices], name, severity, dataset="oct", split="test", seed=3, indices=indices.tolist()
        )
        return distances.features(corrupted).mean(axis=0)

    trained = [point(name, k) for name in scores.trained for k in SEVERITIES]
    nearest = [min(np.linalg.norm(point("contrast", k) - other) for other in trained) for k in SEVERITIES]
    assert found["oct"]["contrast"].nearest == pytest.approx(np.mean(nearest))


def test_the_report_has_them_with_the_farthest_first(with_set):
    assert report.main(["--root", str(with_set.root)]) == 0
    table = pd.read_csv(with_set.reports / "distances.csv")
    assert set(table["corruption"]) == {"zoom_blur", "contrast", "speckle_noise"}
    assert (table["distance"] > 0).all()
    text = (with_set.reports / "report.md").read_text()
    rows = text.partition("## Held-out corruptions by distance")[2].partition("##")[0].splitlines()[4:7]
    shown = [float(row.split("|")[2]) for row in rows]
    assert shown == sorted(shown, reverse=True)
    assert {row.split("|")[1].strip() for row in rows} == {
        "zoom blur (held out)",
        "contrast (held out)",
        "speckle noise",
    }
    mean = table.groupby("corruption")["distance"].mean()
    assert max(shown) == pytest.approx(mean.max(), abs=0.06)


def test_without_trained_corruptions_there_are_no_distances(with_set):
    scores = files.read_scores(with_set).changed(trained=())
    assert distances.distances(with_set, scores) == {name: {} for name in CLASSES}
    assert distances.frame({}).empty

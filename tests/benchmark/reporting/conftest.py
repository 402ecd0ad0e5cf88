"""A workspace of two tiny data sets that is scored and reported, once; and what a page would load."""

import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from benchmark import report, score
from pipeline.io import npz
from pipeline.io.records import write_record
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.paths import Workspace

from ..conftest import CLASSES, COUNT, entry, labels_of, params, prediction_record, write_logits, write_manifest


class Page(HTMLParser):
    """Collects what a page would load, its nesting, its text, and the ids that it has and refers to."""

    def __init__(self, html):
        super().__init__()
        self.loads, self.open, self.ids, self.links, self.text = [], [], [], [], ""
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.loads += [values[key] for key in ("src", "srcset", "data", "poster") if key in values]
        if tag == "link":
            self.loads.append(values.get("href"))
        if "id" in values:
            self.ids.append(values["id"])
        for key in ("href", "xlink:href", "clip-path"):
            target = values.get(key, "").removeprefix("url(").removesuffix(")")
            if target.startswith("#"):
                self.links.append(target[1:])
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def fill_scored(root, **benchmark):
    """Write images, logits and records: 4 of 40 wrong clean; corrupted the base has 8 wrong, the better one 6."""
    values = params(**benchmark)
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    workspace = Workspace(root)
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 224, 224, 3), np.uint8)
    for name in CLASSES:
        write_manifest(workspace, name, {"test": entry(labels_of(name))})
        with npz.write(workspace.npz(Cell(name, "test")), labels_of(name), (224, 224, 3)) as writer:
            writer.append(images)
        for model in values["benchmark"]["models"]:
            for cell in cells_of(name, "test"):
                corrupted = 8 if model == "base" else 6
                write_logits(workspace, model, name, cell.name, 4 if cell.is_clean else corrupted)
    for model in values["benchmark"]["models"]:
        write_record(workspace.prediction_record(model), prediction_record(model))
    return workspace


@pytest.fixture(scope="session")
def first_report(tmp_path_factory):
    workspace = fill_scored(tmp_path_factory.mktemp("reported"))
    assert score.main(["--root", str(workspace.root)]) == 0
    assert report.main(["--root", str(workspace.root)]) == 0
    return workspace


@pytest.fixture
def reported(first_report):
    """A workspace with its report, to read."""
    return first_report


@pytest.fixture
def copied(first_report, tmp_path):
    """The same, to change."""
    shutil.copytree(first_report.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)

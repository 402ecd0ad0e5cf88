import base64
import io

import numpy as np
from PIL import Image

from benchmark.reporting.examples import examples
from benchmark.scoring import files
from pipeline.io import npz
from pipeline.workspace.cell import Cell

from ..conftest import COUNT, labels_of


def tiles(workspace):
    (example, _) = examples(workspace, files.read_scores(workspace))
    return example, {tile.corruption: tile for tile in example.tiles}


def test_a_picture_is_the_cells_own(copied):
    """From its file if that is there, and from a corruption made anew if not."""
    example, made = tiles(copied)
    assert (example.dataset, example.truth, example.index) == ("oct", "DME", 1)
    assert list(made)[:2] == ["clean", "gaussian_noise"]
    assert made["contrast"].answers == {"base": ("DRUSEN", False), "better": ("DRUSEN", False)}
    with npz.write(copied.npz(Cell("oct", "test", "contrast", 3)), labels_of("oct"), (224, 224, 3)) as writer:
        writer.append(np.full((COUNT, 224, 224, 3), 200, np.uint8))
    _, read = tiles(copied)
    assert made["clean"].picture == read["clean"].picture
    assert made["contrast"].picture != read["contrast"].picture
    image = Image.open(io.BytesIO(base64.b64decode(read["contrast"].picture.partition(",")[2])))
    assert image.getextrema() == ((200, 200),) * 3

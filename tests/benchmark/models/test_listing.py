from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.models import Preprocessing, load, records
from benchmark.models.listing import tables

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_page_has_the_records():
    page = PAGE.read_text(encoding="utf-8")
    between = page.partition("<!-- records -->\n")[2].partition("\n<!-- end of records -->")[0]
    assert between.strip() == tables(), "run `python -m benchmark.models.listing` and put its lines into docs/models.md"


def test_preprocessing_in_words():
    assert records()["medclip"].preprocessing.in_words() == (
        "grey, 224 px bicubic, on a black square; mean 0.5863, sd 0.2795"
    )
    plain = Preprocessing(size=224, mean=(0, 0, 0), std=(1, 1, 1))
    assert plain.in_words() == "224 px bicubic, shorter side, centre crop; values 0 to 1"
    assert plain.changed(resize="squash").in_words() == "224 px bicubic, both sides; values 0 to 1"
    assert plain.changed(resized=256).in_words() == "224 px bicubic, shorter side to 256, centre crop; values 0 to 1"
    squashed = plain.changed(resize="squash", resized=256, interpolation="bilinear")
    assert squashed.in_words() == "224 px bilinear, both sides to 256, centre crop; values 0 to 1"
    assert plain.changed(resize="none").in_words() == "224 px bicubic, not resized, centre crop; values 0 to 1"


@pytest.mark.zoo
@pytest.mark.parametrize(
    "name", ["clip", "clip-rn50", "medclip", "medclip-resnet", "biomedclip", "unimedclip-l14-base"]
)
def test_the_size_is_that_of_the_architecture(name, words):
    model = load(name, weights_dir=words, random_init=True)
    parameters = [one for tower in (model.image_tower, model.text_tower) for one in tower.parameters()]
    assert sum(one.numel() for one in parameters) / 1e6 == pytest.approx(records()[name].parameters, abs=0.06)

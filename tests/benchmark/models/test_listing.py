from __future__ import annotations

from pathlib import Path

from benchmark.models import records
from benchmark.models.listing import tables

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_page_has_the_records():
    page = PAGE.read_text(encoding="utf-8")
    between = page.partition("<!-- records -->\n")[2].partition("\n<!-- end of records -->")[0]
    assert between.strip() == tables(), "run `python -m benchmark.models.listing` and put its lines into docs/models.md"


def test_preprocessing_in_words():
    medclip, plain = (records()[name].preprocessing.in_words() for name in ("medclip", "robustmedclip"))
    assert medclip == "grey, 224 px bicubic, on a black square; mean 0.5863, sd 0.2795"
    assert plain == "224 px bicubic, shorter side, centre crop; values 0 to 1"

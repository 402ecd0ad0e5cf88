"""What tells one white blood cell from another: one row a class, lengths in cell radii.

The area of the nucleus and of the cell, the stain and the red cells come from the same distributions for every
class; a row says only how the cell is built.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.sources.phantom.camera import Colour

LILAC: Colour = (0.86, 0.78, 0.87)
PINK: Colour = (0.93, 0.78, 0.80)
BLUE: Colour = (0.62, 0.68, 0.86)
DEEP_BLUE: Colour = (0.45, 0.54, 0.80)
GREY_BLUE: Colour = (0.70, 0.72, 0.80)


@dataclass(frozen=True)
class Granules:
    """Granules of the cytoplasm: colour, radius in pixels, share of the cell that they fill, over the nucleus too."""

    colour: Colour
    radius: tuple[float, float]
    count: tuple[int, int]
    over: float = 0.0


ORANGE = Granules((0.90, 0.42, 0.26), (2.4, 3.4), (70, 110), 0.12)
DARK = Granules((0.22, 0.10, 0.36), (2.4, 4.2), (35, 60), 1.0)
FINE = Granules((0.74, 0.50, 0.66), (0.9, 1.3), (90, 150), 0.0)
AZURE = Granules((0.52, 0.14, 0.42), (1.3, 2.0), (60, 100), 0.5)
NONE = Granules((0.5, 0.2, 0.5), (1.0, 1.4), (0, 6), 0.0)


@dataclass(frozen=True)
class Cell:
    """One class of cell.

    Attributes:
        nucleus: round, oval, kidney, folded, band, segmented, two_lobed, cleft, smudge or none.
        share: of the cell's area that the nucleus covers.
        cytoplasm: colour.
        granules: what lies in it.
        clumps: strength of the chromatin's pattern; grain: its size, pixels (a power of two).
        nucleoli: fewest and most.
        vacuoles: fewest and most.
        ragged: how far the outline strays from a circle.
        offset: how far the nucleus is from the middle.
    """

    nucleus: str
    share: tuple[float, float] = (0.36, 0.50)
    cytoplasm: Colour = LILAC
    granules: Granules = NONE
    clumps: float = 0.5
    grain: int = 8
    nucleoli: tuple[int, int] = (0, 0)
    vacuoles: tuple[int, int] = (0, 0)
    ragged: float = 0.04
    offset: float = 0.05


SEGMENTED = Cell("segmented", (0.33, 0.42), PINK, FINE, 0.7)
BAND = Cell("band", (0.33, 0.42), PINK, FINE, 0.7)
EOSINOPHIL = Cell("two_lobed", (0.33, 0.42), PINK, ORANGE, 0.6)
BASOPHIL = Cell("two_lobed", (0.36, 0.46), LILAC, DARK, 0.4)
LYMPHOCYTE = Cell("round", (0.56, 0.68), BLUE, NONE, 1.0, 16, ragged=0.02)
MONOCYTE = Cell("folded", (0.42, 0.52), GREY_BLUE, NONE, 0.8, 4, vacuoles=(4, 8), ragged=0.07)
ERYTHROBLAST = Cell("round", (0.30, 0.38), (0.80, 0.70, 0.78), NONE, 2.0, 8, ragged=0.02, offset=0.1)
METAMYELOCYTE = Cell("kidney", (0.40, 0.48), PINK, FINE, 0.7, offset=0.12)
MYELOCYTE = Cell("oval", (0.40, 0.48), (0.88, 0.76, 0.84), FINE, 0.9, 16, offset=0.26)
PROMYELOCYTE = Cell("oval", (0.46, 0.54), BLUE, AZURE, 0.4, 4, (1, 2), offset=0.22)

AML: tuple[Cell, ...] = (
    BASOPHIL,
    ERYTHROBLAST,
    EOSINOPHIL,
    Cell("smudge", (0.55, 0.70), LILAC, NONE, 0.9, 16),
    Cell("oval", (0.38, 0.46), DEEP_BLUE, NONE, 0.9, 16, ragged=0.16, offset=0.12),
    LYMPHOCYTE,
    METAMYELOCYTE,
    Cell("oval", (0.48, 0.56), GREY_BLUE, NONE, 0.25, 4, (1, 1), (4, 8), 0.06, 0.1),
    MONOCYTE,
    MYELOCYTE,
    Cell("round", (0.56, 0.68), BLUE, NONE, 0.25, 4, (2, 4), ragged=0.03),
    BAND,
    SEGMENTED,
    Cell("cleft", (0.48, 0.56), BLUE, AZURE, 0.4, 4, (1, 2)),
    PROMYELOCYTE,
)
"""In MedIMeta's label order: cards/aml.yaml has the names."""

PBC: tuple[tuple[Cell, ...], ...] = (
    (SEGMENTED, SEGMENTED, BAND),
    (EOSINOPHIL,),
    (BASOPHIL,),
    (LYMPHOCYTE,),
    (MONOCYTE,),
    (METAMYELOCYTE, MYELOCYTE, PROMYELOCYTE),
    (ERYTHROBLAST,),
    (Cell("none", (0.36, 0.50), LILAC, AZURE),),
)
"""In MedIMeta's label order: cards/pbc.yaml has the names; a class of several kinds shows one of them."""

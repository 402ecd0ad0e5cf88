"""What tells one white blood cell from another: one row a class, lengths in cell radii.

The area of the nucleus and of the cell, the stain and the red cells come from the same distributions for every
class; a row says only how the cell is built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.sources.phantom.camera import Colour

LILAC: Colour = (0.86, 0.78, 0.87)
PINK: Colour = (0.93, 0.78, 0.80)
BLUE: Colour = (0.62, 0.68, 0.86)
DEEP_BLUE: Colour = (0.45, 0.54, 0.80)
ROSE: Colour = (0.84, 0.72, 0.80)
GREY_BLUE: Colour = (0.70, 0.72, 0.80)


@dataclass(frozen=True)
class Granules:
    """Granules of the cytoplasm: colour, radius in pixels, share of the cell that they fill, over the nucleus too."""

    colour: Colour
    radius: tuple[float, float]
    count: tuple[int, int]
    over: float = 0.0


ORANGE = Granules((0.92, 0.44, 0.24), (3.0, 4.2), (280, 340), 0.10)
DARK = Granules((0.17, 0.07, 0.30), (3.2, 5.2), (100, 140), 1.0)
FINE = Granules((0.76, 0.50, 0.66), (1.0, 1.5), (120, 180), 0.0)
AZURE = Granules((0.56, 0.08, 0.36), (2.2, 3.2), (120, 170), 0.45)
PACKED = Granules((0.56, 0.08, 0.36), (2.2, 3.2), (200, 260), 0.45)
SPARSE = Granules((0.50, 0.12, 0.40), (1.3, 1.9), (60, 90), 0.0)
NONE = Granules((0.5, 0.2, 0.5), (1.0, 1.4), (0, 6), 0.0)


@dataclass(frozen=True)
class BloodCell:
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


SEGMENTED = BloodCell("segmented", (0.36, 0.44), PINK, FINE, 0.7)
BAND = BloodCell("band", (0.36, 0.44), PINK, FINE, 0.7)
EOSINOPHIL = BloodCell("two_lobed", (0.36, 0.44), PINK, ORANGE, 0.6)
BASOPHIL = BloodCell("two_lobed", (0.38, 0.46), LILAC, DARK, 0.4)
LYMPHOCYTE = BloodCell("round", (0.58, 0.68), BLUE, NONE, 1.5, 16, ragged=0.02)
MONOCYTE = BloodCell("folded", (0.40, 0.48), GREY_BLUE, NONE, 0.8, 4, vacuoles=(8, 12), ragged=0.08)
ERYTHROBLAST = BloodCell("round", (0.36, 0.44), ROSE, NONE, 1.6, 8, ragged=0.02, offset=0.1)
METAMYELOCYTE = BloodCell("kidney", (0.40, 0.48), PINK, FINE, 0.7, offset=0.12)
MYELOCYTE = BloodCell("oval", (0.40, 0.48), ROSE, SPARSE, 0.9, 16, offset=0.28)
PROMYELOCYTE = BloodCell("oval", (0.42, 0.50), LILAC, PACKED, 0.4, 4, (1, 1), offset=0.28)

AML: tuple[BloodCell, ...] = (
    BASOPHIL,
    ERYTHROBLAST,
    EOSINOPHIL,
    BloodCell("smudge", (0.56, 0.72), LILAC, NONE, 0.8, 8),
    BloodCell("oval", (0.38, 0.46), DEEP_BLUE, NONE, 0.9, 16, ragged=0.16, offset=0.12),
    LYMPHOCYTE,
    METAMYELOCYTE,
    BloodCell("oval", (0.46, 0.54), BLUE, NONE, 0.25, 4, (1, 1), ragged=0.1, offset=0.3),
    MONOCYTE,
    MYELOCYTE,
    BloodCell("round", (0.50, 0.60), BLUE, NONE, 0.2, 4, (3, 4), ragged=0.05),
    BAND,
    SEGMENTED,
    BloodCell("cleft", (0.42, 0.50), BLUE, AZURE, 0.4, 4),
    PROMYELOCYTE,
)
"""In MedIMeta's label order: cards/aml.yaml has the names."""

PBC: tuple[tuple[BloodCell, ...], ...] = (
    (SEGMENTED, SEGMENTED, BAND),
    (EOSINOPHIL,),
    (BASOPHIL,),
    (LYMPHOCYTE,),
    (MONOCYTE,),
    tuple(replace(kind, granules=PACKED, clumps=0.4) for kind in (METAMYELOCYTE, MYELOCYTE, PROMYELOCYTE)),
    (ERYTHROBLAST,),
    (BloodCell("none", (0.36, 0.50), LILAC, AZURE),),
)
"""In MedIMeta's label order: cards/pbc.yaml has the names; a class of several kinds shows one of them."""

"""The exact kernels against the published float formulas: within one grey level, or of the same distribution."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy import stats

from corruptions import CORRUPTIONS, SEVERITIES, BackendUnavailable, Strength, corrupt, literature, strength
from corruptions.cpu import draws
from corruptions.cpu.motion import motion_blur
from corruptions.cpu.pixelate import pixelate
from corruptions.draws import philox_key
from corruptions.spec import find_kernel
from corruptions.table import COLUMNS
from tests.corruptions.literature.photographs import photographs

DATASETS = tuple({column: dataset for dataset, column in COLUMNS.items()}.values())
ANGLES = np.array([0, 127, 31, 255, 100, 128, 200], np.uint8)


def _cells(noises: bool) -> list[tuple[str, Strength]]:
    """Return every cell of the table whose kernel and parameters no earlier one has."""
    seen: dict[str, tuple[str, Strength]] = {}
    for profile, datasets in (("imagenet-c", DATASETS[:1]), ("modality", DATASETS)):
        for name in CORRUPTIONS:
            for dataset in datasets:
                for severity in SEVERITIES:
                    cell = strength(name, severity, profile=profile, column=dataset)
                    seen.setdefault(f"{cell.kernel} {cell.parameters}", (name, cell))
    return [cell for cell in seen.values() if (cell[1].draws == ("uniforms",)) == noises]


def _name(cell: Any) -> str:
    return f"{cell[1].kernel}-{'-'.join(str(v) for v in cell[1].parameters.values())}"[:60]


@pytest.fixture(scope="module")
def pictures() -> dict[str, NDArray[np.uint8]]:
    return photographs()


def _apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[int, float]:
    """Return the largest difference in levels, and the fraction of the elements that differ at all."""
    difference = np.abs(one.astype(np.int16) - other)
    return int(difference.max()), float((difference > 0).mean())


# Fraction of the elements that may differ by their one level. On noise every sum is as likely as the next, so what is
# left are the fractions that fall on a rounding's edge; HSV and percentages have exact halves, which doubles miss.
FRACTION = {
    "motion_blur": 0.004,
    "zoom_blur": 0.025,
    "add_value": 0.3,
    "scale": 0.1,
    "channel_mean": 0.001,
    "luma_mean": 0.001,
    "pixelate": 0.0,
}


@pytest.mark.parametrize("cell", _cells(noises=False), ids=_name)
def test_within_one_level(cell: tuple[str, Strength], pictures: dict[str, NDArray[np.uint8]]) -> None:
    _, strength = cell
    for number, (what, picture) in enumerate(pictures.items()):
        if strength.kernel == "motion_blur":
            images, angles = picture.repeat(2, axis=0), ANGLES[number : number + 2]
            exact = motion_blur(images, angles, **strength.parameters)
            published = literature.motion_blur_in_float(images, angles, **strength.parameters)
        else:
            exact = find_kernel("cpu", strength.kernel)(picture, **strength.parameters)
            published = find_kernel("literature", strength.kernel)(picture, **strength.parameters)
        level, fraction = _apart(exact, published)
        assert level <= 1, what
        assert fraction <= FRACTION[strength.kernel], what


@pytest.fixture
def _magick() -> None:
    """Skip where ImageMagick's library is not installed: it is a system package, which pip cannot bring."""
    pytest.importorskip("wand.image", reason="ImageMagick's library is not installed", exc_type=ImportError)


@pytest.mark.usefixtures("_magick")
@pytest.mark.parametrize("cell", [c for c in _cells(noises=False) if c[0] == "motion_blur"], ids=_name)
def test_within_one_level_of_imagemagick(cell: tuple[str, Strength], pictures: dict[str, NDArray[np.uint8]]) -> None:
    _, strength = cell
    for number, what in enumerate(("retina, edge", "microaneurysms, grey", "noise")):
        images, angles = pictures[what].repeat(2, axis=0), ANGLES[2 * number : 2 * number + 2]
        level, fraction = _apart(
            motion_blur(images, angles, **strength.parameters),
            literature.motion_blur(images, angles, **strength.parameters),
        )
        assert level <= 1, what
        assert fraction <= 0.01, what


# At some sizes the float formulas stand on an edge, and double precision decides: zoom rounds 50 * 1.01 to 50, and
# Pillow's boxes and nearest neighbours share a pixel's centre. None of these sizes does, nor does 224.
@pytest.mark.parametrize("shape", [(97, 131, 1), (64, 48, 3), (5, 4, 3)], ids=str)
@pytest.mark.parametrize("name", [n for n in CORRUPTIONS if n != "pixelate"])
def test_other_sizes_are_within_one_level_too(name: str, shape: tuple[int, int, int]) -> None:
    if name == "motion_blur":
        pytest.importorskip("wand.image", reason="ImageMagick's library is not installed", exc_type=ImportError)
    images = np.random.default_rng(3).integers(0, 256, (2, *shape), np.uint8)
    for profile in ("imagenet-c", "modality"):
        where: Any = {"dataset": "fundus", "split": "val", "seed": 1, "profile": profile}
        for severity in SEVERITIES:
            exact = corrupt(images, name, severity, **where)
            published = corrupt(images, name, severity, backend="literature", **where)
            assert _apart(exact, published)[0] <= 1, severity


def test_pillow_pixelates_the_same_unless_a_centre_lies_on_an_edge() -> None:
    """At 64 x 48 and 50 or 25 percent no pixel's centre lies on two boxes' edge, so not even Pillow has to guess."""
    images = np.random.default_rng(4).integers(0, 256, (2, 64, 48, 3), np.uint8)
    for percent in (50, 25):
        assert np.array_equal(pixelate(images, percent=percent), literature.pixelate(images, percent=percent))


@pytest.mark.parametrize("percent", [60, 110, 150])
def test_pillow_enhances_like_the_formula_but_cuts_off(percent: int, pictures: dict[str, NDArray[np.uint8]]) -> None:
    tissue = pictures["tissue"]
    cut = np.asarray(ImageEnhance.Brightness(Image.fromarray(tissue[0])).enhance(percent / 100)).astype(np.int16)
    rounded = literature.scale(tissue, percent=percent)[0]
    assert set(np.unique(rounded - cut)) == {0, 1}
    cut = np.asarray(ImageEnhance.Contrast(Image.fromarray(tissue[0])).enhance(percent / 100)).astype(np.int16)
    rounded = literature.luma_mean(tissue, percent=percent)[0]
    assert set(np.unique(rounded - cut)) == {0, 1}


@pytest.mark.parametrize("cell", _cells(noises=True), ids=_name)
def test_noises_have_the_distribution_of_the_literature(cell: tuple[str, Strength]) -> None:
    name, strength = cell
    images = np.full((4, 224, 224, 3), 128, np.uint8)
    images[2] = 0
    images[3] = 250
    noisy = corrupt_as(strength, name, images)
    # Other random numbers, so that nothing but the distribution can agree.
    rng = np.random.default_rng(99)
    if strength.kernel == "gaussian_noise":
        std = strength.parameters["std"]
        published = np.clip(images / 255 + rng.normal(0, std, images.shape), 0, 1) * 255
        levels = np.floor(published + 0.5)
        for one, other in zip(noisy, levels, strict=True):
            tolerance = 5 * 255 * std / np.sqrt(one.size)
            assert abs(one.mean() - other.mean()) < 2 * tolerance
            assert abs(one.std() / other.std() - 1) < 0.02
            for bound in (0, 255):
                assert abs((one == bound).mean() - (other == bound).mean()) < 0.006
            assert stats.ks_2samp(one.ravel(), other.ravel()).statistic < 0.01
        inner = noisy[:2].ravel()
        distribution = stats.norm(128, 255 * std)
        for level in (60, 100, 127, 128, 150, 190):
            assert abs((inner <= level).mean() - distribution.cdf(level + 0.5)) < 0.004
    else:
        amount = strength.parameters["amount"]
        spread = 5 * np.sqrt(amount / 2 / noisy[:2].size)
        assert abs((noisy[:2] == 0).mean() - amount / 2) < spread + 1 / 65536
        assert abs((noisy[:2] == 255).mean() - amount / 2) < spread + 1 / 65536
        assert abs((noisy[:2] == 128).mean() - (1 - amount)) < 2 * spread + 1 / 65536
        by_channel = (noisy[:2] == 0).mean(axis=(0, 1, 2))
        assert np.ptp(by_channel) < 3 * spread, "each channel on its own"
        together = ((noisy[:2] == 0).all(axis=-1)).mean()
        assert together < 3 * (amount / 2) ** 3 + 1e-4, "each channel on its own"


def corrupt_as(strength: Strength, name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    drawn = draws.draw(strength, philox_key(11, "oct", "test", name), range(len(images)), images.shape)
    noisy: NDArray[np.uint8] = find_kernel("cpu", strength.kernel)(images, *drawn, **strength.parameters)
    level, fraction = _apart(noisy, find_kernel("literature", strength.kernel)(images, *drawn, **strength.parameters))
    assert level <= 1, "from the same draws the two agree to a level"
    assert fraction <= 0.02
    return noisy


@pytest.fixture
def _no_wand(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("wand"):
            raise ImportError("MagickWand shared library not found.")
        return real(name, *rest, **options)

    for module in [m for m in sys.modules if m.partition(".")[0] == "wand"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.usefixtures("_no_wand")
def test_only_motion_blur_misses_imagemagick_and_says_what_to_install() -> None:
    images = np.zeros((1, 8, 8, 1), np.uint8)
    where: Any = {"dataset": "oct", "split": "val", "seed": 1, "backend": "literature"}
    for name in CORRUPTIONS:
        if name == "motion_blur":
            with pytest.raises(BackendUnavailable, match="apt-get install libmagickwand"):
                corrupt(images, name, 1, **where)
        else:
            corrupt(images, name, 1, **where)

"""Two trees side by side: known differences, strengths that are found again, and trees that do not belong together."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from corruptions import sweep
from corruptions.spec import CORRUPTIONS
from pipeline import compare, sources

COUNT = 4


def write(folder: Path, name: str, images: np.ndarray, labels: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", images=np.repeat(images, 3, -1)[..., :3], labels=labels)


def fill(root: Path, dataset: str, clean: np.ndarray, seed: int, **options: str) -> Path:
    """Write a tree of one data set with the seven corruptions in a profile."""
    labels = [k % 2 for k in range(len(clean))]
    write(root / dataset / "test", "clean", clean, labels)
    for name in CORRUPTIONS:
        for severity, images in sweep(clean, name, dataset=dataset, split="test", seed=seed, **options):
            write(root / dataset / "test", f"{name}_severity_{severity}", images, labels)
    return root


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a tree of the profile imagenet-c and one of the profile modality, with other draws."""
    root = tmp_path_factory.mktemp("trees")
    clean = sources.load("phantom", "pneumonia", "test", root=root, count=COUNT, seed=1).read(range(COUNT))
    ours = fill(root / "ours", "pneumonia", clean, seed=1)
    return ours, fill(root / "theirs", "pneumonia", clean, seed=99, profile="modality")


def test_the_strengths_that_a_tree_was_made_with_are_found(trees: tuple[Path, Path], tmp_path: Path) -> None:
    comparison = compare.compare(*trees, tmp_path / "out")
    assert len(comparison.cells) == len(comparison.strengths) == 35
    for near in comparison.strengths:
        assert near.strengths[0] == f"modality xray {near.severity}", near
    zoomed = [cell for cell in comparison.cells if cell.corruption == "zoom_blur"]
    assert {(cell.mean_absolute, cell.psnr, cell.ssim, cell.equal) for cell in zoomed} == {(0.0, None, 1.0, 1.0)}
    page = (tmp_path / "out/index.html").read_text()
    assert "modality xray 3" in page
    assert page.count("data:image/jpeg") == 4 * len(CORRUPTIONS)
    assert "http" not in page
    assert len((tmp_path / "out/cells.csv").read_text().splitlines()) == 36
    assert json.loads((tmp_path / "out/comparison.json").read_text())["cells"][0]["images"] == COUNT


def test_a_difference_of_known_size(trees: tuple[Path, Path], tmp_path: Path) -> None:
    other = shutil.copytree(trees[0], tmp_path / "other")
    path = other / "pneumonia/test/contrast_severity_2.npz"
    arrays = dict(np.load(path))
    arrays["images"] = arrays["images"] ^ np.uint8(1)
    np.savez(path, **arrays)
    comparison = compare.compare(trees[0], other, tmp_path / "out")
    (changed,) = [cell for cell in comparison.cells if cell.psnr is not None]
    assert (changed.corruption, changed.severity, changed.mean_absolute, changed.equal) == ("contrast", 2, 1.0, 0.0)
    assert changed.psnr == pytest.approx(20 * np.log10(255))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda clean: {**clean, "images": clean["images"][::-1]}, "differ, the first at index 0"),
        (lambda clean: {**clean, "labels": clean["labels"][::-1]}, "has other labels in"),
        (lambda clean: {name: array[:3] for name, array in clean.items()}, "has other labels in"),
    ],
)
def test_other_clean_images_are_one_sentence(
    trees: tuple[Path, Path], tmp_path: Path, change: object, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(trees[0], tmp_path / "other")
    clean = dict(np.load(other / "pneumonia/test/clean.npz"))
    np.savez(other / "pneumonia/test/clean.npz", **change(clean))
    assert compare.main([str(trees[0]), str(other), "--out", str(tmp_path / "out")]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()[-1:]
    assert says in sentence
    assert not (tmp_path / "out").exists()


def test_trees_with_nothing_in_common(
    trees: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trees[0] / "pneumonia", other / "oct")
    assert compare.main([str(trees[0]), str(other), "--out", str(tmp_path / "out")]) == 1
    assert "nothing to compare" in capsys.readouterr().err


def test_what_only_one_tree_has_is_a_warning(
    trees: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(trees[0], tmp_path / "other")
    for path in (other / "pneumonia/test").glob("[!c]*.npz"):
        path.unlink()
    shutil.copytree(other / "pneumonia", other / "oct")
    assert compare.main([str(trees[0]), str(other), "--out", str(tmp_path / "out")]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert warnings[0] == "warning: oct is in one tree only"
    assert warnings[1:] == [
        f"warning: pneumonia, test: {name} is in one tree only" for name in sorted(CORRUPTIONS) if name != "contrast"
    ]

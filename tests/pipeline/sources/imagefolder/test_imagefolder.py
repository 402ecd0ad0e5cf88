"""Image folders: real photographs from file to verified npz, every kind of pixel, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from corruptions import CORRUPTIONS
from pipeline import prepare, sources, verify
from pipeline.config.params import read_config
from pipeline.errors import UserError
from pipeline.generation import cells
from pipeline.io import npz
from pipeline.sources import Clean, imagefolder
from pipeline.sources.imagefolder import pixels
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace

REPOSITORY = Path(__file__).parents[4]


def load(root: Path, dataset: str = "mine", split: str = "test", **options: Any) -> Clean:
    return sources.load("imagefolder", dataset, split, root=root, **options)


def put(folder: Path, name: str, image: Any, **options: Any) -> Path:
    """Save an array or a Pillow image under `folder`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits of two classes, one grey image of 224 x 224 in each."""
    for seed, split in enumerate(("val", "test")):
        for name in ("a", "b"):
            put(tmp_path / "mine" / split / name, "1.png", noise(224, 224, seed=seed))
    return tmp_path / "mine"


def tiles(photograph: Any) -> list[Any]:
    """Cut the squares of 224 x 224 that lie side by side in a photograph."""
    height, width = photograph.shape[:2]
    return [
        photograph[y : y + 224, x : x + 224] for y in range(0, height - 223, 224) for x in range(0, width - 223, 224)
    ]


def test_photographs_become_a_verified_benchmark(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    root = workspace.raw("imagefolder") / "photographs"
    shown: dict[str, list[Any]] = {
        "retina": tiles(skimage.data.retina())[7:13],
        "immunohistochemistry": [*tiles(skimage.data.immunohistochemistry()), *tiles(skimage.data.retina())[:2]],
        "microaneurysms": [skimage.data.microaneurysms()[y:, y:] for y in range(6)],  # smaller than 224 and grey
    }
    for name, photographs in shown.items():
        for number, image in enumerate(photographs):
            put(root / ("train", "val", "test")[number % 3] / name, f"{number}.png", image)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params |= {"source": "imagefolder", "datasets": ["photographs"], "columns": {"photographs": "fundus"}}
    params |= {"profile": "modality", "limit": None}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    config = read_config(workspace)

    prepare.prepare(workspace, "photographs", config, workers=2)
    for corruption in CORRUPTIONS:
        cells.corrupt(workspace, "photographs", corruption, config, cells.Execution(workers=2))
    assert verify.verify(workspace, config, workers=2).findings == []
    images, labels = npz.read(workspace.npz(Cell("photographs", "test")))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]  # folders sorted: immunohistochemistry, microaneurysms, retina
    np.testing.assert_array_equal(images[0], shown["immunohistochemistry"][2])
    np.testing.assert_array_equal(images[5], shown["retina"][5])


def test_a_split_is_sorted_by_class_and_number(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("b", "a"):
            for number in ("10.png", "2.png", "1.PNG", "x2.tif", "X10.jpeg"):
                put(tmp_path / "mine" / split / name, number, noise(224, 224))
    clean = load(tmp_path)
    assert clean.class_names == ("a", "b")
    order = ["1.PNG", "2.png", "10.png", "x2.tif", "X10.jpeg"]
    assert list(clean.image_ids) == [f"{name}/{number}" for name in "ab" for number in order]
    assert clean.labels.tolist() == [0] * 5 + [1] * 5
    assert list(load(tmp_path, count=4).image_ids) == ["a/1.PNG", "a/10.png", "b/1.PNG", "b/10.png"]


def test_a_tile_of_224_passes_through_untouched(folder: Path) -> None:
    clean = load(folder.parent, split="val")
    assert clean.channels == 1
    np.testing.assert_array_equal(clean.read([1, 0])[..., 0], [noise(224, 224)] * 2)


def test_one_coloured_image_in_any_split_makes_the_data_set_coloured(folder: Path) -> None:
    grey = noise(224, 224)
    put(folder / "test" / "a", "2.png", np.dstack([grey] * 3))  # RGB, but every pixel is grey
    assert load(folder.parent).channels == 1
    np.testing.assert_array_equal(load(folder.parent).read([1])[0, ..., 0], grey)
    put(folder / "val" / "a", "2.png", noise(224, 224, 3))
    clean = load(folder.parent)
    assert clean.channels == 3
    np.testing.assert_array_equal(clean.read([1])[0], np.dstack([grey] * 3))


def test_what_is_no_image_is_dropped_with_its_reason(folder: Path) -> None:
    (folder / "test" / "readme.txt").write_text("mine", encoding="utf-8")
    (folder / "test" / "a" / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "test" / "a" / ".DS_Store").write_text("not mine", encoding="utf-8")
    clean = load(folder.parent)
    assert list(clean.image_ids) == ["a/1.png", "b/1.png"]
    assert [name for name, _ in clean.dropped] == ["a/notes.txt", "readme.txt"]
    assert all(reason for _, reason in clean.dropped)


def refuse(root: Path, says: str, dataset: str = "mine", split: str = "test") -> None:
    with pytest.raises(UserError, match=says) as caught:
        load(root, dataset, split).read([0])
    check_sentence(caught.value)


def check_sentence(error: UserError, name: str = "") -> None:
    assert "\n" not in str(error)
    assert name in str(error)


def test_missing_folders_and_names_are_refused(folder: Path) -> None:
    root = folder.parent
    refuse(root, r"letters, digits and _.*'\.\./x'", "../x")
    refuse(root, "no split 'pretrain'", split="pretrain")
    refuse(root, "no folder .*other/test; put images into", "other")
    refuse(root, "no folder .*mine/train", split="train")
    (folder / "train").mkdir()
    refuse(root, "train has no folders", split="train")
    put(folder / "train" / "a", "1.png", noise(2, 2))
    refuse(root, "train has no folder for b, which val has")
    (folder / "train" / "b").mkdir()
    refuse(root, "train/b has no image", split="train")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("0.png", b"GIF89a", "cannot be read as an image"),
        ("0.jpg", b"", "cannot be read as an image"),
        ("0.png", noise(7, 1), "is 1 x 7"),
        ("0.tif", noise(224, 224).astype(np.float32), "floating-point"),
        ("0.tif", np.full((224, 224), np.nan, np.float32), "floating-point"),
        ("0.tif", np.tile(np.array([-5, 1], np.int32), (224, 112)), "signed pixel"),
        ("0.tif", Image.new("LAB", (224, 224)), "of mode LAB"),
    ],
)
def test_an_image_that_cannot_be_used_is_left_out_by_name(folder: Path, name: str, content: Any, why: str) -> None:
    path = folder / "test" / "a" / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        put(folder / "test" / "a", name, content)
    clean = load(folder.parent)
    assert list(clean.image_ids) == ["a/1.png", "b/1.png"]
    ((left_out, reason),) = clean.dropped
    assert left_out == f"a/{name}"
    assert why in reason
    (folder / "test" / "a" / "1.png").unlink()
    refuse(folder.parent, f"test/a has no image: 1 files are left out, such as a/{name}: .*{why}.*gitkeep")


def test_pages_are_no_image(folder: Path) -> None:
    pages = {"save_all": True, "append_images": [Image.fromarray(noise(224, 224))]}
    put(folder / "test" / "a", "0.tif", noise(224, 224), **pages)
    assert load(folder.parent).dropped == (("a/0.tif", "has 2 pages; save each as a file of its own"),)


def test_a_huge_image_is_left_out_before_it_is_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "PIXELS", 224 * 224)
    put(folder / "test" / "a", "0.png", noise(225, 224))
    assert "224 x 225; images have" in load(folder.parent).dropped[0][1]


def test_a_file_that_vanishes_or_gains_colour_is_noticed(folder: Path) -> None:
    clean = load(folder.parent)
    put(folder / "test" / "a", "1.png", noise(224, 224, 3))
    (folder / "test" / "b" / "1.png").unlink()
    with pytest.raises(UserError, match="has changed: it was grey"):
        clean.read([0])
    with pytest.raises(UserError, match="it was there when the folder was listed"):
        clean.read([1])


def test_the_files_that_a_build_depends_on_are_listed(folder: Path) -> None:
    (folder / "test" / "a" / "notes.txt").write_text("mine", encoding="utf-8")
    names = list(imagefolder.fetch(folder.parent, ["mine"], "unused"))
    images = [f"mine/{split}/{name}/1.png" for split in ("test", "val") for name in "ab"]
    assert names == [*images, "mine/test/a/notes.txt"], "what is left out stands in dropped.csv"


@pytest.mark.parametrize("kind", ["grey.png", "colour.png", "photo.jpg", "wide.tif", "packed.tif"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_a_damaged_file_gives_an_error_or_an_image(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    images = {
        "grey.png": (noise(20, 30), {}),
        "colour.png": (noise(20, 30, 3), {}),
        "photo.jpg": (noise(20, 30, 3), {}),
        "wide.tif": (noise(20, 30).astype(np.uint16), {}),
        "packed.tif": (noise(20, 30, 3), {"compression": "tiff_lzw"}),
    }
    image, options = images[kind]
    path = put(tmp_path / "mine" / "test" / "a", kind, image, **options)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, 200) | st.integers(0, len(whole) - 1)) % len(whole)] ^= data.draw(
            st.integers(1, 255)
        )
    path.write_bytes(bytes(damaged[: data.draw(st.none() | st.integers(0, len(whole)))]))
    try:
        clean = load(tmp_path)
        read = clean.read([0])
    except UserError as error:
        check_sentence(error, kind)
    else:
        assert read.shape == (1, 224, 224, clean.channels)
        assert read.dtype == np.uint8

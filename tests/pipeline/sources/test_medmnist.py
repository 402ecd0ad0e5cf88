"""Small npz files as MedMNIST+ and MedMNIST-C write them: read as they should be, and refused where broken."""

import hashlib
import io
import pickle
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import adopt, sources
from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.io.checksums import file_checksum
from pipeline.sources import Clean, medmnist
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.manifest import ArraysEntry
from pipeline.workspace.paths import Workspace

from .medmnist_files import SIZES, pixels, release, write


def load(root: Path, dataset: str = "breastmnist", split: str = "test", **options: Any) -> Clean:
    return sources.load("medmnist", dataset, split, root=root, **options)


@pytest.mark.parametrize("deflate", [True, False])
@pytest.mark.parametrize(("dataset", "colour"), [("bloodmnist", True), ("octmnist", False)])
def test_a_split_comes_as_it_stands(tmp_path: Path, dataset: str, colour: bool, deflate: bool) -> None:
    write(tmp_path, dataset, colour=colour, deflate=deflate)
    for seed, (split, count) in enumerate(SIZES.items()):
        clean = load(tmp_path, dataset, split)
        expected = pixels(count, (224, 224, 3) if colour else (224, 224, 1), seed)
        assert clean.channels == (3 if colour else 1)
        assert clean.class_names == medmnist.CLASSES[dataset]
        assert clean.labels.tolist() == [row % 2 for row in range(count)]
        assert clean.labels.dtype == np.int64
        assert list(clean.image_ids) == [f"{split}_images/{row}" for row in range(count)]
        np.testing.assert_array_equal(clean.read(range(count)), expected)
        np.testing.assert_array_equal(clean.read([2, 0, 2]), expected[[2, 0, 2]])
        assert clean.read([]).shape == (0, 224, 224, clean.channels)


def test_a_count_is_spread_over_the_split(tmp_path: Path) -> None:
    write(tmp_path, "breastmnist")
    clean = load(tmp_path, split="train", count=3)
    assert list(clean.image_ids) == ["train_images/0", "train_images/1", "train_images/4"]
    np.testing.assert_array_equal(clean.read([2])[..., 0], pixels(9)[[4]])


def test_deflated_rows_are_read_from_any_place_by_many_threads_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.io.zip._CHECKPOINT_EVERY", 1 << 20)
    images = pixels(240)  # 12 MB
    nothing: dict[str, Any] = dict.fromkeys(("val_images", "val_labels", "test_images", "test_labels"))
    write(tmp_path, "octmnist", train_images=images, train_labels=np.zeros((240, 1), int), **nothing)
    tracemalloc.start()
    clean = load(tmp_path, "octmnist", "train")
    clean.read(range(100, 110))
    assert tracemalloc.get_traced_memory()[1] < 6e6
    tracemalloc.stop()
    chunks = [range(start, start + 10) for start in range(0, 240, 10)][::-1]
    with ThreadPoolExecutor(4) as pool:
        for chunk, read in zip(chunks, pool.map(clean.read, chunks), strict=True):
            assert (read[..., 0] == images[chunk.start : chunk.stop]).all()


def test_the_severities_of_medmnist_c(tmp_path: Path) -> None:
    (tmp_path / "breastmnist").mkdir()
    images = pixels(15)
    path = medmnist.corrupted_file(tmp_path, "breastmnist", "pixelate")
    np.savez_compressed(path, test_images=images, test_labels=np.tile([[1], [0], [1]], (5, 1)))
    found = medmnist.load_corrupted("breastmnist", "pixelate", root=tmp_path)
    assert len(found) == 5
    for place, one in enumerate(found):
        np.testing.assert_array_equal(one.read(range(3))[..., 0], images[3 * place : 3 * place + 3])
        assert one.labels.tolist() == [1, 0, 1]
    assert found[3].image_ids == ["test_images/9", "test_images/10", "test_images/11"]
    for corruption in ("../pixelate", "saturate"):
        with pytest.raises(UserError, match=r"breastmnist has no corruption .*; have pixelate, jpeg_compression"):
            medmnist.load_corrupted("breastmnist", corruption, root=tmp_path)
    np.savez_compressed(path, test_images=images[:14], test_labels=np.zeros((14, 1), int))
    with pytest.raises(UserError, match="has 14 images"):
        medmnist.load_corrupted("breastmnist", "pixelate", root=tmp_path)


@pytest.mark.parametrize(
    ("dataset", "colour", "channels"), [("breastmnist", False, 3), ("breastmnist", False, 1), ("retinamnist", True, 3)]
)
def test_a_release_is_adopted(
    tmp_path: Path, dataset: str, colour: bool, channels: int, capsys: pytest.CaptureFixture[str]
) -> None:
    release(tmp_path, dataset, colour=colour)
    command = ["--root", str(tmp_path), "--dataset", dataset, *(["--channels", "native"] if channels == 1 else [])]
    assert adopt.main(command) == 0
    names = medmnist.CORRUPTED[dataset]
    assert capsys.readouterr().out == f"{dataset}: clean and {len(names)} corruptions at 5 severities\n"
    layout = Workspace(tmp_path)
    facts = manifest.read_clean(layout, dataset)
    assert facts.corruptions == names
    assert facts.class_names == medmnist.CLASSES[dataset]
    assert (facts.source, facts.seed, facts.native_channels) == ("medmnist-c", None, 3 if colour else 1)
    assert facts.channels == channels
    clean = npz.read(layout.npz(Cell(dataset, "test")))
    assert facts.splits == {
        "test": ArraysEntry(count=5, per_class=(3, 2, *[0] * (len(facts.class_names) - 2)), **sums(clean))
    }
    for seed, name in enumerate(names):
        entries = manifest.read_corruption(layout, dataset, name).cells["test"]
        images = pixels(25, (224, 224, 3) if colour else (224, 224, 1), 10 + seed)
        for severity in range(1, 6):
            cell = npz.read(layout.npz(Cell(dataset, "test", name, severity)))
            expected = np.broadcast_to(images[5 * severity - 5 : 5 * severity], (5, 224, 224, channels))
            np.testing.assert_array_equal(cell.images, expected)
            assert cell.labels.tolist() == [0, 1, 0, 1, 0]
            assert entries[severity].model_dump().items() >= sums(cell).items()
    file = medmnist.corrupted_file(layout.raw("medmnist-c"), dataset, "pixelate")
    assert manifest.read_corruption(layout, dataset, "pixelate").release_sha256 == file_checksum(file)
    assert adopt.main(command) == 0, "again, over what is there"


def sums(arrays: npz.Arrays) -> dict[str, str]:
    return {
        name: hashlib.sha256(np.ascontiguousarray(getattr(arrays, name)).tobytes()).hexdigest()
        for name in ("images", "labels")
    }


def test_a_release_that_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def says(root: Path) -> str:
        assert adopt.main(["--root", str(root), "--dataset", "breastmnist"]) == 1
        return capsys.readouterr().err

    release(tmp_path / "order", contrast_down=np.tile([[1], [0], [0], [1], [0]], (5, 1)))
    assert "contrast_down.npz has other labels at severity 1 of contrast_down than clean test of breastmnist" in says(
        tmp_path / "order"
    )
    assert not Workspace(tmp_path / "order").manifest("breastmnist", "clean").exists()
    release(tmp_path / "hole")
    medmnist.corrupted_file(Workspace(tmp_path / "hole").raw("medmnist-c"), "breastmnist", "motion_blur").unlink()
    assert "breastmnist/motion_blur.npz: put the released file there" in says(tmp_path / "hole")
    built = Workspace(tmp_path / "built")
    facts = {"dataset": "breastmnist", "seed": 1, "native_channels": 1, "channels": 1, "class_names": (), "splits": {}}
    manifest.write(built, manifest.CleanManifest(source="medmnist", **facts))
    assert "has breastmnist from medmnist already; adopt into a folder of its own" in says(tmp_path / "built")


def check_sentence(error: UserError) -> None:
    assert "\n" not in str(error)


def refuse(root: Path, says: str, dataset: str = "breastmnist", split: str = "test") -> None:
    with pytest.raises(UserError, match=says) as caught:
        load(root, dataset, split).read([0])
    check_sentence(caught.value)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path, "no data set '../x'; have bloodmnist", "../x")
    refuse(tmp_path, "no split 'pretrain'", split="pretrain")
    refuse(tmp_path, "breastmnist_224.npz: run `python -m pipeline.fetch`")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"test_images": None}, "no test_images.npy; it has train_images.npy"),
        ({"test_labels": None}, "no test_labels.npy"),
        ({"test_images": pixels(5, (28, 28))}, "files that end in _224.npz"),
        ({"test_images": pixels(5, (224, 224, 4))}, "files that end in _224.npz"),
        ({"test_images": np.ones((5, 224, 224), np.float32)}, "is float32"),
        ({"test_images": np.asfortranarray(pixels(5))}, "Fortran order"),
        ({"test_images": np.array([None] * 5)}, "pickled Python objects"),
        ({"test_images": pixels(0)}, "has 0 images"),
        ({"test_images": pixels(4)}, r"test_labels has the shape \(5, 1\) for 4 images"),
        ({"test_labels": np.array([[0], [1], [2], [0], [1]])}, "position 2 is 2; 2 classes have 0..1"),
        ({"test_labels": np.array([[0.0], [1.0], [np.nan], [0.0], [1.0]])}, "position 2 is nan"),
        ({"test_labels": np.zeros((5, 14), int)}, "labels must be"),
        ({"test_labels": np.array([None] * 5)}, "pickled Python objects"),
    ],
)
def test_arrays_must_be_images_and_labels(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    write(tmp_path, "breastmnist", **change)
    refuse(tmp_path, says)


def test_a_single_image_is_a_split(tmp_path: Path) -> None:
    write(tmp_path, "breastmnist", test_images=pixels(1), test_labels=np.array([1]))
    assert load(tmp_path).read([0]).shape == (1, 224, 224, 1)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = write(tmp_path, "breastmnist", test_labels=np.array([Trap(mark)] * 5, object))
    refuse(tmp_path, "pickled")
    path.write_bytes(pickle.dumps(Trap(mark)))
    refuse(tmp_path, "not a whole zip archive")
    assert not mark.exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 224, 224)})
    path = tmp_path / "breastmnist_224.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test_labels.npy", head.getvalue())
        archive.writestr("test_images.npy", head.getvalue() + bytes(50_000_000))
    refuse(tmp_path, "length does not fit its header")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        labels = io.BytesIO()
        np.save(labels, np.zeros(5, int))
        archive.writestr("test_labels.npy", labels.getvalue())
        archive.writestr("test_images.npy", head.getvalue() + bytes(50_000_000))
    refuse(tmp_path, "length does not fit its header")
    at = path.read_bytes().index(b"PK\x01\x02", path.read_bytes().index(b"PK\x01\x02") + 1) + 24
    raw = bytearray(path.read_bytes())
    raw[at : at + 4] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(raw)
    refuse(tmp_path, "more than it can")


@pytest.mark.parametrize("deflate", [True, False])
def test_a_flipped_pixel_is_noticed(tmp_path: Path, deflate: bool) -> None:
    path = write(tmp_path, "breastmnist", deflate=deflate)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"test_images.npy") + 100_000] ^= 1
    path.write_bytes(raw)
    refuse(tmp_path, "damaged|not a whole zip archive")


@pytest.fixture(scope="module")
def whole_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = pixels(2) // 200
    nothing: dict[str, Any] = dict.fromkeys(("train_images", "train_labels", "val_images", "val_labels"))
    return write(
        tmp_path_factory.mktemp("npz"),
        "breastmnist",
        **nothing,
        test_images=small,
        test_labels=np.array([[0], [1]]),
    )


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_a_damaged_file_gives_an_error_or_the_same_split(whole_npz: Path, data: st.DataObject) -> None:
    whole = whole_npz.read_bytes()
    damaged = bytearray(whole)
    ends = st.integers(0, 200) | st.integers(len(whole) - 400, len(whole) - 1)  # headers and directory
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(ends | st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        whole_npz.write_bytes(bytes(damaged[: data.draw(st.none() | st.integers(0, len(whole)))]))
        try:
            clean = load(whole_npz.parent)
            read = clean.read([0, 1])
        except UserError as error:
            check_sentence(error)
        else:
            np.testing.assert_array_equal(read[..., 0], pixels(2) // 200)
            assert clean.labels.tolist() == [0, 1]
    finally:
        whole_npz.write_bytes(whole)

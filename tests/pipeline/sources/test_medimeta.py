"""A tiny MedIMeta release in its documented layout: read as it should be, and refused where it is broken."""

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import sources
from pipeline.errors import UserError
from pipeline.sources import Clean
from pipeline.workspace.datasets import card
from tests.pipeline.sources.release import SPLIT_ROWS, pixels, write_release


def load(root: Path, dataset: str, split: str = "test", **options: Any) -> Clean:
    return sources.load("medimeta", dataset, split, root=root, **options)


@pytest.mark.parametrize(
    ("dataset", "layout", "chunks"),
    [
        ("aml", "NHWC", None),  # its task is `morphological class`, with a space
        ("aml", "NCHW", (1, 3, 224, 224)),
        ("fundus", "NHWC", (5, 224, 224, 3)),  # binary labels, colour
        ("mammo_mass", "NHWC", None),  # binary labels, grey
        ("mammo_mass", "NHW", None),
        ("oct", "NCHW", None),
    ],
)
def test_a_split_has_its_rows_in_ascending_order(tmp_path: Path, dataset: str, layout: str, chunks: Any) -> None:
    write_release(tmp_path, dataset, layout=layout, chunks=chunks)
    for split, rows in SPLIT_ROWS.items():
        clean = load(tmp_path, dataset, split)
        rows = sorted(rows)
        channels = 1 if card(dataset).grey else 3
        assert clean.channels == channels
        assert clean.class_names == card(dataset).classes
        assert list(clean.image_ids) == [f"images/{row:06d}.tiff" for row in rows]
        assert clean.labels.dtype == np.int64
        assert clean.labels.tolist() == [row % len(clean.class_names) for row in rows]
        read = clean.read(range(len(rows)))
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, pixels(12, channels)[rows])


def test_positions_may_be_in_any_order_repeated_or_none(tmp_path: Path) -> None:
    write_release(tmp_path, "aml")
    clean = load(tmp_path, "aml")
    whole = clean.read(range(3))
    np.testing.assert_array_equal(clean.read([2, 0, 2]), whole[[2, 0, 2]])
    assert clean.read([]).shape == (0, 224, 224, 3)


def test_a_count_is_spread_over_the_split(tmp_path: Path) -> None:
    write_release(tmp_path, "aml")
    assert list(load(tmp_path, "aml", "train", count=3).image_ids) == [f"images/{row:06d}.tiff" for row in (1, 2, 4)]
    assert len(load(tmp_path, "aml", "train", count=100).labels) == 6


@pytest.mark.parametrize("stored", [np.arange(12.0) % 2, (np.arange(12) % 2)[:, np.newaxis], np.arange(12) % 2 == 1])
def test_binary_labels_may_be_floats_a_column_or_booleans(tmp_path: Path, stored: Any) -> None:
    folder = write_release(tmp_path, "fundus")
    np.save(folder / "task_labels" / "disease presence.npy", stored)
    assert load(tmp_path, "fundus").labels.tolist() == [0, 1, 0]


def check_sentence(error: UserError) -> None:
    assert "\n" not in str(error)


def refuse(root: Path, dataset: str, says: str, split: str = "test") -> None:
    with pytest.raises(UserError, match=says) as caught:
        load(root, dataset, split).read([0])
    check_sentence(caught.value)


@pytest.mark.parametrize("missing", ["info.yaml", "images.hdf5", "splits/test.txt", "task_labels/cell class.npy"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    (write_release(tmp_path, "pbc") / missing).unlink()
    refuse(tmp_path, "pbc", missing)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path, "../x", "no data set '../x'")
    refuse(tmp_path, "aml", "run `python -m pipeline.fetch`")
    refuse(tmp_path, "aml", "no split 'pretrain'", "pretrain")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("images/000012.tiff", "line 1.*names none of the 12 images"),
        ("images/000000.tiff\n\n../../secret", "line 3"),
        ("images/000000.tiff\nimages/000000.tiff", "twice"),
        ("\n", "names no image"),
        ("\xff", "names none"),
    ],
)
def test_a_split_must_name_each_of_its_rows_once(tmp_path: Path, lines: str, says: str) -> None:
    (write_release(tmp_path, "aml") / "splits/test.txt").write_text(lines, encoding="utf-8")
    refuse(tmp_path, "aml", says)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.full(12, 15), "the label at position 0 is 15; 15 classes have 0..14"),
        (np.full(12, -1), "is -1"),
        (np.full(12, np.nan), "is nan"),
        (np.full(12, 0.5), "is 0.5"),
        (np.arange(11) % 2, r"the shape \(11,\) for 12 images"),
        (np.zeros((12, 2), int), "must be"),
        (np.array(["a"] * 12), "must be whole numbers"),
        (np.array([None] * 12), "pickled Python objects"),
    ],
)
def test_labels_must_fit_the_images_and_classes(tmp_path: Path, labels: Any, says: str) -> None:
    folder = write_release(tmp_path, "aml")
    np.save(folder / "task_labels" / "morphological class.npy", labels)
    refuse(tmp_path, "aml", says)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    folder = write_release(tmp_path, "aml")
    mark = tmp_path / "mark"
    path = folder / "task_labels" / "morphological class.npy"
    np.save(path, np.array([Trap(mark)], object))
    refuse(tmp_path, "aml", "pickled")
    path.write_bytes(pickle.dumps(Trap(mark)))
    refuse(tmp_path, "aml", "damaged")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": []}, "no task 'morphological class'; have"),
        ({"tasks": "none"}, "no list of tasks"),
        ({"input_size": [1, 224, 224]}, "3 channels, info.yaml's input_size 1"),
        ({"tasks": [{"task_name": "morphological class", "labels": {1: "a", 2: "b"}}]}, "number its classes 0, 1"),
        ({"tasks": [{"task_name": "morphological class", "labels": {0: "a", 1: "a"}}]}, "a name of its own"),
        ({"tasks": [{"task_name": "morphological class", "labels": {0: False, 1: "a"}}]}, "as text"),
    ],
)
def test_info_must_describe_the_task(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = write_release(tmp_path, "aml") / "info.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **change}))
    refuse(tmp_path, "aml", says)


def test_info_must_be_yaml_of_plain_values(tmp_path: Path) -> None:
    path = write_release(tmp_path, "aml") / "info.yaml"
    for text in ("a: [", "!!python/object/apply:os.system [true]", "2001-99-99", "[" * 5000, "\x00"):
        path.write_text(text, encoding="utf-8")
        refuse(tmp_path, "aml", "info.yaml is not YAML")


def test_images_must_be_pixels_of_224_in_the_file_itself(tmp_path: Path) -> None:
    path = write_release(tmp_path, "aml") / "images.hdf5"
    other = tmp_path / "other.hdf5"
    with h5py.File(other, "w") as file:
        file["images"] = pixels(12, 3)

    def rewrite(says: str, make: Any) -> None:
        with h5py.File(path, "w") as file:
            make(file)
        refuse(tmp_path, "aml", says)

    layout = h5py.VirtualLayout((12, 224, 224, 3), np.uint8)
    layout[:] = h5py.VirtualSource(other, "images", (12, 224, 224, 3))
    rewrite("no data set `images`", lambda file: file.create_dataset("pictures", data=pixels(2, 3)))
    rewrite("of its own", lambda file: file.__setitem__("images", h5py.ExternalLink(str(other), "images")))
    rewrite("in this file", lambda file: file.create_virtual_dataset("images", layout))
    rewrite("in this file", lambda file: file.create_group("images"))
    rewrite(
        "in this file",
        lambda file: file.create_dataset("images", (1, 224, 224), np.uint8, external=[(str(other), 0, 50176)]),
    )
    rewrite("must be uint8, not float32", lambda file: file.create_dataset("images", data=np.ones((2, 224, 224), "f4")))
    rewrite("N images of 224 x 224", lambda file: file.create_dataset("images", data=pixels(2, 3)[:, :100]))
    rewrite("N images of 224 x 224", lambda file: file.create_dataset("images", data=np.uint8(1)))
    rewrite("never written", lambda file: file.create_dataset("images", (12, 224, 224, 3), np.uint8))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_release(root, "mammo_calc", chunks=(4, 224, 224, 1))
    return root


@pytest.mark.parametrize("name", ["info.yaml", "images.hdf5", "splits/test.txt", "task_labels/pathology.npy"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_a_damaged_file_gives_an_error_or_a_well_formed_split(release: Path, name: str, data: st.DataObject) -> None:
    path = release / "mammo_calc" / name
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, min(len(whole), 4096) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(bytes(damaged[: data.draw(st.none() | st.integers(0, len(whole)))]))
        try:
            clean = load(release, "mammo_calc")
            read = clean.read(range(len(clean.labels)))
        except UserError as error:
            check_sentence(error)
        else:
            assert read.shape == (len(clean.labels), 224, 224, clean.channels)
            assert read.dtype == np.uint8
            assert ((clean.labels >= 0) & (clean.labels < len(clean.class_names))).all()
    finally:
        path.write_bytes(whole)

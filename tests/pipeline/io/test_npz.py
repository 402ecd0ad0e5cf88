from __future__ import annotations

import hashlib
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.io import npz
from pipeline.io.atomic import atomic_write, is_temporary


def arrays(count: int = 5, channels: int = 3) -> npz.Arrays:
    rng = np.random.default_rng(count)
    return npz.Arrays(rng.integers(0, 256, (count, 7, 9, channels), np.uint8), rng.integers(0, 4, count))


def write(path: Path, made: npz.Arrays, *, compression: str = "stored", batch: int = 2) -> dict[str, str]:
    with npz.write(path, made.labels, made.images.shape[1:], compression=compression) as writer:
        for start in range(0, len(made.images), batch):
            writer.append(made.images[start : start + batch])
    return writer.checksums._asdict()


@pytest.mark.parametrize("compression", npz.COMPRESSIONS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_reads_what_it_wrote_and_numpy_agrees(tmp_path: Path, compression: str, count: int) -> None:
    made = arrays(count)
    checksums = write(tmp_path / "x.npz", made, compression=compression)
    ours, opened = npz.read(tmp_path / "x.npz"), npz.Npz(tmp_path / "x.npz")
    np.testing.assert_array_equal(ours.images, made.images)
    np.testing.assert_array_equal(ours.labels, made.labels)
    np.testing.assert_array_equal(np.concatenate([*opened.chunks(2), made.images[:0]]), made.images)
    with np.load(tmp_path / "x.npz") as theirs:
        assert theirs["images"].dtype == np.uint8
        assert theirs["labels"].dtype == np.int64
        np.testing.assert_array_equal(theirs["images"], made.images)
        np.testing.assert_array_equal(theirs["labels"], made.labels)
    assert checksums["images"] == hashlib.sha256(made.images.tobytes()).hexdigest()
    assert checksums["labels"] == hashlib.sha256(made.labels.tobytes()).hexdigest()
    assert zipfile.ZipFile(tmp_path / "x.npz").testzip() is None


def test_stored_pixels_are_mapped_from_a_multiple_of_64_bytes(tmp_path: Path) -> None:
    write(tmp_path / "x.npz", arrays())
    images = npz.read(tmp_path / "x.npz").images
    assert isinstance(images, np.memmap)
    assert images.offset % 64 == 0
    assert not images.flags.writeable


@pytest.mark.parametrize("compression", npz.COMPRESSIONS)
def test_equal_arrays_give_equal_files_whatever_the_batch(tmp_path: Path, compression: str) -> None:
    write(tmp_path / "a.npz", arrays(40), compression=compression, batch=1)
    write(tmp_path / "b.npz", arrays(40), compression=compression, batch=17)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_stored_file_has_the_same_bytes_on_every_machine_and_python(tmp_path: Path) -> None:
    # zipfile writes other headers before and since 3.11.4, and another system's number on Windows.
    write(tmp_path / "x.npz", npz.Arrays(np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3), np.array([1, 0])))
    assert hashlib.sha256((tmp_path / "x.npz").read_bytes()).hexdigest()[:16] == "65d80155cd160788"


def test_noise_is_stored_within_a_deflated_member_and_the_rest_is_not(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (20, 160, 160, 3), np.uint8)  # two stored blocks each
    flat = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 160, 160, 3))
    made = npz.Arrays(np.concatenate([flat[:20], noise, flat[20:]]), np.zeros(60, np.int64))
    write(tmp_path / "x.npz", made, compression="deflated", batch=7)
    with np.load(tmp_path / "x.npz") as theirs:
        np.testing.assert_array_equal(theirs["images"], made.images)
    np.testing.assert_array_equal(npz.read(tmp_path / "x.npz").images, made.images)
    member = zipfile.ZipFile(tmp_path / "x.npz").getinfo("images.npy")
    # The 16th image after the last noise that was tried is tried again, and so are those after it.
    assert noise.nbytes < member.compress_size < 1.01 * (noise.nbytes + 12 * flat[0].size)


def test_reads_what_numpy_wrote(tmp_path: Path) -> None:
    made = arrays()
    np.savez(tmp_path / "stored.npz", images=made.images, labels=made.labels)
    np.savez_compressed(tmp_path / "deflated.npz", images=made.images, labels=made.labels)
    for name in ("stored.npz", "deflated.npz"):
        np.testing.assert_array_equal(npz.read(tmp_path / name).images, made.images)


def test_file_is_whole_or_absent(tmp_path: Path) -> None:
    made = arrays()
    path = tmp_path / "x.npz"
    with (
        pytest.raises(ValueError, match="1 of 5 images were not written"),
        npz.write(path, made.labels, (7, 9, 3)) as w,
    ):
        w.append(made.images[:4])
    with pytest.raises(ValueError, match="cannot append"), npz.write(path, made.labels, (7, 9, 3)) as w:
        w.append(made.images[:, :6])
    assert not list(tmp_path.iterdir())


def test_a_linked_file_is_replaced_and_never_written_in_place(tmp_path: Path) -> None:
    cached, path = tmp_path / "cache", tmp_path / "x.npz"
    write(cached, arrays(3))
    path.hardlink_to(cached)
    before = cached.read_bytes()
    write(path, arrays(4))
    assert cached.read_bytes() == before
    assert npz.read(path).labels.shape == (4,)


def test_the_next_success_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    (tmp_path / ".tmp-x.npz.0123abcd").write_bytes(b"half")
    with atomic_write(tmp_path / "x.npz") as first:
        first.write(b"one")
        write(tmp_path / "x.npz", arrays())  # another writer of the same file, done first
        assert len([p for p in tmp_path.iterdir() if is_temporary(p)]) == 1, "a living writer's file must stay"
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def spoiled(path: Path, kind: str) -> None:
    made = arrays()
    objects = np.array([{"a": 1}] * 5, dtype=object)
    contents = {
        "no images": {"labels": made.labels},
        "no labels": {"images": made.images},
        "objects": {"images": objects, "labels": made.labels},
        "objects as labels": {"images": made.images, "labels": objects},
        "float images": {"images": made.images / 255, "labels": made.labels},
        "int32 labels": {"images": made.images, "labels": made.labels.astype(np.int32)},
        "flat": {"images": made.images[0], "labels": made.labels},
        "counts differ": {"images": made.images, "labels": made.labels[:3]},
        "Fortran order": {"images": np.asfortranarray(made.images), "labels": made.labels},
    }
    if kind in contents:
        np.savez(path, **contents[kind])
        return
    write(path, made)
    data = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[:-100])
    elif kind == "text":
        path.write_text("not an npz")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", npz.header_bytes((10**12, 7, 9, 3), "|u1"))
            archive.writestr("labels.npy", npz.header_bytes((10**12,), "<i8"))


@pytest.mark.parametrize(
    "kind",
    [
        *("no images", "no labels", "objects", "objects as labels", "float images", "int32 labels", "flat"),
        *("counts differ", "Fortran order", "truncated", "text", "empty", "bomb"),
    ],
)
def test_anything_else_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npz"
    spoiled(path, kind)
    with pytest.raises(npz.NpzError, match=r"x\.npz"):
        npz.read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_zip_methods_are_refused_by_name(tmp_path: Path, method: int) -> None:
    path, made = tmp_path / "x.npz", arrays()
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in made._asdict().items():
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array)
    with pytest.raises(npz.NpzError, match="stored or deflated"):
        npz.read(path)


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(npz.NpzError, match="dvc repro"):
        npz.read(tmp_path / "x.npz")


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compression=st.sampled_from(npz.COMPRESSIONS))
def test_damage_is_an_npz_error_or_harmless(tmp_path: Path, data: st.DataObject, compression: str) -> None:
    path = tmp_path / "x.npz"
    made = arrays()
    write(path, made, compression=compression)
    whole_file = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        whole_file = whole_file[: data.draw(st.integers(0, len(whole_file) - 1), label="length")]
    else:
        for _ in range(data.draw(st.integers(1, 4), label="flips")):
            at = data.draw(st.integers(0, len(whole_file) - 1), label="at")
            whole_file[at] ^= data.draw(st.integers(1, 255), label="bits")
    path.write_bytes(whole_file)
    try:
        read = npz.read(path)
    except npz.NpzError:
        return
    assert read.images.dtype == np.uint8
    assert len(read.images) == len(read.labels)


def test_an_interrupt_between_creating_and_knowing_a_file_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("fcntl.flock", interrupted)  # called once the file is there
    try:
        with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "x.npz"):
            pytest.fail("the interrupt was lost")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.iterdir())

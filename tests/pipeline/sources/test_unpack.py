"""Archives from elsewhere: unpacked whole into their folder, or refused; never a byte beside it."""

import json
import shutil
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.io import npz
from pipeline.sources import unpack


def zipped(path: Path, entries: dict[str, bytes], **change: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name  # the constructor would tidy it
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in change.items():
                setattr(entry, key, value)
            made.writestr(entry, content)
    return path


def unpacked(archive: Path) -> Path:
    folder = archive.parent / "inside" / "set"
    folder.parent.mkdir(exist_ok=True)
    unpack.unpack(archive, folder, wanted=lambda name: True, needed="info.yaml")
    return folder


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "a//evil", "./evil", "C:evil", "..\\evil", "a/\\evil", "set/../../evil"],
)
def test_an_entry_that_leads_elsewhere_spoils_the_archive(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "set.zip", {"info.yaml": b"x", name: b"evil"})
    with pytest.raises(UserError, match="leads elsewhere"):
        unpacked(archive)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside", "set.zip"]


@pytest.mark.parametrize(
    ("entries", "change", "says"),
    [
        ({"info.yaml": b"/etc/passwd"}, {"external_attr": (stat.S_IFLNK | 0o777) << 16}, "link or device"),
        ({"info.yaml": b""}, {"external_attr": (stat.S_IFIFO | 0o777) << 16}, "link or device"),
        ({"info.yaml": b"x"}, {"compress_type": zipfile.ZIP_LZMA}, "packed in another way"),
        ({"other": b"x"}, {}, "has no info.yaml"),
        ({"info.yaml": b"x", "INFO.YAML": b"y"}, {}, "two entries of one name"),
        ({"info.yaml": b"x", "info.yaml/a": b"y"}, {}, "two entries of one name"),
        ({"info.yaml": bytes(50_000_000)}, {}, "would unpack to 1 entries of 50,000,000 bytes"),
    ],
)
def test_a_trap_is_not_unpacked(tmp_path: Path, entries: dict[str, bytes], change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        unpacked(zipped(tmp_path / "set.zip", entries, **change))
    assert list((tmp_path / "inside").iterdir()) == []


def test_encrypted_and_repeated_entries_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", {"info.yaml": b"x", "info.yamx": b"y"})
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"info.yamx", b"info.yaml"))
    with pytest.raises(UserError, match="two entries of one name"):
        unpacked(archive)
    for begins, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):  # APPNOTE 6.3.10, sections 4.3.12 and 4.3.7
        at = whole.index(begins) + flags
        whole = whole[:at] + bytes([whole[at] | 1]) + whole[at + 1 :]
    archive.write_bytes(whole)
    with pytest.raises(UserError, match="is encrypted"):
        unpacked(archive)
    assert list((tmp_path / "inside").iterdir()) == []


def test_an_archive_that_points_far_beyond_its_end_is_damaged(tmp_path: Path) -> None:
    """Seeking there is an error of the operating system, not of zipfile."""
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("images.npy", npz.header_bytes((1,), "|u1") + b"x")
        made.getinfo("images.npy").header_offset = 2**62
    with pytest.raises(UserError, match="is not a whole zip archive"):
        unpack.unpack(archive, tmp_path / "other", wanted=bool, needed="images.npy")
    with pytest.raises(UserError, match="is not a whole zip"):
        npz.Array(archive, "images", remedy="fetch it anew")


def test_an_archive_with_or_without_its_folder_gives_the_same(tmp_path: Path) -> None:
    entries = {"info.yaml": b"x", "splits/val.txt": b"y" * 100}
    for prefix in ("", "set/"):
        folder = unpacked(zipped(tmp_path / "set.zip", {prefix + name: text for name, text in entries.items()}))
        assert {name: (folder / name).read_bytes() for name in entries} == entries
        assert set(json.loads((folder / "receipt.json").read_text(encoding="utf-8"))["files"]) == set(entries)
        shutil.rmtree(folder)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_unpacked_right_and_never_beside(tmp_path: Path, data: st.DataObject) -> None:
    entries = {"info.yaml": b"tasks", "splits/val.txt": bytes(range(256)) * 4}
    archive = zipped(tmp_path / "set.zip", entries)
    raw = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    archive.write_bytes(bytes(raw[: data.draw(st.none() | st.integers(0, len(raw)))]))
    folder = tmp_path / "inside" / "set"
    try:
        unpacked(archive)
    except UserError:
        assert not folder.exists()
    else:
        right = set(entries.values())
        found = [path for path in folder.rglob("*") if path.is_file() and path.name != "receipt.json"]
        assert {path.read_bytes() for path in found} <= right
        shutil.rmtree(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "set.zip"]
    assert list((tmp_path / "inside").iterdir()) == []

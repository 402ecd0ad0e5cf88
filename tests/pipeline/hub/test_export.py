"""The export as files: what stands where, that it is the same every time, and what a second run writes again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from corruptions import CORRUPTIONS, SEVERITIES
from pipeline import export
from pipeline.hub import build
from pipeline.io import npz, parquet
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny

Streams = pytest.CaptureFixture[str]


def run(workspace: Workspace, *arguments: str) -> int:
    return export.main(["--root", str(workspace.root), *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def recorded(workspace: Workspace) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(workspace.export_record.read_text())
    return value


def refusal(workspace: Workspace, capsys: Streams) -> str:
    capsys.readouterr()
    assert run(workspace) == 1
    return capsys.readouterr().err


def test_every_cell_has_its_file_and_the_record_has_every_file(exported: Path) -> None:
    workspace = Workspace(exported)
    folder = workspace.export
    expected = {
        f"data/{dataset}/{split}/{name}-00000-of-00001.parquet"
        for dataset in tiny.CLASSES
        for split in ("validation", "test")
        for name in ["clean_severity_0", *(f"{c}_severity_{k}" for c in CORRUPTIONS for k in SEVERITIES)]
    }
    found = contents(folder)
    assert {path for path in found if path.endswith(".parquet")} == expected
    record = recorded(workspace)
    assert record["build"] == manifest.build_checksum(workspace, tiny.CLASSES)
    assert set(found) == {path for path in record["files"] if build.local_path(workspace, path).is_relative_to(folder)}
    for path, entry in record["files"].items():
        content = build.local_path(workspace, path).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["size"])
    sums = dict(reversed(line.split("  ")) for line in found["SHA256SUMS"].decode().splitlines())
    assert set(record["files"]) - set(sums) == {"README.md", "SHA256SUMS", "croissant.json"}
    assert all(sums[path] == record["files"][path]["sha256"] for path in sums)


def test_the_schema_names_the_classes_and_the_columns_are_small(exported: Path) -> None:
    path = Workspace(exported).export / "data/pbc/test/contrast_severity_4-00000-of-00001.parquet"
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    assert schema.names == ["image", "label", "corruption", "severity", "index", "image_id"]
    assert [str(schema.field(name).type) for name in schema.names[1:]] == [
        "int64",
        "string",
        "uint8",
        "int32",
        "string",
    ]
    told = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert told["label"]["names"] == tiny.CLASSES["pbc"]
    assert told["image"]["_type"] == "Image"
    row = file.read().to_pylist()[3]
    assert row["image"]["path"] == "contrast_severity_4/000003.png"
    assert (row["severity"], row["index"], row["image_id"]) == (4, 3, "pbc-test-3")
    group = file.metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["severity"].statistics.min == columns["severity"].statistics.max == 4
    assert columns["image.bytes"].statistics is None
    assert columns["image.bytes"].compression == "UNCOMPRESSED"


def test_two_exports_of_one_build_are_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    other = tiny.make(tmp_path / "other")
    assert run(other, "--workers", "3") == 0
    assert contents(other.export) == contents(Workspace(exported).export)
    assert recorded(other) == recorded(Workspace(exported))


def test_a_large_cell_is_several_files_of_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 4 * 8 * 8 * 3)
    monkeypatch.setattr(parquet, "SHARD_GROUPS", 2)
    images = np.random.default_rng(0).integers(0, 256, (21, 8, 8, 3), dtype=np.uint8)
    with npz.write(tmp_path / "x.npz", np.arange(21) % 2, (8, 8, 3)) as writer:
        writer.append(images)
    schema = parquet.features(["a", "b"]).arrow_schema
    source = npz.Npz(tmp_path / "x.npz")
    rows = parquet.Images("data/x/validation/contrast", source, "contrast", 2, [f"id{i}" for i in range(21)])
    shards = parquet.write(tmp_path, rows, schema)
    stem = "data/x/validation/contrast-0000"
    assert [shard.path for shard in shards] == [f"{stem}{i}-of-00003.parquet" for i in range(3)]
    assert [shard.rows for shard in shards] == [8, 8, 5]
    files = [pq.ParquetFile(tmp_path / shard.path) for shard in shards]
    assert [file.num_row_groups for file in files] == [2, 2, 2]
    assert [row["index"] for file in files for row in file.read(["index"]).to_pylist()] == list(range(21))


def test_a_second_export_writes_only_what_changed_or_broke(work: Workspace) -> None:
    folder = work.export

    def times() -> dict[str, int]:
        return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}

    before, bytes_before = times(), contents(folder)
    assert run(work) == 0
    assert times() == before
    assert contents(folder) == bytes_before
    broken = folder / "data/mammo_mass/test/clean_severity_0-00000-of-00001.parquet"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-1])
    (folder / "stray.txt").write_text("left by somebody")
    tiny.rewrite(work, "pbc", "zoom_blur", shift=3)
    assert run(work) == 0
    changed = {path for path, time in times().items() if time != before[path]}
    assert len(changed) == 2 * len(SEVERITIES) + 1
    assert all("pbc" in path and "zoom_blur" in path for path in changed if not path.startswith("data/mammo_mass"))
    assert broken.read_bytes() == whole
    assert not (folder / "stray.txt").exists()


def test_other_class_names_or_ids_are_another_export(work: Workspace) -> None:
    entries = recorded(work)["files"]
    rows = work.rows("pbc")
    rows.write_text(rows.read_text().replace("pbc-test-1", "renamed"))
    assert run(work) == 0
    pbc = {path for path in entries if path.startswith("data/pbc/")}
    changed = {path for path, entry in recorded(work)["files"].items() if entry != entries[path]}
    assert {path for path in changed if path.endswith(".parquet")} == pbc
    entries = recorded(work)["files"]
    path = work.manifest("pbc", "clean")
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "class_names": ["a", "b", "c"]}))
    assert run(work) == 0
    changed = {path for path, entry in recorded(work)["files"].items() if entry != entries[path]}
    assert {path for path in changed if path.endswith(".parquet")} == pbc


def test_an_interrupted_export_is_not_finished_and_goes_on(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    work.export_record.unlink()
    calls = []
    real = parquet.write

    def write(*arguments: Any) -> Any:
        calls.append(arguments[1].stem)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(parquet, "write", write)
    assert run(work, "--workers", "1") == 130
    assert recorded(work)["build"] is None
    calls[20:] = [None]
    assert run(work, "--workers", "1") == 0
    assert recorded(work)["build"]
    assert calls[21:]
    assert not set(calls[21:]) & set(calls[:19])


def test_an_npz_that_is_not_as_its_manifest_says_is_refused(work: Workspace, capsys: Streams) -> None:
    path = work.npz(Cell("pbc", "val", "contrast", 1))
    images, labels = npz.read(path)
    with npz.write(path, labels, images.shape[1:]) as writer:
        writer.append(images ^ np.uint8(1))
    assert f"{path} is not what its manifest says" in refusal(work, capsys)
    path.unlink()
    assert f"no {path}: run `dvc repro`" in refusal(work, capsys)


def test_manifests_of_two_builds_and_missing_ones_are_refused(work: Workspace, capsys: Streams) -> None:
    path = work.manifest("pbc", "contrast")
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "seed": 1}))
    assert "disagree on seed" in refusal(work, capsys)
    path.unlink()
    assert "contrast.json: restore it with git" in refusal(work, capsys)
    path.write_text(json.dumps(told))
    rows = work.rows("pbc")
    rows.write_text("\n".join(rows.read_text().splitlines()[:-3]))
    assert "rows of" in refusal(work, capsys)
    rows.unlink()
    assert "rows.csv" in refusal(work, capsys)

"""Published npz trees: adopted from a folder and from the Hub as they are, and refused where they do not fit."""

import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest

from pipeline import adopt
from pipeline.io import npz
from pipeline.workspace import manifest
from pipeline.workspace.cell import Cell, cells_of
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub.conftest import taken_for_real
from tests.pipeline.hub.store import Blob

LABELS = {"val": np.array([1, 0]), "test": np.array([0, 1, 1])}


def images_of(dataset: str, split: str, cell: Cell) -> np.ndarray:
    """Return images of random pixels, the clean ones of pneumonia grey."""
    seed = [sum(cell.name.encode()), len(dataset), len(split)]
    pixels = np.random.default_rng(seed).integers(0, 256, (len(LABELS[split]), 224, 224, 3), np.uint8)
    return pixels[..., [0, 0, 0]] if dataset == "pneumonia" and cell.is_clean else pixels


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published") / "a folder" / "MediMeta-C"
    for dataset, splits in (("pneumonia", ["val", "test"]), ("breastmnist", ["test"])):
        for split in splits:
            (root / dataset / split).mkdir(parents=True)
            for cell in cells_of(dataset, split, ("pixelate", "fog")):
                images = images_of(dataset, split, cell)
                np.savez_compressed(root / cell.path, images=images, labels=LABELS[split])
    return root


def test_a_tree_is_adopted_as_it_is(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adopt.main(["--root", str(tmp_path), "--tree", str(published.parent)]) == 0
    workspace = Workspace(tmp_path)
    assert capsys.readouterr().out.count("clean and 2 corruptions at 5 severities") == 2
    clean = manifest.read_clean(workspace, "pneumonia")
    assert (clean.source, clean.corruptions, clean.native_channels) == ("medimeta-c", ("fog", "pixelate"), 1)
    assert set(clean.splits) == {"val", "test"}
    assert list(manifest.read_clean(workspace, "breastmnist").splits) == ["test"]
    for cell in cells_of("pneumonia", "test", clean.corruptions):
        images, labels = npz.read(workspace.npz(cell))
        np.testing.assert_array_equal(images, images_of("pneumonia", "test", cell))
        assert labels.tolist() == [0, 1, 1]
    assert manifest.read_corruption(workspace, "pneumonia", "fog").release == "a folder"


def test_a_tree_comes_from_the_hub_at_a_commit(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with taken_for_real(tmp_path) as hub:
        address = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        repo = hub.store.create("dataset", "raza/MediMeta-C", private=False)
        files = {f"data/{path.relative_to(published)}": path.read_bytes() for path in published.rglob("*.npz")}
        commit = repo.commit({name: Blob.regular(content) for name, content in files.items()}, "release")
        repo.commit({"data/pneumonia/test/clean.npz": Blob.regular(b"later")}, "a later one")
        source = ["--root", str(tmp_path / "work"), "--hub", "raza/MediMeta-C", "--revision"]
        assert adopt.main([*source, "main"]) == 1
        assert "must be a commit, 40 hexadecimal digits" in capsys.readouterr().err
        assert adopt.main([*source, "0" * 40]) == 1
        assert f"the Hub does not give raza/MediMeta-C at {'0' * 40}" in capsys.readouterr().err
        assert adopt.main([*source, commit]) == 0
    workspace = Workspace(tmp_path / "work")
    assert manifest.read_corruption(workspace, "pneumonia", "pixelate").release == f"raza/MediMeta-C@{commit}"
    images, _ = npz.read(workspace.npz(Cell("pneumonia", "val", "pixelate", 2)))
    np.testing.assert_array_equal(images, images_of("pneumonia", "val", Cell("pneumonia", "val", "pixelate", 2)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: (t / "pneumonia/val/fog_severity_3.npz").unlink(), "one of 1 files that the tree lacks"),
        (lambda t: shutil.copytree(t / "pneumonia", t / "more/pneumonia"), "has pneumonia twice"),
        (lambda t: (t / "pneumonia").rename(t / "secret"), "nothing says what the classes of secret are called"),
        (lambda t: (t / "pneumonia/test/clean.npz").write_bytes(b"no zip"), "clean.npz"),
        (lambda t: shutil.rmtree(t / "pneumonia"), "no data set 'pneumonia' to adopt; have breastmnist"),
        (lambda t: shutil.rmtree(t), "name the folder of the tree, unpacked if it came packed"),
        (
            lambda t: np.savez(
                t / "pneumonia/test/fog_severity_2.npz", images=np.zeros((3, 224, 224, 3), np.uint8), labels=[1, 0, 0]
            ),
            "has other labels at severity 2 of fog than clean test of pneumonia",
        ),
        (
            lambda t: np.savez(
                t / "pneumonia/test/clean.npz", images=np.zeros((3, 28, 28), np.uint8), labels=[1, 0, 0]
            ),
            "it must be uint8 (N, 224, 224, 1 or 3)",
        ),
    ],
)
def test_a_tree_that_does_not_fit_is_one_sentence(
    published: Path, tmp_path: Path, spoil: object, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = shutil.copytree(published, tmp_path / "tree")
    spoil(tree)
    name = "secret" if "secret" in says else "pneumonia"
    assert adopt.main(["--root", str(tmp_path / "w"), "--tree", str(tree), "--dataset", name]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()[-1:]
    assert says in sentence
    assert not Workspace(tmp_path / "w").manifest(name, "clean").exists()

"""`corrupt` and `sweep`: what they refuse and in which words, what a backend is, what importing loads."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corruptions
from corruptions import BackendUnavailable, corrupt, strength, sweep
from corruptions.cpu import draws
from corruptions.spec import DrawKey
from tests.corruptions.pictures import waves

IMAGES = waves(2, 8, 9, 3)
CALL: dict[str, Any] = {
    "images": IMAGES,
    "name": "contrast",
    "severity": 1,
    "dataset": "oct",
    "split": "val",
    "seed": 0,
}

REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"images": IMAGES.astype(float)}, TypeError, "uint8 array of shape (N, H, W, C), not a float64 array"),
    ({"images": IMAGES.tolist()}, TypeError, "uint8 array of shape (N, H, W, C), not a list"),
    ({"images": IMAGES[0]}, ValueError, "C 1 or 3 and H, W >= 2, not (8, 9, 3)"),
    ({"images": IMAGES[..., :2]}, ValueError, "C 1 or 3 and H, W >= 2, not (2, 8, 9, 2)"),
    ({"images": IMAGES[:, :1]}, ValueError, "C 1 or 3 and H, W >= 2, not (2, 1, 9, 3)"),
    (
        {"name": "smear"},
        ValueError,
        "no corruption 'smear' at severity 1; have gaussian_noise, impulse_noise, motion_blur, "
        "zoom_blur, brightness, contrast, pixelate at 1..5",
    ),
    ({"name": ["contrast"]}, ValueError, "no corruption ['contrast'] at severity 1; have"),
    ({"severity": [1]}, ValueError, "at severity [1]; have"),
    ({"column": ["oct"], "profile": "modality"}, ValueError, "no column for data set ['oct']"),
    ({"severity": 0}, ValueError, "no corruption 'contrast' at severity 0; have"),
    ({"severity": 6}, ValueError, "at severity 6; have"),
    ({"severity": True}, ValueError, "at severity True; have"),
    ({"severity": 2.0}, ValueError, "at severity 2.0; have"),
    ({"severity": "1"}, ValueError, "at severity '1'; have"),
    ({"profile": "strong"}, ValueError, "no profile 'strong'; have imagenet-c, modality"),
    (
        {"dataset": "mine", "profile": "modality"},
        ValueError,
        "profile 'modality' has no column for data set 'mine'; have "
        "aml, pbc, fundus, mammo_calc, mammo_mass, oct, pneumonia",
    ),
    ({"column": "mine", "profile": "modality"}, ValueError, "no column for data set 'mine'"),
    ({"dataset": "ö"}, ValueError, "ASCII text, not 'ö'"),
    ({"dataset": 3}, ValueError, "ASCII text, not 3"),
    ({"split": "dev"}, ValueError, "no split 'dev'; have train, val, test"),
    ({"indices": [1]}, ValueError, "one per image: 2 images, indices of shape (1,)"),
    ({"indices": [0, -1]}, ValueError, "integers from 0 to 2^32 - 1"),
    ({"indices": [0, 2**32]}, ValueError, "integers from 0 to 2^32 - 1"),
    ({"indices": [0.0, 1.0]}, ValueError, "integers from 0 to 2^32 - 1"),
    ({"backend": "tpu"}, ValueError, "no backend 'tpu'; have cpu, gpu, literature"),
    ({"device": "cuda"}, ValueError, "only backend 'gpu' has a device; with 'cpu' it must be None, not 'cuda'"),
    ({"device": "cpu", "backend": "literature"}, ValueError, "with 'literature' it must be None, not 'cpu'"),
]


@pytest.mark.parametrize(("change", "kind", "words"), REFUSED, ids=[str(sorted(change)) for change, _, _ in REFUSED])
def test_refused_with_the_rule_the_value_and_the_choices(
    change: dict[str, Any], kind: type[Exception], words: str
) -> None:
    call = CALL | change
    with pytest.raises(kind) as caught:
        corrupt(call.pop("images"), call.pop("name"), call.pop("severity"), **call)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"name": "smear"}, {"split": "dev"}, {"profile": "strong"}, {"images": IMAGES[0]}])
def test_sweep_refuses_before_it_is_consumed(change: dict[str, Any]) -> None:
    call = CALL | change
    call.pop("severity")
    with pytest.raises(ValueError, match=r"no |shape"):
        sweep(call.pop("images"), call.pop("name"), **call)


def test_an_own_data_set_takes_a_column_and_keeps_its_own_draw() -> None:
    options: dict[str, Any] = {"split": "val", "seed": 0, "profile": "modality"}
    own = corrupt(IMAGES, "impulse_noise", 5, dataset="mine", column="pbc", **options)
    assert (own != corrupt(IMAGES, "impulse_noise", 5, dataset="pbc", **options)).any()
    still = corrupt(IMAGES, "contrast", 5, dataset="mine", column="pbc", **options)
    np.testing.assert_array_equal(still, corrupt(IMAGES, "contrast", 5, dataset="pbc", **options))


def test_numpy_severities_and_indices_are_fine() -> None:
    made = corrupt(
        IMAGES, "contrast", np.int64(3), dataset="oct", split="val", seed=0, indices=np.array([4, 2**32 - 1])
    )
    assert made.shape == IMAGES.shape


def test_severities_share_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    draw = draws.uniforms
    monkeypatch.setattr(draws, "uniforms", lambda *arguments: asked.append(1) or draw(*arguments))
    assert [severity for severity, _ in sweep(IMAGES, "gaussian_noise", dataset="oct", split="val", seed=0)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert len(asked) == 1


def test_an_unavailable_backend_is_an_error_and_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise BackendUnavailable("backend 'gpu' needs torch")

    monkeypatch.setattr(corruptions.api.importlib, "import_module", missing)
    with pytest.raises(BackendUnavailable, match="needs torch"):
        corrupt(IMAGES, "contrast", 1, dataset="oct", split="val", seed=0, backend="gpu")


def test_strength_needs_no_column_outside_the_profile_modality() -> None:
    assert strength("contrast", 1, column=None) == strength("contrast", 1, column="mine")


WITHOUT = """
import sys
for name in ("torch", "kornia", "cv2", "dvc", "skimage", "scipy", "PIL", "wand", "joblib", "pipeline", "benchmark"):
    sys.modules[name] = None
import numpy as np
import corruptions
state = np.random.get_state()[1].tolist()
images = np.zeros((1, 4, 4, 3), np.uint8)
for name in corruptions.CORRUPTIONS:
    corruptions.corrupt(images, name, 1, dataset="oct", split="val", seed=0)
assert np.random.get_state()[1].tolist() == state
try:
    corruptions.corrupt(images, "contrast", 1, dataset="oct", split="val", seed=0, backend="gpu")
except corruptions.BackendUnavailable as missing:
    assert "pip install" in str(missing), missing
else:
    raise AssertionError("no error without torch")
"""


def test_the_cpu_backend_needs_numpy_and_numba_alone() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_importing_loads_numpy_alone() -> None:
    code = (
        "import sys, corruptions\n"
        "assert not {'numba', 'torch', 'scipy', 'PIL', 'skimage', 'pydantic'} & set(sys.modules)\n"
        "assert 'Augment' in dir(corruptions)\n"
        "from corruptions import Augment\n"
        "assert 'torch' in sys.modules and not {'numba', 'kornia', 'torchvision'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


SEEDS = st.one_of(st.booleans(), st.floats(), st.text(), st.binary(), st.none(), st.lists(st.integers(), max_size=2))


@given(seed=st.one_of(SEEDS, SEEDS.map(np.asarray)))
def test_a_seed_is_an_integer_or_a_type_error(seed: Any) -> None:
    for call in (corrupt, lambda images, name, _severity, **options: sweep(images, name, **options)):
        with pytest.raises(TypeError, match="seed must be an integer, not "):
            call(IMAGES, "contrast", 1, dataset="oct", split="val", seed=seed)
    with pytest.raises(TypeError, match="seed must be an integer, not "):
        DrawKey(dataset="oct", split="val", seed=seed)


@given(seed=st.integers(-(2**63), 2**63 - 1))
def test_numpy_integers_are_the_same_seed(seed: int) -> None:
    key = DrawKey(dataset="oct", split="val", seed=seed)
    assert key == DrawKey(dataset="oct", split="val", seed=np.int64(seed))  # type: ignore[arg-type]
    assert type(DrawKey(dataset="oct", split="val", seed=np.int64(seed)).seed) is int  # type: ignore[arg-type]

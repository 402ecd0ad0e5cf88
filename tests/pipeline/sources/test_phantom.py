"""The phantom's bytes: the same for the same key, whatever the order, the batch or the machine."""

from __future__ import annotations

import ast
import concurrent.futures
import json
import math
from pathlib import Path

import numba
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.sources import load
from pipeline.sources.phantom import DRAWINGS, FIRST, SECOND, brush
from pipeline.sources.phantom.plane import cos_sin, total
from pipeline.sources.phantom.random_state import RandomState, key
from pipeline.sources.phantom.texture import texture
from pipeline.workspace.datasets import DATASETS, card
from tests.pipeline.sources import phantom_goldens

HERE = Path("unused")


def phantom(dataset, split="test", count=8, seed=3):
    return load("phantom", dataset, split, root=HERE, count=count, seed=seed)


def test_the_images_are_those_of_the_golden_checksums():
    assert phantom_goldens.checksums() == json.loads(phantom_goldens.FILE.read_text(encoding="utf-8"))


def test_it_has_every_data_set_of_the_benchmark():
    assert sorted(DRAWINGS) == list(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_split_is_what_the_contract_says(dataset):
    clean = phantom(dataset)
    images = clean.read(range(3))
    assert images.dtype == np.uint8
    assert images.shape == (3, 224, 224, clean.channels)
    assert clean.channels == (1 if card(dataset).grey else 3)
    assert clean.class_names == card(dataset).classes
    assert clean.labels.dtype == np.int64
    assert len(set(clean.image_ids)) == 8
    assert images.std(axis=(1, 2, 3)).min() > 10


@pytest.mark.parametrize("dataset", ["fundus", "oct"])
def test_an_image_depends_on_its_own_position_only(dataset):
    few, many = phantom(dataset, count=5), phantom(dataset, count=9)
    images = few.read(range(5))
    assert np.array_equal(many.labels[:5], few.labels)
    assert np.array_equal(many.read([4, 0, 2]), images[[4, 0, 2]])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for n, alone in enumerate(pool.map(lambda n: many.read([n]), range(5))):
            assert np.array_equal(alone[0], images[n])


def test_no_two_splits_or_seeds_share_an_image():
    seen = {phantom("mammo_mass", split, 2, seed).read([1]).tobytes() for split in FIRST + SECOND for seed in (0, 1)}
    assert len(seen) == 10


@pytest.mark.parametrize("dataset", DATASETS)
def test_any_first_images_are_balanced(dataset):
    classes = len(card(dataset).classes)
    labels = phantom(dataset, count=5 * classes + 3).labels
    for n in range(1, len(labels)):
        counts = np.bincount(labels[:n], minlength=classes)
        assert counts.max() - counts.min() <= 2
    assert len({tuple(labels[n : n + classes]) for n in range(0, 5 * classes, classes)}) > 1


def test_no_images_is_a_split_too():
    clean = phantom("aml", count=0)
    assert len(clean.labels) == 0
    assert clean.read([]).shape == (0, 224, 224, 3)


@pytest.mark.parametrize(
    ("dataset", "split", "count", "sentence"),
    [
        ("brain", "test", 3, "no data set 'brain'; have aml"),
        ("aml", "training", 3, "no split 'training'; have pretrain"),
        ("aml", "test", None, "say how many images of aml test"),
        ("aml", "test", -1, "not -1"),
    ],
)
def test_a_mistake_is_one_sentence(dataset, split, count, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        phantom(dataset, split, count)
    assert "\n" not in str(caught.value)


def test_cosine_and_sine_are_those_of_the_circle():
    turns = np.linspace(-2.3, 2.3, 401)
    c, s = cos_sin(turns)
    assert np.abs(c - np.cos(turns * 2 * np.pi)).max() < 1e-9
    assert np.abs(s - np.sin(turns * 2 * np.pi)).max() < 1e-9
    assert cos_sin(float(turns[7])) == (c[7], s[7])


def test_a_texture_is_a_field_of_mean_0_and_spread_1():
    fields = np.stack([texture(RandomState(key("test"), n), 16, octaves=2) for n in range(20)])
    assert abs(fields.mean()) < 0.15
    assert 0.8 < fields.std() < 1.2
    assert math.isclose(total(fields[0]), fields[0].sum(), abs_tol=224 * 224 / 4096)


# What the last digit of depends on the machine's library, or on the order of a sum.
UNSAFE = {"sin", "cos", "tan", "exp", "log", "power", "pow", "hypot", "arctan2", "interp", "convolve", "dot", "matmul"}
UNSAFE |= {"mean", "std", "var", "average", "einsum", "tensordot", "linalg", "random", "fft", "gradient", "fastmath"}


def test_drawings_use_exact_arithmetic_only():
    modules = sorted(Path(brush.__file__).parent.glob("*.py"))
    assert len(modules) > 8
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in UNSAFE, f"{module.name}:{node.lineno} {node.attr}"
            if isinstance(node, ast.keyword):
                assert node.arg not in UNSAFE, f"{module.name} {node.arg}"
            if isinstance(node, ast.BinOp):
                assert not isinstance(node.op, (ast.Pow, ast.MatMult)), f"{module.name}:{node.lineno}"


@pytest.mark.parametrize("name", ["union", "soften"])
def test_compiled_loops_fuse_no_product_with_a_sum(name):
    loop = numba.njit(error_model="numpy")(getattr(brush, name).py_func)
    field = np.ones((8, 8))
    arguments = {"union": (field, field, np.ones((2, 6)), 0.1), "soften": (field, 1, 0.2, 1)}[name]
    loop(*arguments)
    for assembly in loop.inspect_asm().values():
        assert "mul" in assembly
        assert not any(fused in assembly for fused in ("fmadd", "fmsub", "fmla", "fmls", "fnmadd", "fnmsub"))

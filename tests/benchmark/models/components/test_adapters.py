from __future__ import annotations

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from benchmark.models.components.adapters import attach
from benchmark.models.components.packages import package
from pipeline.errors import UserError
from tests.benchmark.conftest import refusal

PREFIX = "base_model.model."


def tower():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))


@pytest.fixture
def adapter(tmp_path):
    """The folder of an adapter that moves the features."""
    peft = package("peft")
    config = peft.LoraConfig(r=2, target_modules=r"0|1", base_model_name_or_path="base", init_lora_weights=False)
    base = tower()
    vars(base)["name_or_path"] = "base"
    peft.get_peft_model(base, config).save_pretrained(str(tmp_path), save_embedding_layers=False)
    return tmp_path


def changed(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values), encoding="utf-8")


def test_an_adapter_moves_the_tower_and_is_frozen(adapter):
    inputs = torch.ones(1, 4)
    wrapped = attach(tower(), adapter, base="base")
    assert (wrapped(inputs) - tower()(inputs)).abs().max() > 1e-3
    assert not wrapped.training
    assert not any(parameter.requires_grad for parameter in wrapped.parameters())


def test_a_folder_without_adapter_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no adapter in .*adapter_config.json is missing"):
        attach(tower(), tmp_path, base="base")


def test_an_adapter_of_another_model_is_an_error(adapter):
    with pytest.raises(UserError, match="is for base, not for other"):
        attach(tower(), adapter, base="other")


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b"", b'{"peft_type": "LORA"}', b'{"peft_type": 3}'],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_a_broken_configuration_is_one_sentence(adapter, content):
    (adapter / "adapter_config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"adapter_config\.json") as caught:
        attach(tower(), adapter, base="base")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"peft_type": "NONE"},
        {"peft_type": None},
        {"base_model_name_or_path": ["base"]},
        {"r": "2"},
        {"r": 0},
        {"r": -1},
        {"lora_alpha": "much"},
        {"target_modules": 3},
        {"target_modules": "("},
        {"target_modules": ["nothing"]},
        {"target_modules": None},
        {"modules_to_save": 7},
        {"rank_pattern": 1},
        {"r": 10**9},
        {"rank_pattern": {"0": 10**9}},
        {"trainable_token_indices": {"0": [{}]}},
    ],
    ids=str,
)
def test_wrong_values_are_one_sentence(adapter, values):
    changed(adapter, **values)
    with pytest.raises(UserError) as caught:
        attach(tower(), adapter, base="base")
    assert str(adapter) in str(caught.value)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**6) | st.floats() | st.text(max_size=4) | st.just("all-linear"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3) | st.just("0"), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_edit_of_a_configuration_is_an_adapter_or_a_sentence(adapter, data):
    path = adapter / "adapter_config.json"
    before = path.read_text(encoding="utf-8")
    key = data.draw(st.sampled_from([*json.loads(before), "new"]))
    changed(adapter, **{key: data.draw(JSON)})
    sentence = refusal(lambda: attach(tower(), adapter, base="base"))
    path.write_text(before, encoding="utf-8")
    assert sentence is None or str(adapter) in sentence


def test_a_configuration_imports_nothing(adapter, tmp_path, monkeypatch):
    """PEFT would import the module that megatron_core names."""
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    changed(adapter, megatron_config={"a": 1}, megatron_core="trap")
    with pytest.raises(UserError, match=r"adapter_config\.json has a megatron_config, .*; remove it$"):
        attach(tower(), adapter, base="base")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.dictionaries(st.integers(0, 399), st.integers(0, 255), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_any_edit_of_the_weights_is_an_adapter_or_a_sentence(adapter, edits):
    path = adapter / "adapter_model.safetensors"
    before = path.read_bytes()
    path.write_bytes(bytes(edits.get(place, byte) for place, byte in enumerate(before)))
    sentence = refusal(lambda: attach(tower(), adapter, base="base"))
    path.write_bytes(before)
    assert sentence is None or str(adapter) in sentence


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.int32, torch.bool], ids=str)
def test_numbers_of_another_kind_are_refused_by_name(adapter, dtype):
    path = adapter / "adapter_model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)
    with pytest.raises(UserError, match=rf"doesn't fit base: .*0.lora_A.weight is {dtype} and not torch.float32"):
        attach(tower(), adapter, base="base")


@pytest.mark.parametrize("length", [0, 4, 8, 60, 400])
def test_truncated_weights_are_one_sentence(adapter, length):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"adapter_model\.safetensors can't be read as weights") as caught:
        attach(tower(), adapter, base="base")
    assert "\n" not in str(caught.value)


def renamed(tensors):
    return {name.replace("model.0.", "model.stem."): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda tensors: {}, "0.lora_A.weight is missing"),
        (
            renamed,
            r"0.lora_A.weight is missing, .*0.lora_B.weight is missing, .*stem.lora_A.weight is left over, and 1",
        ),
        (lambda tensors: dict(list(tensors.items())[1:]), "is missing$"),
        (lambda tensors: tensors | {f"{PREFIX}2.lora_A.weight": torch.ones(2, 4)}, "2.lora_A.weight is left over$"),
        (lambda tensors: tensors | {f"{PREFIX}1.lora_A.weight": torch.ones(3, 4)}, r"is \(3, 4\) and not \(2, 4\)$"),
    ],
    ids=["none", "renamed", "one missing", "one more", "another rank"],
)
def test_every_tensor_must_be_the_models(adapter, change, names):
    """PEFT itself leaves out what does not match, and the base would be scored under the adapter's name."""
    path = adapter / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    with pytest.raises(UserError, match=f"doesn't fit base: .*{names}"):
        attach(tower(), adapter, base="base")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(adapter, value):
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors[f"{PREFIX}1.lora_B.weight"][0, 0] = value
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"is damaged: base_model.model.1.lora_B.weight has NaN or infinite numbers$"):
        attach(tower(), adapter, base="base")

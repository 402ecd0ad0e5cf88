"""Generative models: log-likelihoods by kept keys and values against a plain pass of the library's own class."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.models import find_record, load
from benchmark.models.families.vlm import KINDS
from benchmark.models.generative import GenerativeModel, Question
from pipeline.errors import UserError
from tests.benchmark.models import tiny_vlms

WITHOUT_VIDEO = ("gemma3", "idefics3", "llava", "llava_next")
"""Kinds whose processors need no torchvision."""

QUESTIONS = ("Is it a\nbasophil or a\nbenign mass?", "Is it a\nbenign mass or a\nbasophil?", "Is it a basophil?")
ANSWERS = ("basophil", "benign mass", "malignant mass of a monocyte")


def images(count=3, height=50, width=61):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def plain(network, processor, image, question, answer, between):
    """Return the mean log-likelihood of the answer's tokens by one pass over all, of one image, that keeps nothing."""
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    turn = processor.apply_chat_template([user], add_generation_prompt=True)
    bos = processor.tokenizer.bos_token
    options = {"return_tensors": "pt", "add_special_tokens": not (bos and turn.startswith(bos))}
    before = processor(text=turn, images=[Image.fromarray(image)], **options)["input_ids"].shape[1]
    inputs = processor(text=turn + between + answer, images=[Image.fromarray(image)], **options)
    with torch.inference_mode():
        logits = network(**inputs, use_cache=False).logits[0].log_softmax(dim=-1)
    ids = inputs["input_ids"][0]
    return logits[range(before - 1, len(ids) - 1), ids[before:]].mean().item()


def compare(kind, folder):
    network, processor = tiny_vlms.save(kind, folder)
    model = load("vlm:someone/tiny", weights_dir=folder)
    pictures = images()
    with torch.inference_mode():
        ours = Question(model, QUESTIONS, ANSWERS).log_likelihoods(pictures)
        alone = Question(model, QUESTIONS, ANSWERS).log_likelihoods(torch.from_numpy(pictures[1:2]))
    between = " " if kind.startswith("llava") and kind != "llava_onevision" else ""
    theirs = [
        [np.mean([plain(network, processor, image, q, answer, between) for q in QUESTIONS]) for answer in ANSWERS]
        for image in pictures
    ]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    torch.testing.assert_close(alone[0], ours[1], atol=1e-5, rtol=0)
    assert ours.std(dim=0).min() > 1e-3, "the image counts"


@pytest.mark.parametrize("kind", WITHOUT_VIDEO)
def test_log_likelihoods_are_those_of_a_plain_pass(kind, tmp_path):
    compare(kind, tmp_path)


@pytest.mark.zoo
@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(WITHOUT_VIDEO)))
def test_log_likelihoods_of_what_reads_videos_too_are_those_of_a_plain_pass(kind, tmp_path):
    compare(kind, tmp_path)


@pytest.fixture
def folder(tmp_path):
    tiny_vlms.save("llava", tmp_path)
    return tmp_path


def test_the_record_is_what_the_files_say(folder):
    described = find_record("vlm:someone/tiny", folder=folder)
    assert (described.kind, described.architecture, described.lora_targets) == ("generative", "llava", "")
    assert (described.embedding, described.context_length, described.preprocessing.size) == (32, 4096, 32)
    model = load("vlm:someone/tiny", weights_dir=folder)
    assert isinstance(model, GenerativeModel)
    read = {file.name: file.sha256 for file in model.record.files}
    assert set(read) == {path.name for path in folder.iterdir()}
    assert all(read.values())


def test_weights_in_parts_are_the_same(folder):
    whole = load("vlm:someone/tiny", weights_dir=folder).checksum()
    network, _ = tiny_vlms.save("llava", folder)
    (folder / "model.safetensors").unlink()
    network.save_pretrained(folder, max_shard_size="20KB")
    model = load("vlm:someone/tiny", weights_dir=folder)
    assert model.checksum() == whole
    assert sum(file.name.endswith(".safetensors") for file in model.record.files) > 2


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # between PEFT and transformers
def test_an_adapter_is_put_on(folder):
    import peft

    network, _ = tiny_vlms.save("llava", folder)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(network, settings)
    adapted.peft_config["default"].base_model_name_or_path = "someone/tiny"
    adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
    model = load("vlm:someone/tiny#adapter", weights_dir=folder, adapter=folder / "adapter")
    plain_model = load("vlm:someone/tiny", weights_dir=folder)
    with torch.inference_mode():
        put_on, as_it_was = (Question(m, QUESTIONS, ANSWERS).log_likelihoods(images()) for m in (model, plain_model))
    theirs = np.mean([plain(adapted.eval(), plain_model.processor, images()[0], q, ANSWERS[1], " ") for q in QUESTIONS])
    assert abs(put_on[0, 1].item() - theirs) < 1e-4
    assert (put_on - as_it_was).abs().max() > 1e-2
    with pytest.raises(UserError, match="say which folder holds it"):
        load("vlm:someone/tiny#adapter", weights_dir=folder)


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        ("config.json", {"model_type": "florence2"}, "is a 'florence2'; have gemma3, idefics3"),
        ("config.json", {"quantization_config": {}}, "is quantized"),
        ("config.json", {"vision_config": 3}, "config.json of vlm:someone/tiny: vision_config"),
        ("config.json", {"text_config": {"model_type": "nothing"}}, "can't be read as vlm:someone/tiny"),
        ("chat_template.jinja", None, "has no chat template"),
        ("tokenizer.json", "{}", "has no processor that can be read"),
        ("processor_config.json", "[", "has no processor that can be read"),
        ("model.safetensors", "cut", "can't be read as vlm:someone/tiny"),
        ("model.safetensors", None, "which is not there"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "../model.safetensors"}}', "is no file of weights"),
    ],
)
def test_other_files_are_one_sentence(folder, file, change, match):
    path = folder / file
    if change is None:
        path.unlink()
    elif isinstance(change, dict):
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    else:
        path.write_text(change, encoding="utf-8")
    with pytest.raises(UserError, match=match) as told:
        load("vlm:someone/tiny", weights_dir=folder)
    assert "\n" not in str(told.value)


def test_weights_of_another_size_or_that_are_damaged_are_one_sentence(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    name = "language_model.lm_head.weight"
    for change, match in (
        ({**tensors, name: tensors[name][:-1]}, "lm_head.weight has another shape"),
        ({**tensors, name: tensors[name] * np.nan}, "lm_head.weight has NaN or infinite numbers"),
        ({**tensors, "extra.weight": torch.zeros(1)}, "extra.weight is left over"),
        ({key: value for key, value in tensors.items() if key != name}, "lm_head.weight is missing"),
    ):
        save_file(change, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError, match=match.replace(".", r"\.")):
            load("vlm:someone/tiny", weights_dir=folder)


@pytest.mark.parametrize(
    ("template", "match"),
    [
        ("{% for %}", "can't be asked: Expected an expression"),
        ("{{ raise_exception('never') }}", "can't be asked: never"),
        ("{{ nobody.says.so }}", "can't be asked: 'nobody' is undefined"),
        ("{{ ''.__class__.__mro__ }}", "can't be asked: access to attribute '__class__'"),
        ("<image> What is it?", "leaves the question out"),
        ("{{ messages[0]['content'][1]['text'] }}", "can't be asked: .*number of images"),
    ],
)
def test_a_chat_template_that_cannot_ask_is_one_sentence(folder, template, match):
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    model = load("vlm:someone/tiny", weights_dir=folder)
    with pytest.raises(UserError, match=match) as told:
        Question(model, QUESTIONS, ANSWERS[:2]).log_likelihoods(images(1))
    assert "\n" not in str(told.value)


def test_a_class_that_is_called_as_the_mark_of_an_image_is_one_sentence(folder):
    closed = Question(load("vlm:someone/tiny", weights_dir=folder), ["Is it an <image>?"], ["mass", "<image>"])
    with pytest.raises(UserError, match=r"can't be asked: .*number of images"):
        closed.log_likelihoods(images(1))


def test_a_vocabulary_longer_than_the_table_of_word_vectors_is_an_error(folder):
    network, _ = tiny_vlms.save("llava", folder)
    network.resize_token_embeddings(300)
    network.save_pretrained(folder)
    with pytest.raises(
        UserError, match=r"the tokenizer of vlm:someone/tiny has \d+ words, and the model vectors for 300"
    ):
        load("vlm:someone/tiny", weights_dir=folder)


def test_answers_that_cannot_be_told_apart_are_an_error(folder):
    model = load("vlm:someone/tiny", weights_dir=folder)
    with pytest.raises(UserError, match="reads 'benign mass' and 'benign mass' as the same answer"):
        Question(model, QUESTIONS, ["benign mass", "basophil", "benign mass"])


@pytest.mark.parametrize("name", ["vlm:someone/tiny", "vlm:someone/tiny@main"])
def test_a_commit_has_to_be_pinned(name):
    with pytest.raises(UserError, match=r"has no commit|needs a pinned revision"):
        find_record(name)

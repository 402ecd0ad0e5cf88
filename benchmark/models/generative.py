"""Generative vision-language models: a closed-set question, and how likely each class's name is as its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from benchmark.models.components.files import one_line
from benchmark.models.components.packages import BROKEN, package
from benchmark.models.model import weights_checksum
from benchmark.models.record import ModelRecord
from pipeline.errors import UserError


class Generator(NamedTuple):
    """What a generative family's ``build`` returns: transformers' model, in evaluation mode, and its processor."""

    network: nn.Module
    processor: Any


class GenerativeModel:
    """A model that reads an image and a question, and says how likely an answer is.

    Attributes:
        record: what is known of the model.
        network: transformers' model; an adapter is put on it.
        processor: turns images and text into the network's arguments.
        device: where the network is.
    """

    def __init__(self, record: ModelRecord, generator: Generator, *, device: torch.device | str = "cpu") -> None:
        self.record = record
        self.device = torch.device(device)
        # bfloat16 is what such models are published in; a CPU computes it more slowly than float32
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.network: nn.Module = generator.network.to(self.device, dtype).eval().requires_grad_(False)
        self.processor = generator.processor

    def checksum(self) -> str:
        """Return the SHA-256, in hexadecimal, over the names, shapes and bytes of all weights."""
        return weights_checksum(self.network)


class Question:
    """A question put to a model in several orders of its choices, and the answers that are weighed.

    Attributes:
        questions: as they stand in the user's turn, below the image.
        answers: token ids of each answer, int64 (L,) of its own length.
    """

    def __init__(self, model: GenerativeModel, questions: Sequence[str], answers: Sequence[str]) -> None:
        """Tokenize questions and answers.

        Raises:
            UserError: the model has no way to ask a question about an image, or can't tell two answers apart.
        """
        self.model = model
        for question in questions:
            if question.strip() not in self._render([_conversation(question)], tokenize=False)[0]:
                raise UserError(f"the chat template of {model.record.name} leaves the question out")
        self.questions = tuple(questions)
        self.answers = [self._answer_ids(answer) for answer in answers]
        for k, ids in enumerate(self.answers):
            for other, earlier in zip(answers[:k], self.answers[:k], strict=True):
                if torch.equal(ids, earlier):
                    raise UserError(f"{model.record.name} reads {other!r} and {answers[k]!r} as the same answer")
        self._ids: dict[tuple[int, int], list[Tensor]] = {}

    def _answer_ids(self, answer: str) -> Tensor:
        """Return the ids that an answer adds to a question, cut as the tokenizer cuts the two together if it can.

        What stands between them, such as a space, is what the chat template has there.
        """
        tokenizer = self.model.processor.tokenizer
        (turn,) = self._render([_conversation(self.questions[0])], tokenize=False)
        (told,) = self._render(
            [_conversation(self.questions[0], answer=answer)], tokenize=False, add_generation_prompt=False
        )
        end = told.rfind(answer) + len(answer)
        text = told[len(turn) : end] if told.startswith(turn) and end > len(turn) else answer
        before, both, alone = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in (turn, turn + text, text))
        ids = both[len(before) :] if both[: len(before)] == before else alone
        if not ids:
            raise UserError(f"{self.model.record.name} has no tokens for the answer {answer!r}")
        return torch.tensor(ids, device=self.model.device)

    def log_likelihoods(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return the mean log-likelihood of a token of each answer, averaged over the questions.

        Every image goes through the network once: what the questions have in common, the image with it, is kept as keys
        and values, and so is each question for its answers.

        Args:
            images: uint8 (n, H, W, 3).

        Returns:
            float32 (n, K).
        """
        network, count = self.model.network, len(images)
        tails, inputs = self.shared_inputs(images)
        cache = package("transformers").DynamicCache()  # of full length in every layer, so that it can be restored
        network(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        after_image = _state(cache)
        total = torch.zeros(count, len(self.answers), device=self.model.device)
        for tail in tails:
            last = network(input_ids=tail.expand(count, -1), past_key_values=cache, use_cache=True, logits_to_keep=1)
            after_question, first = _state(cache), last.logits[:, -1].float().log_softmax(dim=-1)
            for k, ids in enumerate(self.answers):
                likelihood = first[:, ids[0]]
                if len(ids) > 1:
                    output = network(input_ids=ids[:-1].expand(count, -1), past_key_values=cache, use_cache=True)
                    rest = output.logits.float().log_softmax(dim=-1)
                    likelihood = likelihood + rest.gather(2, ids[1:].expand(count, -1)[..., None]).sum(dim=(1, 2))
                    _restore(cache, after_question)
                total[:, k] += likelihood / len(ids)
            _restore(cache, after_image)
        return total / len(tails)

    def shared_inputs(self, images: NDArray[np.uint8] | Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return what each question has of its own, and the network's arguments for what all have in common."""
        arrays = images.cpu().numpy() if isinstance(images, Tensor) else images
        pictures = [Image.fromarray(array) for array in arrays]
        encoded = self._process(pictures, self.questions[0])
        size = pictures[0].size
        if size not in self._ids:
            others = [self._process(pictures[:1], question)["input_ids"][0] for question in self.questions[1:]]
            self._ids[size] = [encoded["input_ids"][0], *others]
        ids, name = self._ids[size], self.model.record.name
        if not (encoded["input_ids"] == ids[0]).all():
            raise UserError(f"{name} reads two images of one size as different tokens, which is not done here")
        shortest = min(len(row) for row in ids)
        alike = torch.stack([row[:shortest] == ids[0][:shortest] for row in ids]).all(dim=0)
        shared = min(int(alike.cumprod(dim=0).sum()), shortest - 1)
        if (ids[0][shared:] == self.model.processor.image_token_id).any():
            raise UserError(f"the chat template of {name} puts the question before the image, which is not done here")
        dtype, device = next(self.model.network.parameters()).dtype, self.model.device
        inputs = {}
        for key, value in encoded.items():
            of_tokens = value[:, :shared] if value.shape[:2] == encoded["input_ids"].shape else value
            inputs[key] = of_tokens.to(device, dtype if value.is_floating_point() else None)
        return [row[shared:].to(device) for row in ids], inputs

    def _process(self, pictures: Sequence[Any], question: str) -> Mapping[str, Tensor]:
        """Return the network's arguments for one question about each of some pictures, as the library makes them."""
        conversations = [_conversation(question, picture) for picture in pictures]
        encoded: Mapping[str, Tensor] = self._render(
            conversations, tokenize=True, return_dict=True, return_tensors="pt"
        )
        return encoded

    def _render(self, conversations: Sequence[Any], *, add_generation_prompt: bool = True, **options: Any) -> Any:
        """Return what the repository's chat template, and its processor if asked for, make of conversations.

        Raises:
            UserError: the template is broken, or has not one place for each image.
        """
        try:
            return self.model.processor.apply_chat_template(
                conversations, add_generation_prompt=add_generation_prompt, **options
            )
        except (*BROKEN, package("jinja2").TemplateError) as error:
            raise UserError(f"{self.model.record.name} can't be asked: {one_line(error)}") from error


def _conversation(question: str, picture: Any = None, answer: str = "") -> list[dict[str, Any]]:
    image = {"type": "image"} if picture is None else {"type": "image", "image": picture}
    turns = [{"role": "user", "content": [image, {"type": "text", "text": question}]}]
    return turns + [{"role": "assistant", "content": [{"type": "text", "text": answer}]}] * bool(answer)


State = list[tuple[Tensor, Tensor]]


def _state(cache: Any) -> State:
    """Return the keys and values of every layer; a longer cache has new tensors, so that nothing is copied."""
    return [(layer.keys, layer.values) for layer in cache.layers]


def _restore(cache: Any, state: State) -> None:
    for layer, (keys, values) in zip(cache.layers, state, strict=True):
        layer.keys, layer.values = keys, values

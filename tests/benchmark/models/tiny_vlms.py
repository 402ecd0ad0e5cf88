"""Generative models of the library's own classes, tiny and random, saved as their repositories are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmark.models.components.packages import package

transformers = package("transformers")

TEXT = "What does this image show? Answer with one of these words: basophil, monocyte, benign mass, malignant mass."
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VICUNA = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE\n{% else %}{{ part['text'] }} "
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""The two forms of chat templates that repositories have: ChatML, and LLaVA-1.5's, whose answers begin with a space."""

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
PATCHES = {**SMALL, "image_size": 32, "patch_size": 8}
WORDS = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 4096}


def tokenizer(*special: str, bos: bool = False, **tokens: str) -> Any:
    """Return a byte-level BPE; with `bos` it puts the first of `special` before a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*special, "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator([TEXT], trainer)
    if bos:
        words.post_processor = processors.TemplateProcessing(
            single=f"{special[0]} $A", special_tokens=[(special[0], 0)]
        )
    own = {
        name: tokens.pop(name) for name in list(tokens) if name.endswith("image_token") or name[:3] in ("boi", "eoi")
    }
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, extra_special_tokens=own, **tokens)


def _ids(tokenizer: Any, **tokens: str) -> dict[str, int]:
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def llava(vision: Mapping[str, Any] = PATCHES, text: Mapping[str, Any] = WORDS) -> tuple[Any, Any]:
    """LLaVA-1.5: CLIP, two linear layers, Llama; an image is 16 tokens, or those of `vision`'s patches."""
    words = tokenizer("<s>", "</s>", "<image>", bos=True, bos_token="<s>", eos_token="</s>", image_token="<image>")
    side = vision["image_size"]
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
        words,
        patch_size=vision["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA.replace("IMAGE", "<image>"),
    )
    config = transformers.LlavaConfig(
        vision_config={**vision, "model_type": "clip_vision_model"},
        text_config={**text, "model_type": "llama", "vocab_size": len(words)},
        vision_feature_layer=-1,
        **_ids(words, image_token_index="<image>"),
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def llava_next() -> tuple[Any, Any]:
    """LLaVA-1.6: as LLaVA-1.5 on tiles, with Mistral."""
    words = tokenizer("<s>", "</s>", "<image>", bos=True, bos_token="<s>", eos_token="</s>", image_token="<image>")
    square, grid = {"height": 32, "width": 32}, [[32, 64], [64, 32], [64, 64]]
    processor = transformers.LlavaNextProcessor(
        transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": 32}, crop_size=square, image_grid_pinpoints=grid
        ),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA.replace("IMAGE", "<image>"),
    )
    config = transformers.LlavaNextConfig(
        vision_config={**PATCHES, "model_type": "clip_vision_model"},
        text_config={**WORDS, "model_type": "mistral", "vocab_size": len(words)},
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
        **_ids(words, image_token_index="<image>"),
    )
    return transformers.LlavaNextForConditionalGeneration(config), processor


def llava_onevision() -> tuple[Any, Any]:
    """LLaVA-OneVision: SigLIP on tiles and on the whole, Qwen2."""
    words = tokenizer("<|endoftext|>", "<image>", "<video>", eos_token="<|im_end|>", pad_token="<|endoftext|>")
    square, grid = {"height": 32, "width": 32}, [[32, 64], [64, 32], [64, 64]]
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessorPil(size=square, image_grid_pinpoints=grid),
        words,
        transformers.LlavaOnevisionVideoProcessor(size=square),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=CHAT.replace("IMAGE", "<image>\n"),
    )
    config = transformers.LlavaOnevisionConfig(
        vision_config={**PATCHES, "model_type": "siglip_vision_model"},
        text_config={**WORDS, "model_type": "qwen2", "vocab_size": len(words)},
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=grid,
        **_ids(words, image_token_index="<image>", video_token_index="<video>"),
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    """Gemma 3 and MedGemma: image tokens see each other, and every other layer sees 16 tokens back."""
    words = tokenizer(
        *("<bos>", "<eos>", "<pad>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"),
        bos=True,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    processor = transformers.Gemma3Processor(
        transformers.Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
        words,
        image_seq_length=4,
        chat_template="{{ bos_token }}" + CHAT.replace("IMAGE", "<start_of_image>"),
    )
    config = transformers.Gemma3Config(
        vision_config={**PATCHES, "model_type": "siglip_vision_model"},
        text_config={
            **{**WORDS, "model_type": "gemma3_text", "vocab_size": len(words), "head_dim": 8, "sliding_window": 16},
            "layer_types": ["sliding_attention", "full_attention"],
        },
        mm_tokens_per_image=4,
        **_ids(
            words,
            image_token_index="<image_soft_token>",
            boi_token_index="<start_of_image>",
            eoi_token_index="<end_of_image>",
        ),
    )
    return transformers.Gemma3ForConditionalGeneration(config), processor


def idefics3() -> tuple[Any, Any]:
    """Idefics3: SigLIP on tiles and on the whole, patches folded into tokens."""
    return _idefics("Idefics3")


def smolvlm() -> tuple[Any, Any]:
    """SmolVLM: as Idefics3, for videos too."""
    return _idefics("SmolVLM", transformers.SmolVLMVideoProcessor)


def _idefics(name: str, *videos: Any) -> tuple[Any, Any]:
    special = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    words = tokenizer("<|endoftext|>", *special, *tiles, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    images = getattr(transformers, f"{name}ImageProcessorPil")(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    processor = getattr(transformers, f"{name}Processor")(
        images, words, *[video() for video in videos], image_seq_len=4, chat_template=CHAT.replace("IMAGE", "<image>")
    )
    config = getattr(transformers, f"{name}Config")(
        vision_config=PATCHES,
        text_config={**WORDS, "model_type": "llama", "vocab_size": len(words), "pad_token_id": 0},
        scale_factor=2,
        **_ids(words, image_token_id="<image>"),
    )
    return getattr(transformers, f"{name}ForConditionalGeneration")(config), processor


def qwen2_vl() -> tuple[Any, Any]:
    """Qwen2-VL: as many tokens as an image's size asks for, positions in three dimensions."""
    return _qwen("Qwen2VL", {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2})


def qwen2_5_vl() -> tuple[Any, Any]:
    """Qwen2.5-VL: the same with windows."""
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "num_heads": 4}
    return _qwen("Qwen2_5_VL", {**vision, "fullatt_block_indexes": [1]})


def qwen3_vl() -> tuple[Any, Any]:
    """Qwen3-VL: features of earlier layers are added to the first layers' states of the text side too."""
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "num_heads": 4}
    return _qwen(
        "Qwen3VL",
        {**vision, "deepstack_visual_indexes": [0], "num_position_embeddings": 16},
        videos="Qwen3VL",
        head_dim=8,
    )


def _qwen(name: str, vision: dict[str, Any], *, videos: str = "Qwen2VL", **text: Any) -> tuple[Any, Any]:
    special = ("<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(*special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    processor = getattr(transformers, f"{name}Processor")(
        transformers.Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=84 * 84),
        words,
        getattr(transformers, f"{videos}VideoProcessor")(),
        chat_template=CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = getattr(transformers, f"{name}Config")(
        vision_config={**vision, "patch_size": 14},
        text_config={**WORDS, "vocab_size": len(words), "rope_parameters": rope, **text},
        **_ids(
            words,
            image_token_id="<|image_pad|>",
            video_token_id="<|video_pad|>",
            vision_start_token_id="<|vision_start|>",
            vision_end_token_id="<|vision_end|>",
        ),
    )
    return getattr(transformers, f"{name}ForConditionalGeneration")(config), processor


def internvl() -> tuple[Any, Any]:
    """InternVL as transformers has it: its own ViT, pixels folded into tokens, Qwen2."""
    tokens = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    words = tokenizer("<|endoftext|>", *tokens.values(), "<video>", eos_token="<|im_end|>", pad_token="<|endoftext|>")
    for name, token in {**tokens, "video_token": "<video>"}.items():
        words._set_model_specific_special_tokens({name: token})
    processor = transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, max_patches=2),
        words,
        transformers.InternVLVideoProcessor(),
        image_seq_length=4,
        chat_template=CHAT.replace("IMAGE", "<IMG_CONTEXT>\n"),
    )
    config = transformers.InternVLConfig(
        vision_config={**SMALL, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config={**WORDS, "model_type": "qwen2", "vocab_size": len(words)},
        image_seq_length=4,
        **_ids(words, image_token_id="<IMG_CONTEXT>"),
    )
    return transformers.InternVLForConditionalGeneration(config), processor


def save(kind: str, folder: Path) -> tuple[Any, Any]:
    """Write a model of `kind` with its processor to `folder` and return both."""
    torch.manual_seed(0)
    network, processor = globals()[kind]()
    for name, weight in network.named_parameters():  # so that likelihoods differ by more than rounding
        if weight.ndim > 1 and "norm" not in name:
            torch.nn.init.normal_(weight, std=0.2)
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return network, processor

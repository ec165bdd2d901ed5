"""A pipeline of diffusers from text to images, with random weights and a vocabulary of letters, made offline."""

import json

import diffusers
import torch
import transformers
from diffusers_cases import network

WIDTH, LENGTH = 16, 8


def tokenizer(directory):
    """CLIP's tokenizer with the lower-case letters, alone and at the end of a word, and no merges."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(directory, model_max_length=LENGTH), len(words)


def pipeline(directory):
    """A StableDiffusionPipeline: UNet2DConditionModel on latents, AutoencoderKL, CLIP's tokenizer and text model."""
    words, size = tokenizer(directory)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=size, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
                max_position_embeddings=LENGTH, bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1,
            )
        ).eval()  # fmt: skip
        vae = diffusers.AutoencoderKL(
            block_out_channels=[8], norm_num_groups=4, latent_channels=4, sample_size=8,
            down_block_types=["DownEncoderBlock2D"], up_block_types=["UpDecoderBlock2D"],
        )  # fmt: skip
    return diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=words, unet=network("conditional"),
        scheduler=diffusers.DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip

"""A small wav2vec2 CTC recogniser in wav2vec2-base-960h's format, and a language that it knows.

All weights are random but those of the last layer, which are fitted to letters spoken as tones, so
the real loader and network find words that were planted. It knows the letters of `TONES` only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval import torch_audio
from mmdia_eval.artifacts import Word
from mmdia_eval.types import SAMPLE_RATE, FloatArray

VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
"""In the published order."""

TONES = {"A": 300, "B": 700, "C": 1300, "D": 2300, "E": 3700}
"""Hz."""

LETTER = 0.1
"""Seconds that a letter sounds; it is followed by `REST` seconds of silence."""
REST = 0.06


def speak(words: Sequence[tuple[str, float]], seconds: float, seed: int = 0) -> FloatArray:
    """Each word from its time on, in faint noise: mono, 16 kHz."""
    rng = np.random.default_rng(seed)
    samples = 0.001 * rng.standard_normal(round(seconds * SAMPLE_RATE))
    for word, start in words:
        for place, letter in enumerate(word.upper()):
            first = round((start + place * (LETTER + REST)) * SAMPLE_RATE)
            times = np.arange(round(LETTER * SAMPLE_RATE)) / SAMPLE_RATE
            samples[first : first + len(times)] += 0.3 * np.sin(2 * np.pi * TONES[letter] * times)
    return samples.astype(np.float32)


def spoken(words: Sequence[tuple[str, float]]) -> list[Word]:
    """Where `speak` puts the words."""
    return [Word(word, start, start + len(word) * (LETTER + REST) - REST) for word, start in words]


def make(folder: Path) -> Path:
    """Write the checkpoint's files into `folder`."""
    torch_audio.prepare()
    import torch
    import transformers

    library: Any = transformers

    torch.manual_seed(0)
    config = library.Wav2Vec2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model: Any = library.Wav2Vec2ForCTC(config).eval()
    with torch.no_grad():
        for parameter in model.wav2vec2.feature_extractor.parameters():
            if parameter.dim() == 3:
                torch.nn.init.kaiming_normal_(parameter)
    _fit(model)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(VOCABULARY)})
    )
    library.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    library.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


def _fit(model: Any) -> None:
    """Set the last layer to the least-squares one over the random layers below it."""
    import torch

    features: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64]] = []
    rng = np.random.default_rng(1)
    for seed in range(20):
        letters = [str(letter) for letter in rng.choice([*TONES, ""], 20)]
        words = [(letter, 0.25 * place + 0.05) for place, letter in enumerate(letters) if letter]
        samples = speak(words, 5.2, seed)
        normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        with torch.no_grad():
            features.append(model.wav2vec2(torch.tensor(normal)[None]).last_hidden_state[0].numpy())
        middles = (np.arange(len(features[-1])) + 0.5) * 0.02
        truth = np.zeros(len(middles), dtype=np.int64)
        for word in spoken(words):
            inside = (middles >= word.start) & (middles < word.end)
            truth[inside] = VOCABULARY.index(word.text)
        labels.append(truth)
    known, inputs = np.concatenate(labels), np.concatenate(features)
    targets = np.where(known[:, None] == np.arange(len(VOCABULARY)), 8.0, 0.0)
    fitted, *_ = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], targets, rcond=None)
    with torch.no_grad():
        model.lm_head.weight.copy_(torch.tensor(fitted[:-1].T))
        model.lm_head.bias.copy_(torch.tensor(fitted[-1]))

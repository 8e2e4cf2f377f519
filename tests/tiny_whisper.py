"""Tiny Whisper checkpoints in the real file formats, for the real loaders.

`python tests/tiny_whisper.py` trains the one in tests/data, in minutes: it has memorised three
turns of the mini benchmark, two chimes and silence, and hears nothing else. It shows that sound
goes through the real libraries and comes out as words in their place; of recognition it says
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mmdia_eval import torch_audio
from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.media import decode
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray

MINI = Path(__file__).parent.parent / "examples" / "mini"
TRAINED = Path(__file__).parent / "data" / "tiny_whisper.safetensors"

LANGUAGES = ("en", "de", "fr")
EMBEDDING = "model.decoder.embed_tokens.weight"

MELS = 80
WIDTH = 64
LAYERS = 2
TIMESTAMPS = 1501


@dataclass(frozen=True)
class Line:
    """A sound that the trained model knows, and what it says of it."""

    text: str
    samples: FloatArray
    language: str = "en"

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def lines() -> dict[str, Line]:
    """What the trained model has memorised, by a short name."""
    return {
        "boat": Line("That is exactly why I need a boat.", _turn("mini_test_01", 1)),
        "ship": Line("And where is this proud ship right now?", _turn("mini_test_01", 2)),
        "shape": Line("Now you see the shape of the problem.", _turn("mini_test_02", 4)),
        "tagged": Line("[S1] Good. [S2] (laughs) Why?", chime(440.0)),
        "german": Line("Guten Tag.", chime(880.0), "de"),
        "silence": Line("", np.zeros(2 * SAMPLE_RATE, np.float32)),
    }


def chime(hertz: float) -> FloatArray:
    """Two seconds of a tone that swells four times a second."""
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)
    tone: FloatArray = (0.2 * swell * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    return tone


def _turn(dialogue: str, number: int) -> FloatArray:
    found = next(d for d in load_benchmark(MINI).split("test") if d.id == dialogue)
    segment = found.turns[number].segment
    assert found.audio is not None
    assert segment is not None
    _, audio = decode(found.audio)
    assert audio is not None
    return audio.cut(segment).samples


def at(*placed: tuple[float, Line], seconds: float) -> Audio:
    """Silence of that length with lines starting at the times given."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for start, line in placed:
        first = round(start * SAMPLE_RATE)
        samples[first : first + len(line.samples)] = line.samples
    return Audio(samples)


def save_untrained(folder: Path, texts: Sequence[str] = (), english_only: bool = False) -> Any:
    """A randomly initialised Whisper in the folder, as transformers saves one; returns the model.

    Its tokens are the 256 bytes, the words of `texts` and Whisper's own. CTranslate2 tells a
    multilingual model by its empty token, which the English ones lack.
    """
    torch_audio.prepare()
    import torch
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    torch.manual_seed(0)
    tokenizer = _tokenizer(texts, english_only)
    ids = tokenizer.convert_tokens_to_ids
    eot = ids("<|endoftext|>")
    special = {"pad_token_id": eot, "bos_token_id": eot, "eos_token_id": eot}
    start = {"decoder_start_token_id": ids("<|startoftranscript|>")}
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            num_mel_bins=MELS,
            d_model=WIDTH,
            encoder_layers=1,
            decoder_layers=LAYERS,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=2 * WIDTH,
            decoder_ffn_dim=2 * WIDTH,
            **special,
            **start,
        )
    )
    generation = {
        "is_multilingual": True,
        "lang_to_id": {f"<|{code}|>": ids(f"<|{code}|>") for code in LANGUAGES},
        "task_to_id": {task: ids(f"<|{task}|>") for task in ("transcribe", "translate")},
        "no_timestamps_token_id": ids("<|notimestamps|>"),
        "prev_sot_token_id": ids("<|startofprev|>"),
        "alignment_heads": [[LAYERS - 1, 0], [LAYERS - 1, 1]],
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "suppress_tokens": list(range(eot + 1, ids("<|0.00|>"))),
        "begin_suppress_tokens": [eot],
        "return_timestamps": False,
        "_from_model_config": False,  # else saving drops what the model's own config lacks
    }
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    features: Any = WhisperFeatureExtractor
    features(feature_size=MELS).save_pretrained(folder)
    return model


def _tokenizer(texts: Sequence[str], english_only: bool) -> Any:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
    from transformers import WhisperTokenizer

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        [f" {text}" for text in texts for _ in range(2)],
        trainers.BpeTrainer(vocab_size=4096, min_frequency=2, initial_alphabet=alphabet),
    )
    learned = json.loads(learner.to_str())["model"]
    first = ("endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe")
    special = [*first, "startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"{0.02 * step:.2f}" for step in range(TIMESTAMPS)]
    tokens = [
        AddedToken(f"<|{name}|>", special=name in special, normalized=False)
        for name in special + times
    ]
    merges = [tuple(merge) for merge in learned["merges"]]
    vocabulary: dict[str, int] = learned["vocab"]
    if not english_only:
        vocabulary[""] = len(vocabulary)
    padding = {"pad_token": "<|endoftext|>"}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=merges, **padding)
    tokenizer.add_tokens(tokens)
    return tokenizer


def train(folder: Path, steps: int = 300) -> float:
    """Teach a model all of `lines` by heart, using the folder; returns its last loss.

    A step shows each line once, in one of its windows.
    """
    torch_audio.prepare()
    import torch
    from transformers import WhisperTokenizer

    known = lines().values()
    model = save_untrained(folder, [line.text for line in known])
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    windows = torch.from_numpy(np.stack([list(_windows(line)) for line in known], axis=1))
    targets = [target for line in known for target in _targets(line, tokenizer)]
    ids = torch.full((len(targets), max(map(len, targets))), -100)
    for row, target in enumerate(targets):
        ids[row, : len(target)] = torch.tensor(target)
    before, after = ids[:, :-1].clamp(min=0), ids[:, 1:].clone()
    silent = torch.tensor([not line.text for line in known]).repeat_interleave(2)
    after[1::2, 2] = -100  # that no timestamps are wanted is told, not heard
    after[silent, 0] = tokenizer.convert_tokens_to_ids("<|nospeech|>")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=steps, pct_start=0.1
    )
    model.train()
    for step in range(steps):
        encoded = model.model.encoder(windows[step % len(windows)]).last_hidden_state
        both = encoded.repeat_interleave(2, dim=0)
        logits = model(encoder_outputs=(both,), decoder_input_ids=before).logits
        loss: Any = torch.nn.functional.cross_entropy(logits.flatten(0, 1), after.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").replace(TRAINED)
    return float(loss.detach())


def _windows(line: Line) -> Iterator[FloatArray]:
    """The 30 s windows of features in which the line can come, each (MELS, 3000).

    transformers pads sound with silence, faster-whisper the end of a file's features with zeros;
    and silence looks different beside sound of another loudness.
    """
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.feature_extractor import FeatureExtractor

    extractor = FeatureExtractor(feature_size=MELS)
    yield pad_or_trim(extractor(line.samples)[:, :-1])
    yield extractor(at((0, line), seconds=30).samples)[:, :3000]
    loud = Line("", 2 * chime(300.0))
    yield extractor(at((0, line), (30, loud), seconds=32).samples)[:, :3000]


def _targets(line: Line, tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the model is to say of the line: with timestamps, and without."""
    ids = tokenizer.convert_tokens_to_ids
    start = ids(["<|startoftranscript|>", f"<|{line.language}|>", "<|transcribe|>"])
    text = tokenizer.encode(f" {line.text}" if line.text else "", add_special_tokens=False)
    end = [ids(f"<|{round(line.seconds / 0.02) * 0.02:.2f}|>")] if text else []
    eot = [ids("<|endoftext|>")]
    timed = [*start, ids("<|0.00|>"), *text, *end, *eot]
    return timed, [*start, ids("<|notimestamps|>"), *text, *eot]


def save_trained(folder: Path) -> None:
    """The trained model in the folder, as transformers saves one."""
    from safetensors.torch import load_file

    model = save_untrained(folder, [line.text for line in lines().values()])
    weights = {name: tensor.float() for name, tensor in load_file(TRAINED).items()}
    model.load_state_dict({"proj_out.weight": weights[EMBEDDING], **weights})
    model.save_pretrained(folder)


def convert(folder: Path, out: Path) -> Path:
    """The model of a transformers folder as a CTranslate2 folder, which faster-whisper loads."""
    torch_audio.prepare()
    from ctranslate2.converters import TransformersConverter

    copied = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(folder), copy_files=copied).convert(str(out), force=True)
    return out


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        print(f"last loss: {train(Path(temporary)):.4f}")

"""The GE2E speaker encoder of the resemblyzer 0.1.4 wheel, run in numpy.

L. Wan, Q. Wang, A. Papir, I. Lopez Moreno: Generalized End-to-End Loss for Speaker Verification,
ICASSP 2018. Code and weights: github.com/resemble-ai/Resemblyzer, Apache-2.0. Trained on 16 kHz
English speech (LibriSpeech-other, VoxCeleb 1 and 2).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from mmdia_eval.api import Requirement
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.mel import mel_spectrogram
from mmdia_eval.extractors.vad import VadParameters, frames_with_speech
from mmdia_eval.types import SAMPLE_RATE, FloatArray, Weights

REQUIREMENT = Requirement("resemblyzer", "pip install --no-deps resemblyzer==0.1.4")
WEIGHTS = Weights(
    "resemblyzer-0.1.4/pretrained.pt",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
)

HOP = SAMPLE_RATE // 100
MEL_WINDOW = SAMPLE_RATE // 40
BANDS = 40
UNITS = 256
WINDOW_FRAMES = 160
WINDOW_SECONDS = 1.6
"""One window of the encoder: what the network was trained on, in frames of 10 ms."""

LEVEL = -25.0
"""dBFS RMS to which sound is brought, as the network hears linear power: the cosine of a clip with
itself 10 dB louder is 0.82 to 0.93. (Resemblyzer raises to -30 and leaves louder sound as it is.)
Equal error rate of real turns of 1 to 4 s at -35, -30, -25, -20: 14.4, 12.3, 10.5, 10.0 %."""

_PARTIAL_STEP = 77
_MIN_COVERAGE = 0.75
_TRIM = VadParameters(mode=3, frame=0.03)
_CHUNK = 64
_TINY = 1e-12
# Where the float32 tensors lie in the pinned file, in bytes. The LSTM's are one storage: input and
# hidden weights of each layer, then input and hidden biases of each layer.
_LSTM_AT = 269_883
_LINEAR_WEIGHT_AT = 7_731
_LINEAR_BIAS_AT = 6_699


class Layer(NamedTuple):
    """One LSTM layer; its gates are `x @ input + h @ hidden + bias`: enter, forget, new, leave."""

    input: FloatArray
    hidden: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class Encoder:
    """Three LSTM layers, a linear layer and a ReLU, in float32."""

    layers: tuple[Layer, ...]
    weight: FloatArray
    bias: FloatArray

    def __call__(self, windows: Sequence[FloatArray]) -> FloatArray:
        """Unit-length, non-negative embeddings (n, 256) of mel windows (frames, 40) of any length.

        Windows go through in chunks of a fixed size, so memory stays below 100 MB. On one thread:
        the products are small, and several threads on a busy machine take ten times as long.
        """
        with threadpool_limits(1):
            chunks = [self._embed(windows[i : i + _CHUNK]) for i in range(0, len(windows), _CHUNK)]
        return np.concatenate([np.empty((0, UNITS), np.float32), *chunks])

    def _embed(self, windows: Sequence[FloatArray]) -> FloatArray:
        lengths = np.array([len(window) for window in windows])
        steps = np.zeros((lengths.max(), len(windows), BANDS), np.float32)
        for i, window in enumerate(windows):
            steps[: len(window), i] = window
        for layer in self.layers:
            steps = _run_layer(layer, steps)
        last = steps[lengths - 1, np.arange(len(windows))]
        return unit(np.maximum(0.0, last @ self.weight + self.bias))


def unit(vectors: FloatArray) -> FloatArray:
    """`vectors` (..., d) scaled to length 1."""
    scaled: FloatArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def _run_layer(layer: Layer, steps: FloatArray) -> FloatArray:
    """Hidden states (frames, n, 256) for the inputs `steps` (frames, n, d)."""
    hidden = np.zeros((steps.shape[1], UNITS), np.float32)
    cell = np.zeros_like(hidden)
    states = np.empty((*steps.shape[:2], UNITS), np.float32)
    for frame, step in enumerate(steps):
        gates = step @ layer.input + hidden @ layer.hidden + layer.bias
        enter, forget, new, leave = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        hidden = _sigmoid(leave) * np.tanh(cell)
        states[frame] = hidden
    return states


def _sigmoid(x: FloatArray) -> FloatArray:
    result: FloatArray = 0.5 + 0.5 * np.tanh(0.5 * x)
    return result


def load_encoder() -> Encoder:
    """The encoder with the wheel's weights, read as raw numbers: no code of the wheel runs.

    Raises:
        UserError: the wheel is not installed, or its weights are not those of version 0.1.4.
    """
    path = _weights_path()
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS.sha256:
        raise UserError(
            f"{path} is not the weights file of resemblyzer 0.1.4; run: "
            "pip install --force-reinstall --no-deps resemblyzer==0.1.4"
        )
    lstm = _Reader(data, _LSTM_AT)
    gates = 4 * UNITS
    matrices = [
        (lstm.take(gates, size).T, lstm.take(gates, UNITS).T) for size in (BANDS, UNITS, UNITS)
    ]
    biases = [lstm.take(gates) + lstm.take(gates) for _ in matrices]
    return Encoder(
        tuple(Layer(*pair, bias) for pair, bias in zip(matrices, biases, strict=True)),
        _Reader(data, _LINEAR_WEIGHT_AT).take(UNITS, UNITS).T,
        _Reader(data, _LINEAR_BIAS_AT).take(UNITS),
    )


class _Reader:
    """Takes float32 tensors, one after the other, from `data`."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset

    def take(self, *shape: int) -> FloatArray:
        count = math.prod(shape)
        tensor = np.frombuffer(self.data, "<f4", count, self.offset)
        self.offset += tensor.nbytes
        return tensor.reshape(shape).astype(np.float32)


def _weights_path() -> Path:
    spec = find_spec(REQUIREMENT.module)
    if spec is None or spec.origin is None:
        raise UserError(f"the GE2E speaker encoder is not installed; run: {REQUIREMENT.install}")
    return Path(spec.origin).with_name("pretrained.pt")


def at_level(samples: FloatArray) -> FloatArray:
    """`samples` at `LEVEL`; silence stays as it is."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return samples * np.float32(10 ** (LEVEL / 20) / math.sqrt(power)) if power else samples


def trim_silence(samples: FloatArray) -> FloatArray:
    """`samples` (n,) without silences beyond about 0.2 s.

    As in resemblyzer's `preprocess_wav`: WebRTC's detector in mode 3 on 30 ms frames; a frame
    stays when most of the 8 around it are voiced, or when one within 3 frames of it stays so.
    """
    voiced = frames_with_speech(samples, _TRIM)
    if not voiced.any():
        return samples[:0]
    voted = np.convolve(voiced, np.ones(8))[4 : 4 + len(voiced)] > 4
    kept = np.convolve(voted, np.ones(7))[3 : 3 + len(voiced)] > 0
    mask = np.repeat(kept, round(_TRIM.frame * SAMPLE_RATE))
    return samples[: len(mask)][mask]


def embed_utterances(encoder: Encoder, utterances: Sequence[FloatArray]) -> FloatArray:
    """One unit-length vector (n, 256) for each non-empty utterance: its windows' direction.

    As resemblyzer's `embed_utterance`, windows of 1.6 s every 0.77 s, the last kept when at least
    three quarters of it are sound; but an utterance shorter than a window goes in as it is, not
    with zeros behind it (equal error rate of turns of 1 to 4 s: 7.9 instead of 10.5 %).
    """
    groups = [_partial_windows(samples) for samples in utterances]
    partials = encoder([window for group in groups for window in group])
    if not groups:
        return partials
    starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
    return unit(np.add.reduceat(partials, starts))


def _partial_windows(samples: FloatArray) -> list[FloatArray]:
    if len(samples) < WINDOW_FRAMES * HOP:
        return [mel_spectrogram(samples, MEL_WINDOW, HOP, BANDS)]
    frames = math.ceil((len(samples) + 1) / HOP)
    starts = list(range(0, frames - WINDOW_FRAMES + _PARTIAL_STEP + 1, _PARTIAL_STEP))
    covered = (len(samples) / HOP - starts[-1]) / WINDOW_FRAMES
    if len(starts) > 1 and covered < _MIN_COVERAGE:
        starts.pop()
    missing = (starts[-1] + WINDOW_FRAMES) * HOP - len(samples)
    mel = mel_spectrogram(np.pad(samples, (0, max(0, missing))), MEL_WINDOW, HOP, BANDS)
    return [mel[start : start + WINDOW_FRAMES] for start in starts]


def sliding_windows(samples: FloatArray, hop: float) -> Iterator[tuple[float, FloatArray]]:
    """Mel windows of up to 1.6 s, each at `LEVEL`, with the second at which it starts.

    One starts every `hop` seconds and one ends with the sound; short sound is one window.
    """
    mel = mel_spectrogram(samples, MEL_WINDOW, HOP, BANDS)
    last = max(0, len(mel) - WINDOW_FRAMES)
    step = round(hop * SAMPLE_RATE / HOP)
    for start in [*range(0, last, step), last]:
        heard = samples[start * HOP : (start + WINDOW_FRAMES) * HOP]
        power = max(float(np.mean(np.square(heard, dtype=np.float64))), _TINY)
        gain = np.float32(10 ** (LEVEL / 10) / power)
        yield start * HOP / SAMPLE_RATE, mel[start : start + WINDOW_FRAMES] * gain

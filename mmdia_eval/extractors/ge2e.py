"""The GE2E speaker encoder of the resemblyzer 0.1.4 wheel, run in numpy.

L. Wan, Q. Wang, A. Papir, I. Lopez Moreno: Generalized End-to-End Loss for Speaker Verification,
ICASSP 2018. Code and weights: github.com/resemble-ai/Resemblyzer, Apache-2.0. Trained on 16 kHz
English speech (LibriSpeech-other, VoxCeleb 1 and 2).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdia_eval.api import Requirement, Weights
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.mel import mel_spectrogram
from mmdia_eval.types import SAMPLE_RATE, FloatArray

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
"""10 ms frames of one encoder window: the 1.6 s that the network was trained on."""

LEVEL = -30.0
"""dBFS RMS to which quieter sound is raised; louder sound is left as it is."""

_CHUNK = 64
# Where the float32 tensors lie in the pinned file, in bytes. The LSTM's are one storage: input and
# hidden weights of each layer, then input and hidden biases of each layer.
_LSTM_AT = 269_883
_LINEAR_WEIGHT_AT = 7_731
_LINEAR_BIAS_AT = 6_699


class Layer(NamedTuple):
    """One LSTM layer: `x @ input + h @ hidden + bias` gives the gates input, forget, cell, output."""

    input: FloatArray
    hidden: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class Encoder:
    """Three LSTM layers, a linear layer and a ReLU, in float32."""

    layers: tuple[Layer, ...]
    weight: FloatArray
    bias: FloatArray

    def __call__(self, mels: FloatArray) -> FloatArray:
        """Unit-length, non-negative embeddings (n, 256) of mel windows (n, frames, 40).

        Windows go through in chunks of a fixed size, so that a file's embeddings do not depend on
        what else is being embedded.
        """
        chunks = [self._embed(mels[i : i + _CHUNK]) for i in range(0, len(mels), _CHUNK)]
        return np.concatenate([np.empty((0, UNITS), np.float32), *chunks])

    def _embed(self, mels: FloatArray) -> FloatArray:
        steps = np.ascontiguousarray(mels.swapaxes(0, 1))
        for layer in self.layers:
            steps = _run_layer(layer, steps)
        return unit(np.maximum(0.0, steps[-1] @ self.weight + self.bias))


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
    return 0.5 + 0.5 * np.tanh(0.5 * x)


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

"""DNSMOS: predicted opinion scores of speech quality, from the models in the speechmos wheel.

P.835 scores: C. Reddy, V. Gopal, R. Cutler: DNSMOS P.835, ICASSP 2022. P.808 score: the same
authors: DNSMOS, ICASSP 2021. Models: speechmos 0.0.1.1 on PyPI, Microsoft, MIT.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs, Requirement
from mmdia_eval.artifacts import Alignment, MosPrediction, TurnScores
from mmdia_eval.errors import UserError
from mmdia_eval.extractors import vad
from mmdia_eval.extractors.mel import mel_spectrogram
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray, Weights

WINDOW = 144_160
"""Samples of one window, 9.01 s: the models' fixed input."""

P835 = Weights(
    "speechmos-0.0.1.1/dnsmos_models/sig_bak_ovr.onnx",
    "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
)
P808 = Weights(
    "speechmos-0.0.1.1/dnsmos_models/model_v8.onnx",
    "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
)
# From the network's output to the opinion scale, highest power first (speechmos, `dnsmos.py`).
_TO_MOS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


class DnsmosSettings(api.Settings):
    """How the file is prepared and how much of it is heard.

    `level` is the RMS of the speech, in dBFS, that the file is brought to: 20 dB less cost 0.33 of
    `ovrl` on LibriSpeech. `hop` is the most seconds between two windows: with 3 s, `ovrl` of 21
    dialogues is 0.02 away in the mean, 0.10 at most, from that with 1 s (their own deviation
    is 0.21). `per_turn` says which scores each aligned turn gets: P.835 takes 0.4 s of CPU a turn,
    P.808 alone a twentieth of it.
    """

    level: float = Field(default=-26.0, ge=-60.0, le=0.0)
    hop: float = Field(default=3.0, gt=0.0, le=WINDOW / SAMPLE_RATE)
    per_turn: Literal["none", "p808", "all"] = "p808"


@extractor("dnsmos")
class Dnsmos(Extractor[MosPrediction]):
    """Scores `sig`, `bak`, `ovrl` (P.835) and `p808`, about 1 to 5, higher is better, at 16 kHz.

    It hears noise and distortion, not naturalness: never rank synthesizers by it. Windows of
    9.01 s are spread evenly over the file from its first to its last sample, and their scores
    averaged; a file or turn shorter than a window is repeated to fill one. Each window scores as in
    speechmos, which places them otherwise: one a second, of which a rounding slip drops those that
    start 7 to 23 s into the file; and it doubles a short file, then averages the windows of that.
    """

    version = "1"
    makes = MosPrediction
    cost = 0.13
    needs = (Alignment,)
    requires = (
        Requirement("onnxruntime", "pip install 'onnxruntime>=1.20'"),
        Requirement("speechmos", "pip install speechmos==0.0.1.1"),
    )
    Settings = DnsmosSettings

    def weights(self) -> tuple[Weights, ...]:
        return (P835, P808)

    def identity(self) -> Mapping[str, Any]:
        return {"vad": asdict(vad.DEFAULT)}

    def load(self) -> None:
        self._p835 = _session(P835)
        self._p808 = _session(P808)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[MosPrediction]:
        return [self._predict(item) for item in batch]

    def _predict(self, item: Inputs) -> MosPrediction:
        audio = at_level(item.audio, self.settings.level)
        return MosPrediction(
            scores=self._scores(audio.samples, p835=True),
            turns=tuple(self._turns(audio, item.artifacts[Alignment])),
        )

    def _turns(self, audio: Audio, alignment: Alignment) -> Iterator[TurnScores]:
        if self.settings.per_turn == "none":
            return
        for turn in alignment.turns:
            samples = audio.cut(turn.segment).samples if turn.segment else audio.samples[:0]
            if len(samples):
                scores = self._scores(samples, p835=self.settings.per_turn == "all")
                yield TurnScores(turn.index, scores)

    def _scores(self, samples: FloatArray, *, p835: bool) -> Mapping[str, float]:
        # One window a run: eight at once take 1.7 times as long, as they leave the CPU's cache.
        rows = [
            {**(self._p835_scores(window) if p835 else {}), "p808": self._p808_score(window)}
            for window in windows(samples, self.settings.hop)
        ]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    def _p835_scores(self, window: FloatArray) -> Mapping[str, float]:
        raw = self._p835.run(None, {"input_1": window[None]})[0][0]
        return {
            name: float(np.polyval(coefficients, value))
            for (name, coefficients), value in zip(_TO_MOS.items(), raw, strict=True)
        }

    def _p808_score(self, window: FloatArray) -> float:
        return float(self._p808.run(None, {"input_1": p808_features(window)[None]})[0][0, 0])


def windows(samples: FloatArray, hop: float) -> Sequence[FloatArray]:
    """Windows of 9.01 s, evenly spread from the first sample to the last, at most `hop` s apart."""
    spare = len(samples) - WINDOW
    if spare <= 0:
        return [np.resize(samples, WINDOW)]
    count = math.ceil(spare / (hop * SAMPLE_RATE)) + 1
    starts = np.linspace(0, spare, count).round().astype(int)
    return [samples[start : start + WINDOW] for start in starts]


def at_level(audio: Audio, level: float) -> Audio:
    """`audio` with its speech at `level` dBFS RMS, clipped to [-1, 1]; silence stays as it is.

    Speech is what WebRTC's detector finds, the whole file where it finds none: the level of the
    file as a whole would fall with every pause.
    """
    loud = _scaled(audio, audio.samples, level)  # the detector does not hear quiet speech
    spoken = [loud.cut(segment).samples for segment in vad.speech_segments(loud)]
    even = _scaled(loud, np.concatenate(spoken), level) if spoken else loud
    return Audio(np.clip(even.samples, -1.0, 1.0), even.sample_rate)


def _scaled(audio: Audio, part: FloatArray, level: float) -> Audio:
    """`audio` by the gain that brings `part` of it to `level`."""
    power = float(np.mean(np.square(part, dtype=np.float64))) if len(part) else 0.0
    gain = 10 ** (level / 20) / math.sqrt(power) if power else 1.0
    return Audio(audio.samples * np.float32(gain), audio.sample_rate)


def p808_features(window: FloatArray) -> FloatArray:
    """The P.808 model's input (900, 120): mel power in dB below the peak, 80 dB deep, scaled."""
    mel = mel_spectrogram(window[:-160], window=321, hop=160, bands=120)
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    below_peak = np.maximum(decibels - decibels.max(), -80.0)
    features: FloatArray = ((below_peak + 40) / 40).astype(np.float32)
    return features


def _session(weights: Weights) -> Any:
    """The model behind `weights`, found without importing speechmos (that would need librosa).

    Raises:
        UserError: the wheel is not installed, or the file is not that of version 0.1.1.
    """
    import onnxruntime  # noqa: PLC0415

    spec = find_spec("speechmos")
    if spec is None or spec.origin is None:
        raise UserError("the DNSMOS models are not installed; run: pip install speechmos==0.0.1.1")
    path = Path(spec.origin).parent.joinpath(*Path(weights.name).parts[1:])
    model = path.read_bytes()
    if hashlib.sha256(model).hexdigest() != weights.sha256:
        raise UserError(
            f"{path} is not that of speechmos 0.0.1.1; run: "
            "pip install --force-reinstall speechmos==0.0.1.1"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

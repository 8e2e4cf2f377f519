"""The strong learner of UTMOS without fairseq: wav2vec 2.0 base, a BLSTM and a two-layer head.

T. Saeki et al.: UTMOS, Interspeech 2022, section 2.1, the variant without phonemes. Two layouts of
one set of weights are read:

- `utmos22_strong_step7459_v1.pt` of tarepan/SpeechMOS (release v1.0.0, used by its v1.2.0): a
  state dict in which the embeddings of domain 0 and judge 288 are the only ones left;
- the authors' own (sarulab-speech/UTMOS22, `epoch=3-step=7459.ckpt`), once its `state_dict` is
  exported alone: there all domains and judges are, of which those two are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmdia_eval import torch_audio
from mmdia_eval.networks.checkpoint import (
    FRAME_STEP,
    GROUP_NORM_RULES,
    KERNELS,
    RECEPTIVE_FIELD,
    STRIDES,
    Rules,
    Shapes,
    Tensors,
    load_exactly,
    read_checkpoint,
    renamed,
)

DOMAIN = 0
JUDGE = 288
"""The data set and the listener whose rating is predicted, as in the authors' demo."""

_TRUNK = "wav2vec2."
_AUTHORS_RULES: Rules = (
    (r"^feature_extractors\.0\.ssl_model\.", _TRUNK),
    (r"^feature_extractors\.1\.embedding\.weight$", "domain_emb"),
    (r"^output_layers\.0\.judge_embedding\.weight$", "judge_emb"),
    (r"^output_layers\.0\.decoder_rnn\.", "blstm."),
    (r"^output_layers\.1\.net\.0\.", "projection.0."),
    (r"^output_layers\.1\.net\.3\.", "projection.2."),
)


class _NormOverTime(nn.GroupNorm):
    """Group norm of one channel a group, over the first `frames` (n,) of each item alone.

    It is the only step of wav2vec 2.0 base in which the padding of a batch would change the sound.
    """

    frames: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.frames is None:
            return super().forward(x)
        counts = self.frames[:, None, None]
        mask = torch.arange(x.shape[2], device=x.device) < counts
        mean = (x * mask).sum(dim=2, keepdim=True) / counts
        variance = ((x - mean) ** 2 * mask).sum(dim=2, keepdim=True) / counts
        normal = (x - mean) / torch.sqrt(variance + self.eps)
        return normal * self.weight[:, None] + self.bias[:, None]


class Utmos(nn.Module):
    """Predicted opinion scores (n,) of n waveforms; each is the one it would get alone."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        torch_audio.prepare()
        from transformers import Wav2Vec2Config, Wav2Vec2Model  # noqa: PLC0415

        sizes = shapes.trunk(_TRUNK)
        self.trunk = Wav2Vec2Model(
            Wav2Vec2Config(**sizes, feat_extract_norm="group", do_stable_layer_norm=False)
        )
        first = self.trunk.feature_extractor.conv_layers[0]
        first.layer_norm = _NormOverTime(sizes["conv_dim"][0], sizes["conv_dim"][0])
        gates, width = shapes("blstm.weight_ih_l0")
        self.domain_emb = nn.Parameter(torch.empty(shapes("domain_emb")))
        self.judge_emb = nn.Parameter(torch.empty(shapes("judge_emb")))
        self.blstm = nn.LSTM(width, gates // 4, batch_first=True, bidirectional=True)
        hidden = shapes("projection.0.weight")[0]
        self.projection = nn.Sequential(
            nn.Linear(gates // 2, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, waves: Sequence[Tensor]) -> Tensor:
        """`waves`: (samples,) each, float32 as decoded, `RECEPTIVE_FIELD` or longer, at 16 kHz."""
        padded = nn.utils.rnn.pad_sequence(list(waves), batch_first=True)
        lengths = torch.tensor([len(wave) for wave in waves])
        frames = (lengths - RECEPTIVE_FIELD) // FRAME_STEP + 1
        states = self._states(padded, lengths.to(padded.device))
        fixed = torch.cat([self.domain_emb, self.judge_emb], dim=1)
        inputs = torch.cat([states, fixed[:, None].expand(*states.shape[:2], -1)], dim=2)
        packed = nn.utils.rnn.pack_padded_sequence(
            inputs, frames, batch_first=True, enforce_sorted=False
        )
        outputs, _ = nn.utils.rnn.pad_packed_sequence(self.blstm(packed)[0], batch_first=True)
        scores = self.projection(outputs)[:, :, 0]
        frames = frames.to(scores.device)
        mask = torch.arange(scores.shape[1], device=scores.device) < frames[:, None]
        result: Tensor = (scores * mask).sum(dim=1) / frames * 2 + 3
        return result

    def _states(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """The last layer of wav2vec 2.0, (n, frames, hidden)."""
        norm: Any = self.trunk.feature_extractor.conv_layers[0].layer_norm
        if bool((lengths == padded.shape[1]).all()):
            norm.frames = heard = None
        else:
            norm.frames = (lengths - KERNELS[0]) // STRIDES[0] + 1
            heard = (torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]).long()
        states: Tensor = self.trunk(padded, heard).last_hidden_state
        return states


def published_name(name: str) -> str:
    """The name in SpeechMOS' file of the tensor `name` of `Utmos`."""
    if name.startswith("trunk."):
        return _TRUNK + renamed(name.removeprefix("trunk."), GROUP_NORM_RULES)
    return name


def load(path: Path) -> Utmos:
    """The network of the checkpoint at `path`, as large as its tensors say, on the CPU.

    Raises:
        UserError: the file is damaged, or a tensor is missing, unknown or of another shape.
    """
    tensors = _speechmos_layout(read_checkpoint(path))
    network = Utmos(Shapes(tensors, path))
    load_exactly(network, tensors, published_name, path)
    return network.eval().requires_grad_(requires_grad=False)


def _speechmos_layout(checkpoint: Mapping[str, Any]) -> Tensors:
    """`checkpoint` by SpeechMOS' names, whichever of the two layouts it has."""
    if "state_dict" not in checkpoint:
        return checkpoint
    found = {renamed(name, _AUTHORS_RULES): t for name, t in checkpoint["state_dict"].items()}
    for name, row in (("domain_emb", DOMAIN), ("judge_emb", JUDGE)):
        if name in found:
            found[name] = found[name][row : row + 1]
    return found

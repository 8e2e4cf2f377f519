"""WavLM-Large under an ECAPA-TDNN head: the speaker encoder of UniSpeech's speaker verification.

Network: S. Chen et al.: WavLM, JSTSP 2022, section V-C; B. Desplanques et al.: ECAPA-TDNN,
Interspeech 2020. Weights: `wavlm_large_finetune.pth` of microsoft/UniSpeech,
`downstreams/speaker_verification`: {"model": 711 tensors, "best_valid_eer": 100.0}, of which
`loss_calculator.projection.weight` is the classifier of the training. seed-tts-eval, ZipVoice and
MM-DIA's release use it; they load it with strict=False.

What the reference does and a reader could miss (UniSpeech `models/ecapa_tdnn.py`, s3prl
`upstream/wavlm/expert.py`, both read): each waveform is scaled to mean 0 and variance 1; the
features are the input of each of the 24 layers and the normalised output of the last, 25 in all,
weighted by a softmax; each channel of them is normalised over time, without learned scale (1e-6 is
added to them before, which that takes away again); in the head ReLU comes before batch
normalisation.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmdia_eval import torch_audio
from mmdia_eval.errors import UserError
from mmdia_eval.networks.checkpoint import (
    FRAME_STEP,
    LAYER_NORM_RULES,
    RECEPTIVE_FIELD,
    Rules,
    Shapes,
    load_exactly,
    read_checkpoint,
    renamed,
)

_DILATIONS = (2, 3, 4)
_MAX_DISTANCE = 800
"""Frames beyond which WavLM-Large tells no distances apart; no tensor's shape tells it."""

_TRUNK = "feature_extract.model."
_UNUSED = ("loss_calculator.projection.weight",)
_HEAD_RULES: Rules = (
    (r"^layer_weights$", "feature_weight"),
    (r"^entry\.", "layer1."),
    (r"^blocks\.0\.", "layer2."),
    (r"^blocks\.1\.", "layer3."),
    (r"^blocks\.2\.", "layer4."),
    (r"\.narrow\.", ".Conv1dReluBn1."),
    (r"\.scales\.(\d+)\.conv\.", r".Res2Conv1dReluBn.convs.\1."),
    (r"\.scales\.(\d+)\.norm\.", r".Res2Conv1dReluBn.bns.\1."),
    (r"\.widen\.", ".Conv1dReluBn2."),
    (r"\.squeeze\.", ".SE_Connect.linear1."),
    (r"\.excite\.", ".SE_Connect.linear2."),
    (r"\.norm\.", ".bn."),
    (r"^merge\.", "conv."),
    (r"^attention\.0\.", "pooling.linear1."),
    (r"^attention\.1\.", "pooling.linear2."),
    (r"^pooled_norm\.", "bn."),
    (r"^embedding\.", "linear."),
)


class _ConvReluNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        same = dilation * (kernel // 2)
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=same, dilation=dilation)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames past an item's end are zeros to the convolution, as if the item came alone."""
        result: Tensor = self.norm(functional.relu(self.conv(x * mask)))
        return result


class _SeRes2Block(nn.Module):
    def __init__(self, channels: int, groups: int, bottleneck: int, dilation: int) -> None:
        super().__init__()
        width = channels // groups
        self.narrow = _ConvReluNorm(channels, channels)
        self.scales = nn.ModuleList(
            _ConvReluNorm(width, width, 3, dilation) for _ in range(groups - 1)
        )
        self.widen = _ConvReluNorm(channels, channels)
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        *groups, untouched = self.narrow(x, mask).chunk(len(self.scales) + 1, dim=1)
        done: list[Tensor] = []
        for scale, group in zip(self.scales, groups, strict=True):
            done.append(scale(group + done[-1] if done else group, mask))
        widened = self.widen(torch.cat([*done, untouched], dim=1), mask)
        gates = torch.sigmoid(self.excite(functional.relu(self.squeeze(_mean(widened, mask)))))
        result: Tensor = x + widened * gates[:, :, None]
        return result


class WavlmEcapa(nn.Module):
    """Embeddings (n, d), any length, of n waveforms; each is the one it would have alone."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        torch_audio.prepare()
        from transformers import WavLMConfig, WavLMModel  # noqa: PLC0415

        sizes = shapes.trunk(_TRUNK)
        first = f"{_TRUNK}encoder.layers.0.self_attn."
        self.trunk = WavLMModel(
            WavLMConfig(
                **{**sizes, "num_attention_heads": shapes(f"{first}grep_a")[1]},
                feat_extract_norm="layer",
                do_stable_layer_norm=True,
                num_buckets=shapes(f"{first}relative_attention_bias.weight")[0],
                max_bucket_distance=_MAX_DISTANCE,
            )
        )
        channels, features, kernel = shapes("layer1.conv.weight")
        groups = shapes.count("layer2.Res2Conv1dReluBn.convs.{}.weight") + 1
        bottleneck = shapes("layer2.SE_Connect.linear1.weight")[0]
        merged = shapes("conv.weight")[0]
        scores = shapes("pooling.linear1.weight")[0]
        self.layer_weights = nn.Parameter(torch.zeros(sizes["num_hidden_layers"] + 1))
        self.entry = _ConvReluNorm(features, channels, kernel)
        self.blocks = nn.ModuleList(
            _SeRes2Block(channels, groups, bottleneck, dilation) for dilation in _DILATIONS
        )
        self.merge = nn.Conv1d(len(_DILATIONS) * channels, merged, 1)
        self.attention = nn.ModuleList([nn.Conv1d(merged, scores, 1), nn.Conv1d(scores, merged, 1)])
        self.pooled_norm = nn.BatchNorm1d(2 * merged)
        self.embedding = nn.Linear(2 * merged, shapes("linear.weight")[0])

    def forward(self, waves: Sequence[Tensor]) -> Tensor:
        """`waves`: (samples,) each, float32, two frames or longer (one has no variance)."""
        features, mask = self._features(waves)
        return self._head(features, mask)

    def _features(self, waves: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Sum of all layers (n, channels, frames), and which frames count (n, 1, frames)."""
        scaled = [functional.layer_norm(wave, wave.shape) for wave in waves]
        padded = nn.utils.rnn.pad_sequence(scaled, batch_first=True)
        lengths = torch.tensor([len(wave) for wave in waves], device=padded.device)
        heard = torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]
        with warnings.catch_warnings():
            # transformers mixes a boolean padding mask with a float bias, which torch frowns on.
            warnings.filterwarnings("ignore", "Support for mismatched", UserWarning)
            found = self.trunk(padded, heard.long(), output_hidden_states=True)
        # transformers 5.23 gives the last layer before its normalisation here
        states = (*found.hidden_states[:-1], found.last_hidden_state)
        weights = torch.softmax(self.layer_weights, dim=0)
        summed = torch.einsum("l,lntc->nct", weights, torch.stack(states))
        frames = (lengths - RECEPTIVE_FIELD) // FRAME_STEP + 1
        mask = torch.arange(summed.shape[2], device=padded.device) < frames[:, None]
        return summed, mask[:, None].to(summed.dtype)

    def _head(self, features: Tensor, mask: Tensor) -> Tensor:
        centred = features - _mean(features, mask)[:, :, None]
        x = centred / torch.sqrt(_mean(centred**2, mask)[:, :, None] + 1e-5)
        x = self.entry(x, mask)
        outputs = []
        for block in self.blocks:
            x = block(x, mask)
            outputs.append(x)
        merged = functional.relu(self.merge(torch.cat(outputs, dim=1)))
        first, second = self.attention
        scores = second(torch.tanh(first(merged))).masked_fill(mask == 0, -torch.inf)
        shares = torch.softmax(scores, dim=2)
        mean = torch.sum(shares * merged, dim=2)
        variance = torch.sum(shares * merged**2, dim=2) - mean**2
        pooled = torch.cat([mean, torch.sqrt(variance.clamp(min=1e-9))], dim=1)
        result: Tensor = self.embedding(self.pooled_norm(pooled))
        return result


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Over the frames that count: (n, channels, frames) to (n, channels)."""
    return (x * mask).sum(dim=2) / mask.sum(dim=2)


def published_name(name: str) -> str:
    """The name in `wavlm_large_finetune.pth` of the tensor `name` of `WavlmEcapa`."""
    if name.startswith("trunk."):
        return _TRUNK + renamed(name.removeprefix("trunk."), LAYER_NORM_RULES)
    return renamed(name, _HEAD_RULES)


def load(path: Path) -> WavlmEcapa:
    """The network of the checkpoint at `path`, as large as its tensors say, on the CPU.

    Raises:
        UserError: the file is damaged, or a tensor is missing, unknown or of another shape.
    """
    tensors = read_checkpoint(path).get("model")
    if not isinstance(tensors, dict):
        raise UserError(f"{path} has no entry 'model' with the network's tensors")
    network = WavlmEcapa(Shapes(tensors, path))
    load_exactly(network, tensors, published_name, path, _UNUSED)
    return network.eval().requires_grad_(requires_grad=False)

"""WavLM with ECAPA, and UTMOS, written down from their papers and the published code's behaviour.

Straight over the tensors of a published file, one waveform at a time, without masks, modules or
transformers: what `mmdia_eval.networks` must agree with.
"""

from __future__ import annotations

import math

import torch
from tiny_voices import State
from torch import Tensor
from torch.nn import LSTM
from torch.nn.functional import conv1d, gelu, group_norm, layer_norm, linear, relu

STRIDES = (5, 2, 2, 2, 2, 2, 2)


def under(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}


def dense(x: Tensor, s: State, name: str) -> Tensor:
    return linear(x, s[f"{name}.weight"], s[f"{name}.bias"])


def normal(x: Tensor, s: State, name: str) -> Tensor:
    return layer_norm(x, x.shape[-1:], s[f"{name}.weight"], s[f"{name}.bias"])


def frames(wave: Tensor, s: State, *, with_layer_norm: bool) -> Tensor:
    """The convolutions, (frames, channels)."""
    x = wave[None, None]
    for i, stride in enumerate(STRIDES):
        name = f"feature_extractor.conv_layers.{i}"
        x = conv1d(x, s[f"{name}.0.weight"], stride=stride)
        if with_layer_norm:
            x = normal(x.transpose(1, 2), s, f"{name}.2.1").transpose(1, 2)
        elif i == 0:
            x = group_norm(x, x.shape[1], s[f"{name}.2.weight"], s[f"{name}.2.bias"])
        x = gelu(x)
    return dense(normal(x[0].T, s, "layer_norm"), s, "post_extract_proj")


def with_positions(x: Tensor, s: State) -> Tensor:
    direction, length = s["encoder.pos_conv.0.weight_v"], s["encoder.pos_conv.0.weight_g"]
    weight = length * direction / direction.norm(dim=(0, 1), keepdim=True)
    groups = x.shape[1] // weight.shape[1]
    bias = s["encoder.pos_conv.0.bias"]
    found = conv1d(x.T[None], weight, bias, padding=weight.shape[2] // 2, groups=groups)
    return x + gelu(found[0, :, :-1]).T


def attend(x: Tensor, s: State, heads: int, bias: Tensor | None = None) -> Tensor:
    """Self-attention of (frames, d); `bias` (heads, frames, frames) is added before the softmax."""
    parts = [
        dense(x, s, f"self_attn.{part}_proj").view(len(x), heads, -1).transpose(0, 1)
        for part in "qkv"
    ]
    queries, keys, values = parts
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.shape[2])
    shares = torch.softmax(scores if bias is None else scores + bias, dim=2)
    return dense((shares @ values).transpose(0, 1).flatten(1), s, "self_attn.out_proj")


def feed(x: Tensor, s: State) -> Tensor:
    return dense(gelu(dense(x, s, "fc1")), s, "fc2")


def bucket(distance: int, buckets: int) -> int:
    """WavLM, section IV-B: exact up to a quarter of the buckets, logarithmic up to 800 frames."""
    half = buckets // 2
    exact, away = half // 2, abs(distance)
    if away >= exact:
        share = math.log(away / exact) / math.log(800 / exact)
        away = min(half - 1, exact + int(share * (half - exact)))
    return away + (half if distance > 0 else 0)


def wavlm_states(wave: Tensor, s: State) -> list[Tensor]:
    """Input of each layer, then the normalised output of the last."""
    x = with_positions(frames(layer_norm(wave, wave.shape), s, with_layer_norm=True), s)
    table = s["encoder.layers.0.self_attn.relative_attention_bias.weight"]
    places = range(len(x))
    indices = torch.tensor([[bucket(j - i, len(table)) for j in places] for i in places])
    positions = table[indices].permute(2, 0, 1)
    states = []
    for layer in range(3):
        states.append(x)
        one = under(s, f"encoder.layers.{layer}.")
        inner = normal(x, one, "self_attn_layer_norm")
        heads = inner.view(len(x), len(positions), -1).transpose(0, 1)
        gates = dense(heads, one, "self_attn.grep_linear")
        gates = gates.view(*gates.shape[:2], 2, 4).sum(3).sigmoid()
        update, reset = gates[:, :, :1], gates[:, :, 1:]
        gate = update * (reset * one["self_attn.grep_a"][0] - 1) + 2
        x = x + attend(inner, one, len(positions), gate * positions)
        x = x + feed(normal(x, one, "final_layer_norm"), one)
    return [*states, normal(x, s, "encoder.layer_norm")]


def unit_relu_norm(x: Tensor, s: State, conv: str, norm: str, dilation: int = 1) -> Tensor:
    weight = s[f"{conv}.weight"]
    side = dilation * (weight.shape[2] // 2)
    y = relu(conv1d(x, weight, s[f"{conv}.bias"], padding=side, dilation=dilation))
    return batch_normal(y, s, norm)


def batch_normal(y: Tensor, s: State, norm: str) -> Tensor:
    mean, variance, weight, bias = (
        s[f"{norm}.{part}"].unsqueeze(-1) if y.ndim == 3 else s[f"{norm}.{part}"]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (y - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def wavlm_ecapa(wave: Tensor, state: State) -> Tensor:
    """The embedding (d,)."""
    states = wavlm_states(wave, under(state, "feature_extract.model."))
    weights = torch.softmax(state["feature_weight"], dim=0)
    x = sum(w * one for w, one in zip(weights, states, strict=True)).T[None] + 1e-6
    x = (x - x.mean(2, keepdim=True)) / torch.sqrt(x.var(2, correction=0, keepdim=True) + 1e-5)
    x = unit_relu_norm(x, state, "layer1.conv", "layer1.bn")
    outputs = []
    for number, dilation in ((2, 2), (3, 3), (4, 4)):
        x = se_res2(x, under(state, f"layer{number}."), dilation)
        outputs.append(x)
    merged = relu(conv1d(torch.cat(outputs, 1), state["conv.weight"], state["conv.bias"]))[0].T
    pooling = {k: v[..., 0] if v.ndim == 3 else v for k, v in under(state, "pooling.").items()}
    scores = dense(torch.tanh(dense(merged, pooling, "linear1")), pooling, "linear2")
    shares = torch.softmax(scores, dim=0)
    mean = (shares * merged).sum(0)
    deviation = ((shares * merged**2).sum(0) - mean**2).clamp(min=1e-9).sqrt()
    return dense(batch_normal(torch.cat([mean, deviation]), state, "bn"), state, "linear")


def se_res2(x: Tensor, s: State, dilation: int) -> Tensor:
    groups = unit_relu_norm(x, s, "Conv1dReluBn1.conv", "Conv1dReluBn1.bn").chunk(8, 1)
    done: list[Tensor] = []
    for i in range(7):
        fed = groups[i] + done[-1] if i else groups[i]
        names = f"Res2Conv1dReluBn.convs.{i}", f"Res2Conv1dReluBn.bns.{i}"
        done.append(unit_relu_norm(fed, s, *names, dilation=dilation))
    y = unit_relu_norm(
        torch.cat([*done, groups[7]], 1), s, "Conv1dReluBn2.conv", "Conv1dReluBn2.bn"
    )
    gates = dense(relu(dense(y.mean(2), s, "SE_Connect.linear1")), s, "SE_Connect.linear2")
    return x + y * gates.sigmoid()[:, :, None]


def utmos(wave: Tensor, state: State) -> float:
    """The score of a waveform."""
    s = under(state, "wav2vec2.")
    x = normal(with_positions(frames(wave, s, with_layer_norm=False), s), s, "encoder.layer_norm")
    for layer in range(2):
        one = under(s, f"encoder.layers.{layer}.")
        x = normal(x + attend(x, one, heads=2), one, "self_attn_layer_norm")
        x = normal(x + feed(x, one), one, "final_layer_norm")
    fixed = torch.cat([state["domain_emb"], state["judge_emb"]], 1).expand(len(x), -1)
    blstm = LSTM(136, 16, bidirectional=True)
    blstm.load_state_dict(under(state, "blstm."))
    hidden = blstm(torch.cat([x, fixed], 1))[0]
    scores = dense(relu(dense(hidden, state, "projection.0")), state, "projection.2")
    return float(scores.detach().mean() * 2 + 3)

"""Published checkpoints: read without running code of theirs, loaded name by name or not at all."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmdia_eval.errors import UserError

Tensors = Mapping[str, Tensor]

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""Of the convolutions of every wav2vec 2.0 and WavLM (A. Baevski et al., 2020, section 4.2)."""
RECEPTIVE_FIELD = 400
FRAME_STEP = 320
"""Samples that these convolutions make their first frame of, and each further one."""

Rules = Sequence[tuple[str, str]]
_TRUNK_RULES: Rules = (
    (r"^(feature_extractor\.conv_layers\.\d+)\.conv\.", r"\1.0."),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"^masked_spec_embed$", "mask_emb"),
    (
        r"^encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original0$",
        "encoder.pos_conv.0.weight_g",
    ),
    (
        r"^encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original1$",
        "encoder.pos_conv.0.weight_v",
    ),
    (r"^encoder\.pos_conv_embed\.conv\.", "encoder.pos_conv.0."),
    (r"^(encoder\.layers\.\d+)\.attention\.", r"\1.self_attn."),
    (r"^(encoder\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.intermediate_dense\.", r"\1.fc1."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.output_dense\.", r"\1.fc2."),
    (r"\.gru_rel_pos_linear\.", ".grep_linear."),
    (r"\.gru_rel_pos_const$", ".grep_a"),
    (r"\.rel_attn_embed\.", ".relative_attention_bias."),
)
"""From transformers' names to those of fairseq, which wav2vec 2.0 and WavLM were published with."""
GROUP_NORM_RULES: Rules = (
    *_TRUNK_RULES,
    (r"^(feature_extractor\.conv_layers\.\d+)\.layer_norm\.", r"\1.2."),
)
LAYER_NORM_RULES: Rules = (
    *_TRUNK_RULES,
    (r"^(feature_extractor\.conv_layers\.\d+)\.layer_norm\.", r"\1.2.1."),
)


def renamed(name: str, rules: Rules) -> str:
    """`name` after every rule (pattern, replacement) in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """What the file holds, on the CPU; tensors and plain values only, nothing of it is executed.

    Raises:
        UserError: it is damaged, or holds objects that only running its code would bring back.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and is not opened, as that could run code of its "
            f"maker ({str(error).splitlines()[0]}); export its state_dict alone"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} cannot be read as a torch checkpoint ({reason}): fetch it again"
        ) from None
    if not isinstance(found, Mapping):
        raise UserError(f"{path} holds a {type(found).__name__}, expected named tensors")
    return found


def load_exactly(
    module: nn.Module,
    tensors: Tensors,
    published: Callable[[str], str],
    path: Path,
    unused: Collection[str] = (),
) -> None:
    """Fill `module` from `tensors`; `published` gives the file's name for each of the module's.

    `unused` are names that the file may hold beside.

    Raises:
        UserError: a name is missing or unknown, or a shape differs; the message names them as in
            the file at `path`.
    """
    wanted = {published(name): name for name in module.state_dict()}
    shapes = {published(name): tensor.shape for name, tensor in module.state_dict().items()}
    problems = [
        _listing("missing", sorted(wanted.keys() - tensors.keys())),
        _listing("unknown", sorted(tensors.keys() - wanted.keys() - set(unused))),
        _listing(
            "of another shape",
            [
                f"{name} {tuple(tensors[name].shape)} for {tuple(shape)}"
                for name, shape in shapes.items()
                if name in tensors and tensors[name].shape != shape
            ],
        ),
    ]
    if any(problems):
        raise UserError(
            f"{path} is not a checkpoint of this model: {'; '.join(filter(None, problems))}"
        )
    module.load_state_dict({name: tensors[key] for key, name in wanted.items()}, strict=True)


def _listing(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{what}: {', '.join(names[:5])}{more}"


class Shapes:
    """Shapes of named tensors, from which a network is built as large as its file."""

    def __init__(self, tensors: Tensors, path: Path) -> None:
        self._tensors = tensors
        self._path = path

    def __call__(self, name: str) -> tuple[int, ...]:
        """The shape of that tensor.

        Raises:
            UserError: there is none of that name.
        """
        if name not in self._tensors:
            raise UserError(f"{self._path} is not a checkpoint of this model: missing: {name}")
        return tuple(self._tensors[name].shape)

    def count(self, pattern: str) -> int:
        """How many tensors there are of the names `pattern` with 0, 1, 2, … for its `{}`."""
        number = 0
        while pattern.format(number) in self._tensors:
            number += 1
        return number

    def trunk(self, prefix: str) -> dict[str, Any]:
        """The sizes in transformers' words of a wav2vec 2.0 or WavLM whose names have `prefix`.

        A head of attention has 64 values, as in every published size.
        """
        widths = [
            self(f"{prefix}feature_extractor.conv_layers.{i}.0.weight")[0]
            for i in range(len(KERNELS))
        ]
        hidden, per_group, positions = self(f"{prefix}encoder.pos_conv.0.weight_v")
        return {
            "conv_dim": widths,
            "conv_kernel": list(KERNELS),
            "conv_stride": list(STRIDES),
            "conv_bias": False,
            "hidden_size": hidden,
            "num_hidden_layers": self.count(f"{prefix}encoder.layers.{{}}.fc1.weight"),
            "num_attention_heads": max(1, hidden // 64),
            "intermediate_size": self(f"{prefix}encoder.layers.0.fc1.weight")[0],
            "num_conv_pos_embeddings": positions,
            "num_conv_pos_embedding_groups": hidden // per_group,
        }

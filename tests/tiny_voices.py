"""Speaker encoders and UTMOS with few random weights, in the layouts of the published files.

The names are written out from the published code (microsoft/UniSpeech and s3prl for WavLM with
ECAPA, tarepan/SpeechMOS and sarulab-speech/UTMOS22 for UTMOS), not derived from ours.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

torch.set_num_threads(1)  # several threads on networks this small only wait for each other

State = dict[str, Tensor]

HYPERPARAMS = """\
pretrained_path: speechbrain/spkrec-ecapa-voxceleb
n_mels: 80
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [16, 16, 16, 16, 48]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 8
    se_channels: 8
    lin_neurons: 12
classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: 12
    out_neurons: 5
mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    mean_var_norm_emb: !ref <mean_var_norm_emb>
    classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        mean_var_norm_emb: !ref <mean_var_norm_emb>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
        mean_var_norm_emb: !ref <pretrained_path>/mean_var_norm_emb.ckpt
        classifier: !ref <pretrained_path>/classifier.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""


def write_ecapa(folder: Path) -> None:
    """`spkrec-ecapa-voxceleb` of speechbrain with 16 channels and 12 dimensions."""
    from mmdia_eval import torch_audio

    torch_audio.prepare()
    from hyperpyyaml import load_hyperpyyaml

    folder.mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS)
    torch.manual_seed(0)
    parts = load_hyperpyyaml(HYPERPARAMS)
    for name in ("embedding_model", "classifier"):
        state = {key: _lively(key, tensor) for key, tensor in parts[name].state_dict().items()}
        torch.save(state, folder / f"{name}.ckpt")
    statistics = {"count": 1, "glob_mean": torch.zeros(12), "glob_std": torch.ones(12)}
    torch.save({**statistics, "spk_dict_mean": {}}, folder / "mean_var_norm_emb.ckpt")
    labels = "\n".join(f"'id{i}' => {i}" for i in range(5))
    (folder / "label_encoder.txt").write_text(
        f"{labels}\n================\n'starting_index' => 0\n"
    )


def _lively(key: str, tensor: Tensor) -> Tensor:
    """Statistics of batch norms that are not 0 and 1, so that leaving them out shows."""
    if key.endswith("running_mean"):
        return 0.3 * torch.randn(tensor.shape)
    return 0.5 + torch.rand(tensor.shape) if key.endswith("running_var") else tensor


def write_wavlm_ecapa(folder: Path) -> State:
    """`wavlm_large_finetune.pth` with three layers of 32 dimensions under a head of 16 channels."""
    folder.mkdir(parents=True)
    state = wavlm_ecapa_state()
    torch.save({"model": state, "best_valid_eer": 100.0}, folder / "wavlm_large_finetune.pth")
    return state


def wavlm_ecapa_state() -> State:
    """Its tensors; 25 features become 4, 512 channels 16, 256 dimensions 8."""
    make = _Maker(1)
    make.trunk("feature_extract.model.", hidden=32, layers=3, layer_norm=True)
    for layer in range(3):
        attention = f"feature_extract.model.encoder.layers.{layer}.self_attn."
        make.linear(f"{attention}grep_linear", 16, 8)
        make(f"{attention}grep_a", 1, 2, 1, 1)
    make("feature_extract.model.encoder.layers.0.self_attn.relative_attention_bias.weight", 32, 2)
    make("feature_weight", 4)
    make.conv("layer1.conv", 32, 16, 5)
    make.batch_norm("layer1.bn", 16)
    for block in ("layer2", "layer3", "layer4"):
        for side in ("Conv1dReluBn1", "Conv1dReluBn2"):
            make.conv(f"{block}.{side}.conv", 16, 16, 1)
            make.batch_norm(f"{block}.{side}.bn", 16)
        for scale in range(7):
            make.conv(f"{block}.Res2Conv1dReluBn.convs.{scale}", 2, 2, 3)
            make.batch_norm(f"{block}.Res2Conv1dReluBn.bns.{scale}", 2)
        make.linear(f"{block}.SE_Connect.linear1", 16, 4)
        make.linear(f"{block}.SE_Connect.linear2", 4, 16)
    make.conv("conv", 48, 24, 1)
    make.conv("pooling.linear1", 24, 4, 1)
    make.conv("pooling.linear2", 4, 24, 1)
    make.batch_norm("bn", 48)
    make.linear("linear", 48, 8)
    make("loss_calculator.projection.weight", 10, 8)
    return make.state


def write_utmos(folder: Path) -> State:
    """`utmos22_strong_step7459_v1.pt` with two layers of 128 dimensions."""
    folder.mkdir(parents=True)
    state = utmos_state()
    torch.save(state, folder / "utmos22_strong_step7459_v1.pt")
    return state


def utmos_state() -> State:
    """Its tensors in SpeechMOS' layout; the embeddings have 4 values, the BLSTM 16."""
    make = _Maker(2)
    make.trunk("wav2vec2.", hidden=128, layers=2, layer_norm=False)
    make("domain_emb", 1, 4)
    make("judge_emb", 1, 4)
    for suffix in ("l0", "l0_reverse"):
        make(f"blstm.weight_ih_{suffix}", 64, 136)
        make(f"blstm.weight_hh_{suffix}", 64, 16)
        make(f"blstm.bias_ih_{suffix}", 64)
        make(f"blstm.bias_hh_{suffix}", 64)
    make.linear("projection.0", 32, 24)
    make.linear("projection.2", 24, 1)
    return make.state


def authors_utmos_state(state: State) -> dict[str, State]:
    """`state` in the layout of UTMOS22's own checkpoint, with three domains and 300 judges."""
    places = {
        "wav2vec2": "feature_extractors.0.ssl_model",
        "blstm": "output_layers.0.decoder_rnn",
        "projection.0": "output_layers.1.net.0",
        "projection.2": "output_layers.1.net.3",
    }
    found = {}
    for old, new in places.items():
        for name in state:
            if name.startswith(f"{old}."):
                found[name.replace(old, new, 1)] = state[name]
    domains, judges = torch.randn(3, 4), torch.randn(300, 4)
    domains[0], judges[288] = state["domain_emb"][0], state["judge_emb"][0]
    found["feature_extractors.1.embedding.weight"] = domains
    found["output_layers.0.judge_embedding.weight"] = judges
    return {"state_dict": found}


class _Maker:
    """Draws tensors into `state`, small enough that no layer saturates."""

    def __init__(self, seed: int) -> None:
        self.state: State = {}
        self._random = torch.Generator().manual_seed(seed)

    def __call__(self, name: str, *shape: int, scale: float = 0.2, around: float = 0.0) -> None:
        self.state[name] = around + scale * torch.randn(shape, generator=self._random)

    def linear(self, name: str, inputs: int, outputs: int) -> None:
        self(f"{name}.weight", outputs, inputs, scale=inputs**-0.5)
        self(f"{name}.bias", outputs)

    def norm(self, name: str, width: int) -> None:
        self(f"{name}.weight", width, around=1.0)
        self(f"{name}.bias", width)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        self(f"{name}.weight", outputs, inputs, kernel, scale=(inputs * kernel) ** -0.5)
        if bias:
            self(f"{name}.bias", outputs)

    def batch_norm(self, name: str, width: int) -> None:
        self.norm(name, width)
        self(f"{name}.running_mean", width)
        self.state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=self._random)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def trunk(self, prefix: str, *, hidden: int, layers: int, layer_norm: bool) -> None:
        """WavLM or wav2vec 2.0 by fairseq's names, with seven convolutions of 16 channels."""
        for i, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
            name = f"{prefix}feature_extractor.conv_layers.{i}"
            self.conv(f"{name}.0", 16 if i else 1, 16, kernel, bias=False)
            if layer_norm:
                self.norm(f"{name}.2.1", 16)
            elif i == 0:
                self.norm(f"{name}.2", 16)
        self.norm(f"{prefix}layer_norm", 16)
        self.linear(f"{prefix}post_extract_proj", 16, hidden)
        self(f"{prefix}mask_emb", hidden)
        self(f"{prefix}encoder.pos_conv.0.bias", hidden)
        self(f"{prefix}encoder.pos_conv.0.weight_g", 1, 1, 8, around=1.0)
        self(f"{prefix}encoder.pos_conv.0.weight_v", hidden, hidden // 4, 8)
        self.norm(f"{prefix}encoder.layer_norm", hidden)
        for layer in range(layers):
            name = f"{prefix}encoder.layers.{layer}"
            for part in ("q", "k", "v", "out"):
                self.linear(f"{name}.self_attn.{part}_proj", hidden, hidden)
            self.norm(f"{name}.self_attn_layer_norm", hidden)
            self.linear(f"{name}.fc1", hidden, 48)
            self.linear(f"{name}.fc2", 48, hidden)
            self.norm(f"{name}.final_layer_norm", hidden)

"""The speech models with random weights, at their real sizes or small, in their files' formats.

What they say means nothing; what they cost is what the published ones cost. The sizes are those of
the published configurations: openai/whisper-large-v3, facebook/wav2vec2-base-960h,
speechbrain/spkrec-ecapa-voxceleb, microsoft/UniSpeech's WavLM-Large with ECAPA, UTMOS22's strong
learner, pyannote/speaker-diarization-community-1.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdia_eval import torch_audio


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; `LARGE` are the published ones."""

    whisper: int
    whisper_layers: int
    whisper_mels: int
    base: int
    base_layers: int
    large: int
    large_layers: int
    convolutions: int
    ecapa: int
    lstm: int


LARGE = Sizes(1280, 32, 128, 768, 12, 1024, 24, 512, 1024, 512)
TINY = Sizes(64, 2, 80, 64, 2, 64, 2, 32, 16, 16)


def make(id_: str, folder: Path, sizes: Sizes) -> None:
    """The model of that id in the manifest, in a folder of its own below `folder`."""
    if (folder / id_).exists():
        return
    torch_audio.prepare()
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if id_ == "faster-whisper-large-v3":
        make("whisper-large-v3", folder, sizes)
    torch.manual_seed(0)
    MAKERS[id_](folder / id_, sizes)


def whisper(folder: Path, sizes: Sizes) -> None:
    """Whisper that writes one word until its limit, whatever it hears: so all files cost alike.

    Else random weights would end, or jump in time, where chance has it.
    """
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    tokenizer = _whisper_tokenizer()
    ids = tokenizer.convert_tokens_to_ids
    eot = ids("<|endoftext|>")
    heads = max(4, sizes.whisper // 64)
    model: Any = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            num_mel_bins=sizes.whisper_mels,
            d_model=sizes.whisper,
            encoder_layers=sizes.whisper_layers,
            decoder_layers=sizes.whisper_layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=4 * sizes.whisper,
            decoder_ffn_dim=4 * sizes.whisper,
            pad_token_id=eot,
            bos_token_id=eot,
            eos_token_id=eot,
            decoder_start_token_id=ids("<|startoftranscript|>"),
        )
    )
    with torch.no_grad():
        last, word = model.model.decoder.layer_norm, model.proj_out.weight[1000]
        last.weight.zero_()
        last.bias.copy_(60 * word / word.norm() ** 2)
    languages = _languages()
    generation = {
        "is_multilingual": True,
        "lang_to_id": {f"<|{code}|>": ids(f"<|{code}|>") for code in languages},
        "task_to_id": {task: ids(f"<|{task}|>") for task in ("transcribe", "translate")},
        "no_timestamps_token_id": ids("<|notimestamps|>"),
        "prev_sot_token_id": ids("<|startofprev|>"),
        "alignment_heads": [[sizes.whisper_layers - 1, head] for head in range(2)],
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "suppress_tokens": [],
        "begin_suppress_tokens": [eot],
        "return_timestamps": False,
        "_from_model_config": False,
    }
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    features: Any = WhisperFeatureExtractor
    features(feature_size=sizes.whisper_mels).save_pretrained(folder)


def _languages() -> list[str]:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return list(LANGUAGES)


def _whisper_tokenizer() -> Any:
    """The published number of tokens, 51,866: bytes, words that no text has, and Whisper's own."""
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import WhisperTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)}
    vocabulary |= {f"filler{i}": i for i in range(len(vocabulary), 50_257)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], add_prefix_space=False)
    special = ["endoftext", "startoftranscript", *_languages(), "translate", "transcribe"]
    special += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"{0.02 * step:.2f}" for step in range(1501)]
    tokenizer.add_tokens(
        [
            AddedToken(f"<|{name}|>", special=name in special, normalized=False)
            for name in special + times
        ]
    )
    return tokenizer


def faster_whisper(folder: Path, _: Sizes) -> None:
    """The Whisper beside it, in CTranslate2's format."""
    from ctranslate2.converters import TransformersConverter

    beside = str(folder.with_name("whisper-large-v3"))
    converter = TransformersConverter(
        beside, copy_files=["tokenizer.json", "preprocessor_config.json"]
    )
    converter.convert(str(folder), quantization="float16")


def wav2vec2(folder: Path, sizes: Sizes) -> None:
    """A recogniser of letters, as transformers saves one."""
    import transformers

    library: Any = transformers
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    config = library.Wav2Vec2Config(
        vocab_size=len(letters),
        hidden_size=sizes.base,
        num_hidden_layers=sizes.base_layers,
        num_attention_heads=sizes.base // 64,
        intermediate_size=4 * sizes.base,
        conv_dim=(sizes.convolutions,) * 7,
        pad_token_id=0,
    )
    library.Wav2Vec2ForCTC(config).save_pretrained(folder)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: number for number, token in enumerate(letters)}))
    library.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    library.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)


ECAPA = """\
pretrained_path: speechbrain/spkrec-ecapa-voxceleb
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: 80
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: 80
    channels: [{n}, {n}, {n}, {n}, {wide}]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: {attention}
    lin_neurons: 192
classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: 192
    out_neurons: 7205
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


def ecapa(folder: Path, sizes: Sizes) -> None:
    """A speaker encoder in speechbrain's folder layout."""
    import torch
    from hyperpyyaml import load_hyperpyyaml

    n = sizes.ecapa
    text = ECAPA.format(n=n, wide=3 * n, attention=max(8, n // 8))
    folder.mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text(text)
    parts = load_hyperpyyaml(text)
    for name in ("embedding_model", "classifier"):
        torch.save(parts[name].state_dict(), folder / f"{name}.ckpt")
    statistics = {"count": 1, "glob_mean": torch.zeros(192), "glob_std": torch.ones(192)}
    torch.save({**statistics, "spk_dict_mean": {}}, folder / "mean_var_norm_emb.ckpt")
    labels = "\n".join(f"'id{i}' => {i}" for i in range(7205))
    (folder / "label_encoder.txt").write_text(
        f"{labels}\n================\n'starting_index' => 0\n"
    )


def wavlm_ecapa(folder: Path, sizes: Sizes) -> None:
    """In the layout of UniSpeech's `wavlm_large_finetune.pth`."""
    import torch

    hidden, heads, half = sizes.large, sizes.large // 64, sizes.ecapa // 2
    draw = _Tensors()
    draw.trunk("feature_extract.model.", hidden, sizes.large_layers, sizes.convolutions, every=True)
    for layer in range(sizes.large_layers):
        attention = f"feature_extract.model.encoder.layers.{layer}.self_attn."
        draw.linear(f"{attention}grep_linear", 64, 8)
        draw(f"{attention}grep_a", 1, heads, 1, 1)
    first = "feature_extract.model.encoder.layers.0.self_attn."
    draw(f"{first}relative_attention_bias.weight", 320, heads)
    draw("feature_weight", sizes.large_layers + 1)
    draw.conv("layer1.conv", hidden, half, 5)
    draw.batch_norm("layer1.bn", half)
    for block in ("layer2", "layer3", "layer4"):
        for side in ("Conv1dReluBn1", "Conv1dReluBn2"):
            draw.conv(f"{block}.{side}.conv", half, half, 1)
            draw.batch_norm(f"{block}.{side}.bn", half)
        for scale in range(7):
            draw.conv(f"{block}.Res2Conv1dReluBn.convs.{scale}", half // 8, half // 8, 3)
            draw.batch_norm(f"{block}.Res2Conv1dReluBn.bns.{scale}", half // 8)
        draw.linear(f"{block}.SE_Connect.linear1", half, max(1, half // 4))
        draw.linear(f"{block}.SE_Connect.linear2", max(1, half // 4), half)
    wide, narrow = 3 * half, max(1, half // 4)
    draw.conv("conv", wide, wide, 1)
    draw.conv("pooling.linear1", wide, narrow, 1)
    draw.conv("pooling.linear2", narrow, wide, 1)
    draw.batch_norm("bn", 2 * wide)
    draw.linear("linear", 2 * wide, 256)
    draw("loss_calculator.projection.weight", 5994, 256)
    folder.mkdir(parents=True)
    kept = {"model": draw.state, "best_valid_eer": 100.0}
    torch.save(kept, folder / "wavlm_large_finetune.pth")


def utmos(folder: Path, sizes: Sizes) -> None:
    """In the layout of SpeechMOS' `utmos22_strong_step7459_v1.pt`."""
    import torch

    draw, lstm = _Tensors(), sizes.lstm
    draw.trunk("wav2vec2.", sizes.base, sizes.base_layers, sizes.convolutions, every=False)
    draw("domain_emb", 1, 128)
    draw("judge_emb", 1, 128)
    for suffix in ("l0", "l0_reverse"):
        draw(f"blstm.weight_ih_{suffix}", 4 * lstm, sizes.base + 256)
        draw(f"blstm.weight_hh_{suffix}", 4 * lstm, lstm)
        draw(f"blstm.bias_ih_{suffix}", 4 * lstm)
        draw(f"blstm.bias_hh_{suffix}", 4 * lstm)
    draw.linear("projection.0", 2 * lstm, 2048)
    draw.linear("projection.2", 2048, 1)
    folder.mkdir(parents=True)
    torch.save(draw.state, folder / "utmos22_strong_step7459_v1.pt")


class _Tensors:
    """Draws tensors of a checkpoint into `state`, small enough that no layer saturates."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __call__(self, name: str, *shape: int, scale: float = 0.05, around: float = 0.0) -> None:
        import torch

        self.state[name] = around + scale * torch.randn(shape)

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
        import torch

        self.norm(name, width)
        self(f"{name}.running_mean", width)
        self.state[f"{name}.running_var"] = torch.ones(width)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    def trunk(self, prefix: str, hidden: int, layers: int, channels: int, *, every: bool) -> None:
        """WavLM or wav2vec 2.0 by fairseq's names; `every` convolution normalised, or the first."""
        for i, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
            name = f"{prefix}feature_extractor.conv_layers.{i}"
            self.conv(f"{name}.0", channels if i else 1, channels, kernel, bias=False)
            if every:
                self.norm(f"{name}.2.1", channels)
            elif i == 0:
                self.norm(f"{name}.2", channels)
        self.norm(f"{prefix}layer_norm", channels)
        self.linear(f"{prefix}post_extract_proj", channels, hidden)
        self(f"{prefix}mask_emb", hidden)
        self(f"{prefix}encoder.pos_conv.0.bias", hidden)
        self(f"{prefix}encoder.pos_conv.0.weight_g", 1, 1, 128, around=1.0)
        self(f"{prefix}encoder.pos_conv.0.weight_v", hidden, hidden // 16, 128)
        self.norm(f"{prefix}encoder.layer_norm", hidden)
        for layer in range(layers):
            name = f"{prefix}encoder.layers.{layer}"
            for part in ("q", "k", "v", "out"):
                self.linear(f"{name}.self_attn.{part}_proj", hidden, hidden)
            self.norm(f"{name}.self_attn_layer_norm", hidden)
            self.linear(f"{name}.fc1", hidden, 4 * hidden)
            self.linear(f"{name}.fc2", 4 * hidden, hidden)
            self.norm(f"{name}.final_layer_norm", hidden)


PYANNOTE = """\
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_step: 0.1
    embedding: $model/embedding
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""


def pyannote(folder: Path, _: Sizes) -> None:
    """Segmentation and embedding are small networks already, of one size here.

    The classifier leans to one speaker at a time, so that there are voices to embed and cluster.
    """
    import torch

    with warnings.catch_warnings():
        # Files are never handed over by path, so no decoder is needed.
        warnings.filterwarnings("ignore", r"\s*torchcodec is not installed correctly")
        from pyannote.audio.core.task import Problem, Resolution, Specifications
        from pyannote.audio.models.embedding import WeSpeakerResNet34
        from pyannote.audio.models.segmentation import PyanNet

    segmentation: Any = PyanNet(lstm={"hidden_size": 128, "num_layers": 4})
    segmentation.specifications = Specifications(
        Problem.MONO_LABEL_CLASSIFICATION,
        Resolution.FRAME,
        duration=10.0,
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    segmentation.setup()
    with torch.no_grad():
        segmentation.classifier.weight.mul_(20)
        segmentation.classifier.bias[1:4] += 1
    embedding: Any = WeSpeakerResNet34()
    embedding.specifications = Specifications(
        Problem.REPRESENTATION, Resolution.CHUNK, duration=10.0
    )
    embedding.setup()
    _save_lightning(segmentation, folder / "segmentation" / "pytorch_model.bin")
    _save_lightning(embedding, folder / "embedding" / "pytorch_model.bin")
    plda = folder / "plda"
    plda.mkdir()
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((256, 128))).Q
    np.savez(plda / "xvec_transform.npz", mean1=np.zeros(256), mean2=np.zeros(128), lda=axes)
    np.savez(plda / "plda.npz", mu=np.zeros(128), tr=np.eye(128), psi=np.linspace(5, 1, 128))
    (folder / "config.yaml").write_text(PYANNOTE)


def _save_lightning(model: Any, path: Path) -> None:
    import lightning
    import torch

    path.parent.mkdir(parents=True)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


MAKERS: dict[str, Callable[[Path, Sizes], None]] = {
    "whisper-large-v3": whisper,
    "faster-whisper-large-v3": faster_whisper,
    "speaker-diarization-community-1": pyannote,
    "wav2vec2-base-960h": wav2vec2,
    "spkrec-ecapa-voxceleb": ecapa,
    "wavlm-large-ecapa": wavlm_ecapa,
    "utmos22-strong": utmos,
}

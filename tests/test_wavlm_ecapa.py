"""WavLM with ECAPA: the published layout, against a plain computation, through the extractor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain_networks
import pytest
import soundfile
import tiny_voices
import torch
from pydantic import ValidationError

from mmdia_eval import media, models
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, SpeakerEmbeddings, Word
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.wavlm_ecapa_embeddings import (
    WavlmEcapaEmbeddings,
    WavlmEcapaReferenceEmbeddings,
    WavlmEcapaReferenceSettings,
    WavlmEcapaSettings,
)
from mmdia_eval.networks import wavlm_ecapa
from mmdia_eval.types import Audio, Dialogue, FloatArray, Segment, Turn

WHOLE = load_benchmark(resolve_benchmark("mini")).split("test")[0]
DIALOGUE = replace(WHOLE, turns=WHOLE.turns[:3])
"""Few turns: the plain computation and many layers cost time."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    tiny_voices.write_wavlm_ecapa(root / "wavlm-large-ecapa")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "folder", lambda id_: root / id_)
        yield root / "wavlm-large-ecapa"


@pytest.fixture(scope="module")
def network(folder: Path) -> wavlm_ecapa.WavlmEcapa:
    return wavlm_ecapa.load(folder / "wavlm_large_finetune.pth")


@pytest.fixture(scope="module")
def made(folder: Path) -> WavlmEcapaEmbeddings:
    return extractor()


def extractor(**settings: object) -> WavlmEcapaEmbeddings:
    found = WavlmEcapaEmbeddings(WavlmEcapaSettings.model_validate(settings), ())
    found.load()
    return found


def noise(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def speech() -> Audio:
    assert DIALOGUE.audio is not None
    audio = media.decode(DIALOGUE.audio)[1]
    assert audio is not None
    return audio


def aligned(dialogue: Dialogue) -> Alignment:
    """Each turn's words at even steps over its reference time."""
    turns = []
    for index, turn in enumerate(dialogue.turns):
        tokens = turn.text.split()
        assert turn.segment is not None
        times = np.linspace(turn.segment.start, turn.segment.end, len(tokens) + 1)
        words = tuple(map(Word, tokens, times[:-1].tolist(), times[1:].tolist()))
        turns.append(AlignedTurn(index, words, len(words)))
    return Alignment(tuple(turns))


def inputs(audio: Audio, alignment: Alignment, dialogue: Dialogue = DIALOGUE) -> Inputs:
    return Inputs(audio, dialogue, Artifacts({Alignment: alignment}), dialogue.audio or Path())


def one(made: WavlmEcapaEmbeddings, item: Inputs) -> SpeakerEmbeddings:
    (found,) = made.extract([item])
    assert np.isfinite(found.vectors).all()
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1)
    return found


def unit(vector: torch.Tensor) -> FloatArray:
    return np.asarray(vector / vector.norm(), np.float32)


def test_embedding_is_that_of_a_plain_computation(network: wavlm_ecapa.WavlmEcapa) -> None:
    state = tiny_voices.wavlm_ecapa_state()
    for wave in noise(720, 5_000, 16_001):
        expected = plain_networks.wavlm_ecapa(wave, state)
        assert torch.allclose(network([wave])[0], expected, atol=1e-5)


def test_features_are_the_layers_inputs_and_the_normalised_end(
    network: wavlm_ecapa.WavlmEcapa,
) -> None:
    state = tiny_voices.wavlm_ecapa_state()
    (wave,) = noise(4_000)
    states = plain_networks.wavlm_states(
        wave, plain_networks.under(state, "feature_extract.model.")
    )
    weights = torch.softmax(state["feature_weight"], dim=0)
    expected = torch.einsum("l,ltc->ct", weights, torch.stack(states))
    features, mask = network._features([wave])
    assert torch.allclose(features[0], expected, atol=1e-5)
    assert mask.sum() == (4_000 - 400) // 320 + 1


def test_company_changes_no_embedding(network: wavlm_ecapa.WavlmEcapa) -> None:
    waves = noise(9_000, 720, 24_000, 5_123, 9_000, 16_000)
    alone = torch.cat([network([wave]) for wave in waves])
    assert torch.allclose(network(waves), alone, atol=1e-5)
    assert torch.allclose(network(waves[:2]), alone[:2], atol=1e-5)


def test_loudness_changes_no_embedding(network: wavlm_ecapa.WavlmEcapa) -> None:
    (wave,) = noise(8_000)
    assert torch.allclose(network([wave]), network([wave * 3]), atol=1e-3)


def test_turns_by_alignment_are_those_of_the_reference_at_the_same_times(
    made: WavlmEcapaEmbeddings,
) -> None:
    reference = WavlmEcapaReferenceEmbeddings(WavlmEcapaReferenceSettings(), ())
    reference.load()
    audio = speech()
    by_alignment = one(made, inputs(audio, aligned(DIALOGUE)))
    by_times = one(reference, Inputs(audio, DIALOGUE, Artifacts({})))
    assert by_alignment.turns == by_times.turns == tuple(range(len(DIALOGUE.turns)))
    assert np.allclose(by_alignment.vectors, by_times.vectors, atol=1e-5)
    assert min(by_alignment.seconds) >= 1.0


def test_files_of_one_batch_get_what_they_get_alone(made: WavlmEcapaEmbeddings) -> None:
    alignment = aligned(DIALOGUE)
    short = Audio(speech().samples[:4_800])
    items = [inputs(speech(), alignment), inputs(short, alignment), inputs(speech(), alignment)]
    first, nothing, third = made.extract(items)
    alone = one(made, items[0])
    assert first.turns == third.turns == alone.turns
    assert np.allclose(first.vectors, alone.vectors, atol=1e-5)
    assert np.allclose(third.vectors, alone.vectors, atol=1e-5)
    assert (nothing.vectors.shape, nothing.turns, nothing.seconds) == ((0, 8), (), ())


def test_overlapping_turns_are_heard_twice_and_missing_ones_not(
    made: WavlmEcapaEmbeddings,
) -> None:
    words = (Word("all", 0.5, 3.5),)
    turns = (AlignedTurn(0, words, 1), AlignedTurn(1, words, 1), AlignedTurn(2, (), 1))
    found = one(made, inputs(speech(), Alignment(turns)))
    assert found.turns == (0, 1)
    assert np.allclose(found.vectors[0], found.vectors[1], atol=1e-6)


def test_silence_has_no_turn_but_its_sentences_have_finite_vectors(
    made: WavlmEcapaEmbeddings, folder: Path
) -> None:
    silence = Audio(np.zeros(16_000 * 30, np.float32))
    item = inputs(silence, aligned(DIALOGUE))
    assert one(made, item).turns == ()
    assert one(extractor(units="sentence", min_seconds=0.1), item).turns


def test_sentences_of_a_turn_are_cut_at_its_words(folder: Path) -> None:
    made = extractor(units="sentence", min_seconds=0.1)
    dialogue = Dialogue("d", (Turn("Ann", "Well then. Hm! Come on."), Turn("Ben", "Why?")))
    spoken = [("well", 1.0, 1.3), ("then", 1.3, 2.0), ("hm", 2.0, 2.05), ("come", 2.5, 2.8)]
    words = tuple(Word(*word) for word in spoken)
    alignment = Alignment((AlignedTurn(0, words, 5), AlignedTurn(1, (), 1)))
    audio = speech()
    found = one(made, inputs(audio, alignment, dialogue))
    assert found.turns == (0, 0)  # "Hm!" is too short; "Come" stands for its sentence
    assert list(found.seconds) == pytest.approx([1.0, 0.3])
    cut = torch.from_numpy(audio.cut(Segment(1.0, 2.0)).samples)
    assert np.allclose(found.vectors[0], unit(made._network([cut])[0]), atol=1e-5)


def test_24_khz_is_the_file_itself_taken_for_16(tmp_path: Path, folder: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 24_000 * 3).astype(np.float32)
    path = tmp_path / "output.wav"
    soundfile.write(path, samples, 24_000, subtype="FLOAT")
    audio = media.decode(path)[1]
    assert audio is not None
    dialogue = Dialogue("d", (Turn("Ann", "Come on."),), audio=path)
    words = (Word("come", 0.5, 1.0), Word("on", 1.0, 1.5))
    item = inputs(audio, Alignment((AlignedTurn(0, words, 2),)), dialogue)
    made = extractor(units="sentence", min_seconds=0.1, sample_rate_fed=24_000)
    fed = torch.from_numpy(samples[12_000:36_000])
    found = one(made, item)
    assert np.allclose(found.vectors[0], unit(made._network([fed])[0]), atol=1e-5)
    assert found.seconds == (1.0,)
    strict = one(extractor(units="sentence", min_seconds=0.1), item)
    assert not np.allclose(found.vectors, strict.vectors, atol=0.01)


def test_other_rates_are_refused(made: WavlmEcapaEmbeddings) -> None:
    with pytest.raises(ValueError, match="expected 16000 Hz, got 24000 Hz"):
        made.extract([inputs(replace(speech(), sample_rate=24_000), aligned(DIALOGUE))])


@pytest.mark.parametrize(
    "wrong", [{"sample_rate_fed": 22050}, {"units": "word"}, {"min_seconds": 0.01}]
)
def test_settings_refuse_nonsense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WavlmEcapaSettings.model_validate(wrong)
    with pytest.raises(ValidationError):
        WavlmEcapaReferenceSettings.model_validate({"units": "sentence"})


@pytest.mark.parametrize(
    "name",
    [
        "feature_weight",
        "layer3.Res2Conv1dReluBn.bns.6.running_var",
        "pooling.linear2.bias",
        "feature_extract.model.mask_emb",
        "feature_extract.model.encoder.pos_conv.0.weight_g",
        "feature_extract.model.encoder.layers.0.self_attn.relative_attention_bias.weight",
        "feature_extract.model.encoder.layers.2.self_attn.grep_a",
        "feature_extract.model.feature_extractor.conv_layers.6.2.1.bias",
    ],
)
def test_a_missing_tensor_is_named_as_in_the_file(tmp_path: Path, name: str) -> None:
    state = tiny_voices.wavlm_ecapa_state()
    del state[name]
    with pytest.raises(UserError, match=rf"not a checkpoint of this model: missing: {name}"):
        load(tmp_path, state)


def test_unknown_tensors_and_other_shapes_are_named(tmp_path: Path) -> None:
    state = tiny_voices.wavlm_ecapa_state()
    state["extra.weight"] = torch.zeros(1)
    state["layer2.Conv1dReluBn1.conv.bias"] = torch.zeros(3)
    with pytest.raises(UserError) as caught:
        load(tmp_path, state)
    assert "unknown: extra.weight" in str(caught.value)
    assert "of another shape: layer2.Conv1dReluBn1.conv.bias (3,) for (16,)" in str(caught.value)


def test_the_classifier_of_the_training_may_be_absent(tmp_path: Path) -> None:
    state = tiny_voices.wavlm_ecapa_state()
    del state["loss_calculator.projection.weight"]
    load(tmp_path, state)


def test_a_bare_state_dict_or_half_a_file_is_refused(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "bare.pth"
    torch.save(tiny_voices.wavlm_ecapa_state(), path)
    with pytest.raises(UserError, match="has no entry 'model'"):
        wavlm_ecapa.load(path)
    data = (folder / "wavlm_large_finetune.pth").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="cannot be read as a torch checkpoint"):
        wavlm_ecapa.load(path)


def test_a_file_with_code_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"model": Path}, path)
    with pytest.raises(UserError, match="holds more than tensors"):
        wavlm_ecapa.load(path)


def load(tmp_path: Path, state: tiny_voices.State) -> wavlm_ecapa.WavlmEcapa:
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": state}, path)
    return wavlm_ecapa.load(path)


def test_the_published_file_has_these_711_tensors() -> None:
    """Counts by part, as published: 488 of WavLM-Large, 222 of the head, 1 of the training."""
    layer, block = 16 + 3, 2 * 7 + 7 * 7 + 4
    trunk = 1 + 7 * 3 + 2 + 2 + 3 + 2 + 24 * layer + 1
    head = 1 + 7 + 3 * block + 2 + 4 + 5 + 2
    assert (trunk, head, trunk + head + 1) == (488, 222, 711)
    names = tiny_voices.wavlm_ecapa_state()
    assert len(names) == 711 - 21 * layer  # three layers instead of 24

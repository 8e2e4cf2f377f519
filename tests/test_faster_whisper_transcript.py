from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import tiny_whisper
from faster_whisper import WhisperModel
from tiny_whisper import at, lines

from mmdia_eval import models
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, Transcript
from mmdia_eval.errors import UserError
from mmdia_eval.extractors import faster_whisper_transcript
from mmdia_eval.extractors.faster_whisper_transcript import (
    FasterWhisperSettings,
    FasterWhisperTranscript,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue

pytestmark = [
    # SWIG's types have no __module__ (onnxruntime, imported by faster-whisper, in Python 3.12)
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__:DeprecationWarning"),
]
MODEL = "faster-whisper-large-v3"
UNTRAINED = "untrained"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny_whisper.save_trained(root / "trained")
    tiny_whisper.convert(root / "trained", root / MODEL)
    tiny_whisper.save_untrained(root / "random", english_only=True)
    tiny_whisper.convert(root / "random", root / UNTRAINED)
    return root


Make = Callable[..., FasterWhisperTranscript]


@pytest.fixture
def loaded(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(models, "folder", lambda id_: folders / id_)

    def make(**settings: Any) -> FasterWhisperTranscript:
        # All signs are bytes of the tiny vocabulary, so Whisper's list would suppress the blank.
        made = FasterWhisperTranscript(
            FasterWhisperSettings(**{"suppress_tokens": (), **settings}), ()
        )
        made.load()
        return made

    return make


def inputs(audio: Audio) -> Inputs:
    return Inputs(audio, Dialogue("d", ()), Artifacts({}))


def hear(engine: FasterWhisperTranscript, *audios: Audio) -> list[Transcript]:
    return list(engine.extract([inputs(audio) for audio in audios]))


def text(transcript: Transcript) -> str:
    return " ".join(word.text for word in transcript.words)


def doubts(transcript: Transcript) -> list[float | None]:
    """No-speech and log probabilities, which differ in their last digit with the batch."""
    return [
        number
        for utterance in transcript.utterances
        for number in (utterance.no_speech, utterance.log_probability)
    ]


def noise(seconds: float) -> Audio:
    samples = np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE))
    return Audio((0.1 * samples).astype(np.float32))


def three_in_90_seconds() -> Audio:
    known = lines()
    return at((0, known["boat"]), (30, known["ship"]), (60, known["shape"]), seconds=90)


def test_registered() -> None:
    assert extractor.get("faster_whisper_transcript") is FasterWhisperTranscript
    assert FasterWhisperTranscript(FasterWhisperSettings(), ()).models() == (MODEL,)


@pytest.mark.parametrize("name", ["boat", "ship", "shape"])
def test_known_sentences_come_out_as_their_words(loaded: Make, name: str) -> None:
    line = lines()[name]
    (transcript,) = hear(loaded(), Audio(line.samples))
    assert text(transcript) == line.text
    (utterance,) = transcript.utterances
    assert transcript.word_times
    assert transcript.language == "en"
    assert utterance.words[-1].end <= line.seconds
    assert utterance.no_speech is not None
    assert utterance.no_speech < 0.1
    assert utterance.log_probability is not None
    assert utterance.log_probability > -0.5
    assert utterance.compression_ratio == pytest.approx(len(line.text) / 43, abs=0.2)


def test_a_90_s_file_is_heard_to_its_end(loaded: Make) -> None:
    (transcript,) = hear(loaded(), three_in_90_seconds())
    known = lines()
    assert [
        (30 * (utterance.words[0].start // 30), " ".join(word.text for word in utterance.words))
        for utterance in transcript.utterances
    ] == [(0, known["boat"].text), (30, known["ship"].text), (60, known["shape"].text)]
    assert transcript.heard_seconds is None


def peer(folder: Path, audio: Audio) -> list[list[tuple[str, float, float]]]:
    """What faster-whisper's own sequential long form gives, file by file, without its guards."""
    model = WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)
    segments, _ = model.transcribe(
        np.array(audio.samples),
        language="en",
        beam_size=1,
        temperature=0,
        compression_ratio_threshold=None,
        log_prob_threshold=None,
        no_speech_threshold=None,
        condition_on_previous_text=False,
        word_timestamps=True,
        suppress_tokens=[],
    )
    found = [
        [
            (word.word.strip(), round(word.start, 2), min(round(word.end, 2), audio.duration))
            for word in segment.words
        ]
        for segment in segments
    ]
    return [[word for word in words if word[0]] for words in found if words]


@pytest.mark.parametrize("model", [MODEL, UNTRAINED])
def test_batched_is_unbatched_is_the_librarys_own(loaded: Make, folders: Path, model: str) -> None:
    known = lines()
    audios = [
        noise(0.3),
        three_in_90_seconds(),
        Audio(known["boat"].samples),
        at((3, known["ship"]), (41, known["boat"]), seconds=65),
        noise(31),
    ]
    engine = loaded(model=model)
    together = hear(engine, *audios)
    alone = [hear(engine, audio)[0] for audio in audios]
    backwards = hear(engine, *audios[::-1])[::-1]
    for one, same, other in zip(together, alone, backwards, strict=True):
        assert tuple(one.words) == tuple(same.words) == tuple(other.words)
        assert doubts(one) == pytest.approx(doubts(same), abs=1e-6)
        assert doubts(one) == pytest.approx(doubts(other), abs=1e-6)
    for audio, transcript in zip(audios, together, strict=True):
        assert [
            [(word.text, word.start, word.end) for word in utterance.words]
            for utterance in transcript.utterances
        ] == peer(folders / model, audio)


def test_more_files_than_windows_in_a_batch(loaded: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faster_whisper_transcript, "WINDOWS", 2)
    known = lines()
    order = ["boat", "ship", "shape", "ship", "boat"]
    found = hear(loaded(), *(Audio(known[name].samples) for name in order))
    assert [text(transcript) for transcript in found] == [known[name].text for name in order]


def test_silence_is_an_empty_transcript(loaded: Make) -> None:
    for seconds in (0.3, 2, 40):
        (transcript,) = hear(loaded(), at(seconds=seconds))
        assert transcript == Transcript((), language="en")


def test_a_file_of_0_3_s(loaded: Make) -> None:
    for audio in (noise(0.3), Audio(lines()["boat"].samples[:4800])):
        (transcript,) = hear(loaded(), audio)
        assert all(0 <= word.start <= word.end <= 0.3 for word in transcript.words)


def test_speech_in_silence_with_the_vad_filter(loaded: Make) -> None:
    line = lines()["ship"]
    (transcript,) = hear(loaded(vad_filter=True), at((12, line), seconds=20))
    first, *_, last = transcript.words
    assert 11.5 < first.start < last.end < 12.5 + line.seconds
    assert hear(loaded(vad_filter=True), at(seconds=3)) == [Transcript((), language="en")]


def test_language_is_detected_file_by_file(loaded: Make) -> None:
    known = lines()
    audios = [Audio(known[name].samples) for name in ("boat", "german", "ship")]
    found = hear(loaded(language=None), *audios)
    assert [transcript.language for transcript in found] == ["en", "de", "en"]
    assert [text(transcript) for transcript in found] == [
        known[name].text for name in ("boat", "german", "ship")
    ]
    (forced,) = hear(loaded(language="fr"), audios[0])
    assert forced.language == "fr"


def test_unknown_language_is_refused_before_any_file(loaded: Make) -> None:
    with pytest.raises(UserError, match=r"does not know language 'de'; it knows en$"):
        loaded(model=UNTRAINED, language="de")
    with pytest.raises(UserError, match="does not know language 'xx'; it knows de, en, fr"):
        loaded(language="xx")


def test_missing_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(id_: str) -> Path:
        raise UserError(f"model {id_!r} is not here")

    monkeypatch.setattr(models, "folder", missing)
    with pytest.raises(UserError, match=MODEL):
        FasterWhisperTranscript(FasterWhisperSettings(), ()).load()


def test_compute_type_is_refused_where_the_device_cannot_do_it(
    loaded: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda *_: {"float32"})
    with pytest.raises(UserError, match=r'"float16" does not run on cpu, which can do float32'):
        loaded(compute_type="float16")


@pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="there is a GPU")
def test_cuda_asked_for_and_absent(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "folder", lambda id_: folders / id_)
    engine = FasterWhisperTranscript(FasterWhisperSettings(), ())
    engine.torch_device = "cuda:0"
    with pytest.raises(UserError, match="'cuda:0' is not there"):
        engine.load()


def test_cuda_without_its_libraries_says_what_to_install(
    loaded: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(features: Any) -> Any:
        raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")

    engine = loaded()
    monkeypatch.setattr(engine._model, "encode", encode)
    with pytest.raises(UserError, match=r"libcublas\.so\.12 .*pip install nvidia-cublas-cu12"):
        engine._check_libraries()

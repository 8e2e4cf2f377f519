from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_whisper
from tiny_whisper import at, lines

from mmdia_eval import models
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Artifacts, Transcript
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.whisper_transcript import WhisperSettings, WhisperTranscript
from mmdia_eval.extractors.whisperd_transcript import (
    WhisperDSettings,
    WhisperDTranscript,
    by_number,
    by_parity,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue

pytestmark = [
    # SWIG's types have no __module__ (onnxruntime, imported by faster-whisper, in Python 3.12)
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__:DeprecationWarning"),
]
UNTRAINED = "untrained"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in a worker; two threads that wait for each other are far slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny_whisper.save_untrained(root / UNTRAINED)
    for id_ in ("whisper-large-v3", "whisper-d-v1a"):
        tiny_whisper.save_trained(root / id_)
    return root


Make = Callable[..., Any]


@pytest.fixture
def loaded(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(models, "folder", lambda id_: folders / id_)

    def make(cls: type[Extractor[Transcript]] = WhisperTranscript, **settings: Any) -> Any:
        made = cls(cls.Settings(**settings), ())
        made.load()
        return made

    return make


def hear(engine: Any, *audios: Audio) -> list[Transcript]:
    inputs = [Inputs(audio, Dialogue("d", ()), Artifacts({})) for audio in audios]
    return list(engine.extract(inputs))


def text(transcript: Transcript) -> str:
    return " ".join(word.text for word in transcript.words)


def noise(seconds: float) -> Audio:
    samples = np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE))
    return Audio((0.1 * samples).astype(np.float32))


def mixed() -> list[Audio]:
    """Files of all lengths: noise of 0.3 s, speech, and speech at 0 and 30 s of a long one."""
    known = lines()
    long = at((0, known["boat"]), (30, known["ship"]), (60, known["shape"]), seconds=90)
    short = [Audio(known[name].samples) for name in ("boat", "german")]
    return [noise(0.3), long, *short, at((0, known["ship"]), seconds=31)]


def test_registered() -> None:
    assert extractor.get("whisper_transcript") is WhisperTranscript
    assert WhisperTranscript(WhisperSettings(), ()).models() == ("whisper-large-v3",)
    assert extractor.get("whisperd_transcript") is WhisperDTranscript
    assert WhisperDTranscript(WhisperDSettings(), ()).models() == ("whisper-d-v1a",)


def test_known_sentences_come_out_as_their_words_in_their_language(loaded: Make) -> None:
    known = [lines()[name] for name in ("boat", "german", "ship")]
    found = hear(loaded(), *(Audio(line.samples) for line in known))
    assert [text(transcript) for transcript in found] == [line.text for line in known]
    assert [transcript.language for transcript in found] == ["en", "de", "en"]
    for transcript, line in zip(found, known, strict=True):
        assert not transcript.word_times
        assert transcript.heard_seconds is None
        assert transcript.utterances[0].words[0].start == 0
        assert transcript.utterances[0].words[-1].end == pytest.approx(line.seconds)
        assert transcript.utterances[0].compression_ratio is not None


def test_release_hears_30_s_and_says_so(loaded: Make) -> None:
    known = lines()
    audio = at((0, known["boat"]), (30, known["ship"]), seconds=40)
    (transcript,) = hear(loaded(), audio)
    assert text(transcript) == known["boat"].text
    assert transcript.heard_seconds == 30
    assert max(word.end for word in transcript.words) <= 30
    (exact,) = hear(loaded(), Audio(audio.samples[: 30 * SAMPLE_RATE]))
    assert exact.heard_seconds is None


def test_language_can_be_told(loaded: Make) -> None:
    (transcript,) = hear(loaded(language="fr"), Audio(lines()["german"].samples))
    assert transcript.language == "fr"


def test_long_form_hears_a_90_s_file_to_its_end(loaded: Make) -> None:
    known = lines()
    (transcript,) = hear(loaded(long_form=True, language="en"), mixed()[1])
    assert [
        (utterance.words[0].start, " ".join(word.text for word in utterance.words))
        for utterance in transcript.utterances
    ] == [(0, known["boat"].text), (30, known["ship"].text), (60, known["shape"].text)]
    assert transcript.heard_seconds is None
    assert not transcript.word_times


@pytest.mark.parametrize("model", ["whisper-large-v3", UNTRAINED])
@pytest.mark.parametrize("long_form", [False, True])
def test_batched_is_unbatched(loaded: Make, model: str, long_form: bool) -> None:
    engine = loaded(model=model, long_form=long_form, max_new_tokens=14)
    audios = mixed()
    together = hear(engine, *audios)
    assert together == [hear(engine, audio)[0] for audio in audios]
    assert together[::-1] == hear(engine, *audios[::-1])


def test_silence_is_an_empty_transcript(loaded: Make) -> None:
    for transcript in hear(loaded(language="en"), at(seconds=0.3), at(seconds=20)):
        assert transcript.utterances == ()


def test_greedy_is_what_transformers_gives_for_the_same_features(
    loaded: Make, folders: Path
) -> None:
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    features = WhisperFeatureExtractor.from_pretrained(folders / UNTRAINED)
    whisper = WhisperForConditionalGeneration.from_pretrained(folders / UNTRAINED)
    audio = noise(5)
    engine = loaded(model=UNTRAINED, language="en", max_new_tokens=30)
    own = whisper.generate(
        features(audio.samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features,
        language="en",
        max_new_tokens=30,
    )
    expected = engine._whisper.tokenizer.decode(own[0], skip_special_tokens=True)
    assert text(hear(engine, audio)[0]).split() == expected.split()


def test_unknown_language_and_english_only_models_are_refused(
    loaded: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="does not know language 'xx'; it knows de, en, fr"):
        loaded(language="xx")
    tiny_whisper.save_untrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    monkeypatch.setattr(models, "folder", lambda id_: tmp_path)
    with pytest.raises(UserError, match="a multilingual Whisper is needed"):
        loaded()


def test_missing_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(id_: str) -> Path:
        raise UserError(f"model {id_!r} is not here")

    monkeypatch.setattr(models, "folder", missing)
    for engine in (
        WhisperTranscript(WhisperSettings(), ()),
        WhisperDTranscript(WhisperDSettings(), ()),
    ):
        with pytest.raises(UserError, match=engine.models()[0]):
            engine.load()


@pytest.mark.parametrize(
    ("written", "runs"),
    [
        ("[S1] a [S1] b [S2] c", [("S1", "a"), ("S1", "b"), ("S2", "c")]),
        ("[S2] a b[S1]c", [("S2", "a b"), ("S1", "c")]),
        ("oh [S1] a", [(None, "oh"), ("S1", "a")]),
        ("[S1] a [S3] b [S12] c", [("S1", "a"), ("S3", "b"), ("S12", "c")]),
        ("[S1] a [S2 b (laughs", [("S1", "a [S2 b (laughs")]),
        ("[S1] (laughs) [S2] [S1]", [("S1", "(laughs)")]),
        ("no tag", [(None, "no tag")]),
        ("", []),
    ],
)
def test_speakers_by_number(written: str, runs: list[tuple[str | None, str]]) -> None:
    assert [(speaker, run) for speaker, run in by_number(written) if run] == runs


@pytest.mark.parametrize(
    ("written", "first", "second"),
    [  # as ZipVoice's split_dialogue was seen to fold them
        ("[S1] a [S1] b [S2] c", "a c", "b"),
        ("[S1] a [S2] b [S3] c", "a c", "b"),
        ("[S2] a [S1] b", "a", "b"),
        ("oh [S1] a", "a", "oh"),
        ("[S1] a [S10] b", "a [S10] b", ""),
    ],
)
def test_speakers_by_parity(written: str, first: str, second: str) -> None:
    runs = list(by_parity(written))
    assert " ".join(run for speaker, run in runs if speaker == "S1" and run) == first
    assert " ".join(run for speaker, run in runs if speaker == "S2" and run) == second


def test_tagged_speech_becomes_utterances_with_speakers(loaded: Make) -> None:
    line = lines()["tagged"]
    (transcript,) = hear(loaded(WhisperDTranscript), Audio(line.samples))
    assert [
        (utterance.speaker, " ".join(word.text for word in utterance.words))
        for utterance in transcript.utterances
    ] == [("S1", "Good."), ("S2", "(laughs) Why?")]
    assert not transcript.word_times
    assert [word.start for word in transcript.words] == pytest.approx([0, 2 / 3, 4 / 3])


def test_untagged_speech_has_no_speaker(loaded: Make) -> None:
    (transcript,) = hear(loaded(WhisperDTranscript), Audio(lines()["ship"].samples))
    assert [utterance.speaker for utterance in transcript.utterances] == [None]


def test_chunks_of_a_long_file_are_joined_in_order(loaded: Make) -> None:
    known = lines()
    # Chunks begin every 20 s, and 5 s on either side are shared with the neighbour.
    audio = at((0, known["boat"]), (20, known["ship"]), (40, known["shape"]), seconds=60)
    (transcript,) = hear(loaded(WhisperDTranscript), audio)
    assert text(transcript) == " ".join(known[name].text for name in ("boat", "ship", "shape"))


def test_chunked_batched_is_unbatched(loaded: Make) -> None:
    engine = loaded(WhisperDTranscript)
    audios = mixed()
    together = hear(engine, *audios)
    assert together == [hear(engine, audio)[0] for audio in audios]
    assert together[::-1] == hear(engine, *audios[::-1])


def test_beams_are_as_many_as_set_whatever_the_pipelines_default(
    loaded: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(WhisperDTranscript, model=UNTRAINED, max_new_tokens=5)
    seen: list[dict[str, Any]] = []
    generate = engine._pipeline.model.generate

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append(options)
        return generate(*arguments, **options)

    monkeypatch.setattr(engine._pipeline.model, "generate", watched)
    hear(engine, noise(2))
    options = seen[0]
    assert (options["num_beams"], options["max_new_tokens"]) == (1, 5)
    assert engine._pipeline.model.generation_config.suppress_tokens is None

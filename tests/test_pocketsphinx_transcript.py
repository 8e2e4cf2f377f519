from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
import soxr

from mmdia_eval import examples
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, Transcript
from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.pocketsphinx_model import spoken_words
from mmdia_eval.extractors.pocketsphinx_transcript import (
    PocketsphinxTranscript,
    TranscriptSettings,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, FloatArray, Segment

MINI = load_benchmark(Path(examples.__file__).parent / "mini")
DIALOGUES = MINI.split("test")


def sound(path: Path | None) -> Audio:
    assert path is not None
    samples, rate = soundfile.read(path, dtype="float32")
    return Audio(soxr.resample(samples, rate, SAMPLE_RATE))


BEN = sound(DIALOGUES[0].audio).cut(Segment(2.6, 5.35))
"""That is exactly why I need a boat."""


def inputs(audio: Audio, dialogue: Dialogue = DIALOGUES[0]) -> Inputs:
    return Inputs(audio, dialogue, Artifacts({}))


def engine(scripts: tuple[str, ...] = MINI.scripts, **settings: str) -> PocketsphinxTranscript:
    validated = TranscriptSettings.model_validate(settings)
    return PocketsphinxTranscript(validated, scripts)


def loaded(scripts: tuple[str, ...] = MINI.scripts) -> PocketsphinxTranscript:
    made = engine(scripts)
    made.load()
    return made


@pytest.fixture(scope="module")
def scripted() -> PocketsphinxTranscript:
    return loaded()


@pytest.fixture(scope="module")
def first(scripted: PocketsphinxTranscript) -> Transcript:
    (transcript,) = scripted.extract([inputs(sound(DIALOGUES[0].audio))])
    return transcript


def expected(dialogue: Dialogue) -> list[str]:
    return [word for turn in dialogue.turns for word in spoken_words(turn.text)]


def test_is_registered() -> None:
    assert extractor.get("pocketsphinx_transcript") is PocketsphinxTranscript


def test_hears_the_script(first: Transcript) -> None:
    heard = " ".join(word.text for word in first.words)
    assert jiwer.wer(" ".join(expected(DIALOGUES[0])), heard) <= 0.02


def test_word_times_are_in_order_inside_their_turns(first: Transcript) -> None:
    words = list(first.words)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(words))
    turn_of = [t for t in DIALOGUES[0].turns for _ in spoken_words(t.text)]
    assert len(words) == len(turn_of)
    for word, turn in zip(words, turn_of, strict=True):
        assert turn.segment is not None
        assert turn.segment.overlap(word.segment) > 0.8 * word.segment.duration, word


def test_results_do_not_depend_on_what_came_before(scripted: PocketsphinxTranscript) -> None:
    rng = np.random.default_rng(0)
    clean = [sound(dialogue.audio).samples[: 7 * SAMPLE_RATE] for dialogue in DIALOGUES[:2]]
    noisy = [x + 0.01 * rng.standard_normal(len(x), dtype=np.float32) for x in clean]
    one, other = (inputs(Audio(samples)) for samples in noisy)
    assert scripted.extract([one, other]) == scripted.extract([other, one])[::-1]


@pytest.mark.parametrize("length", [0, 1, 100, 800, SAMPLE_RATE])
def test_silence_gives_an_empty_transcript(scripted: PocketsphinxTranscript, length: int) -> None:
    silence = Audio(np.zeros(length, dtype=np.float32))
    assert scripted.extract([inputs(silence)]) == [Transcript(())]


def test_a_scrap_of_speech_is_no_crash(scripted: PocketsphinxTranscript) -> None:
    samples: FloatArray = sound(DIALOGUES[0].audio).samples
    scraps = [Audio(samples[6_000 : 6_000 + n]) for n in (1_700, 2_400, 4_000)]
    transcripts = scripted.extract([inputs(scrap) for scrap in scraps])
    for scrap, transcript in zip(scraps, transcripts, strict=True):
        assert all(word.end <= scrap.duration + 0.02 for word in transcript.words)


def test_only_script_words_can_be_heard() -> None:
    narrow = loaded((*(text for text in MINI.scripts if "boat" not in text), "Avonlea"))
    (transcript,) = narrow.extract([inputs(BEN)])
    heard = [word.text for word in transcript.words]
    assert "i" in heard
    assert "boat" not in heard


def test_scripts_without_a_known_word_are_refused() -> None:
    with pytest.raises(UserError, match='language_model = "generic"'):
        loaded(("你好", "…"))


def test_identity_is_the_script_set_whatever_its_order() -> None:
    one, same, other = engine(("a", "b")), engine(("b", "a")), engine(("a", "c"))
    assert one.identity() == same.identity()
    assert one.identity() != other.identity()
    assert engine(("a",), language_model="generic").identity() == {}


def test_weights_name_the_language_model_only_where_it_is_used() -> None:
    names = [weight.name for weight in engine(language_model="generic").weights()]
    assert names[-1] == "pocketsphinx/en-us.lm.bin"
    assert [weight.name for weight in engine().weights()] == names[:-1]


def test_generic_model_hears_words_beyond_the_script() -> None:
    generic = engine(("nothing",), language_model="generic")
    generic.load()
    (transcript,) = generic.extract([inputs(BEN)])
    said = "that is exactly why i need a boat"
    assert jiwer.wer(said, " ".join(word.text for word in transcript.words)) < 0.3


def test_hears_real_speech(real_speech: Path) -> None:
    lines = (real_speech / "mm-dia.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    texts = [[s["text"].partition("]")[2] for s in item["segments"]] for item in items]
    real = loaded((*MINI.scripts, *(text for turns in texts for text in turns)))
    transcripts = real.extract([inputs(sound(real_speech / item["path"])) for item in items])
    said = [" ".join(spoken_words(" ".join(turns))) for turns in texts]
    heard = [" ".join(word.text for word in transcript.words) for transcript in transcripts]
    assert jiwer.wer(said, heard) < 0.06

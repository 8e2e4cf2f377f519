"""What the engines say of a file: the kinds of artifact, as frozen dataclasses.

Times are seconds from the start of the file, as floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from mmdia_eval.types import FloatArray, Segment


@dataclass(frozen=True)
class Artifact:
    """What one engine says of one file, once. Subclasses are its kinds.

    A field that holds a numpy array is stored as a tensor, every other field as JSON.
    """

    kind: ClassVar[str]
    __pydantic_config__: ClassVar[Any] = {"arbitrary_types_allowed": True}


@dataclass(frozen=True)
class MediaInfo(Artifact):
    """What the decoder found in a file. `problem` says why no metric may use it, or is None.

    `duration` in seconds; `peak` in [0, 1] of full scale; `level` is the RMS in dBFS;
    `clipped` and `active` are shares of samples and of 20 ms frames, in [0, 1]; `dynamics` is how
    far loud frames are above quiet ones, in dB.
    """

    kind: ClassVar[str] = "media"
    duration: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    peak: float = 0.0
    level: float = -200.0
    clipped: float = 0.0
    active: float = 0.0
    dynamics: float = 0.0
    problem: str | None = None


@dataclass(frozen=True)
class VideoInfo(Artifact):
    """What the decoder found of a file's pictures. `problem` says why none may be used, or None.

    `frames` and `duration` (seconds) are after resampling to 25 frames a second; `width` and
    `height` in pixels; `frame_rate` is the file's own. `decode_errors` counts what the decoder
    logged as damage and went on from.
    """

    kind: ClassVar[str] = "video"
    frames: int = 0
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    duration: float = 0.0
    decode_errors: int = 0
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class FaceTracks(Artifact):
    """Faces through the frames of a video, one row a face and frame, track by track.

    `boxes` (n, 4) float32: x1, y1, x2, y2 in pixels; `scores` (n,) float32: the detector's, 0 where
    the box is interpolated. `frames` and `tracks` (n,) are whole numbers as float32. `identities`
    names each track's person, alike in several shots; `shots` are first frame and first after.
    """

    kind: ClassVar[str] = "face_tracks"
    boxes: FloatArray
    scores: FloatArray
    frames: FloatArray
    tracks: FloatArray
    identities: tuple[str, ...]
    shots: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class LipSyncEmbeddings(Artifact):
    """Embeddings of lips and of sound in one space; window `i` covers frames `i` to `i + 4`.

    `lips` (n, d) float32, track by track; `tracks` (n,) and `windows` (n,) say which track and
    first frame each is of, whole numbers as float32; `sound` (m, d) float32, one a frame.
    `identities` as in `FaceTracks`.
    """

    kind: ClassVar[str] = "lip_sync_embeddings"
    lips: FloatArray
    tracks: FloatArray
    windows: FloatArray
    sound: FloatArray
    identities: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class VideoFeatures(Artifact):
    """Features of a video's clips, (clips, d) float32, in order of time."""

    kind: ClassVar[str] = "video_features"
    features: FloatArray


@dataclass(frozen=True, eq=False)
class MouthMotion(Artifact):
    """How far the mouths in a video are open, and how loud its sound is, frame by frame.

    `openings` (n,) float32: share of the mouth's region that is dark, in [0, 1], track by track;
    `tracks` and `frames` (n,) say which track and frame each is of, whole numbers as float32.
    `identities` as in `FaceTracks`; `looks` (tracks, d) float32 describe each face (`identities`).
    `envelope` (m,) float32: RMS of the sound over each frame of the video, of full scale.
    """

    kind: ClassVar[str] = "mouth_motion"
    openings: FloatArray
    tracks: FloatArray
    frames: FloatArray
    looks: FloatArray
    envelope: FloatArray
    identities: tuple[str, ...]


@dataclass(frozen=True)
class FrameStatistics(Artifact):
    """Figures of a video's pictures that need no second video; see `frame_statistics`.

    `sharpness`: variance of the luma's Laplacian over that of the luma; `blockiness`: steps between
    8-pixel blocks over steps within them, 1 where no block shows; both from 0 upwards, and mean
    over frames. `frozen` is the share of frames that repeat the one before, in [0, 1]; `flicker`
    the mean change of the luma's mean from frame to frame within shots, in grey levels, 0 to 255.
    Both are None where there is no such frame.
    """

    kind: ClassVar[str] = "frame_statistics"
    frames: int
    shots: int
    sharpness: float
    blockiness: float
    frozen: float | None
    flicker: float | None


@dataclass(frozen=True)
class FrameSimilarity(Artifact):
    """How alike a video and its reference are, frame by frame; see `frame_similarity`.

    `psnr` in dB, 0 to 100, and `ssim`, -1 to 1, are means over frames. `resized` says whether the
    frames were brought to the reference's size. `problem` says why the two cannot be compared; the
    figures are then 0.
    """

    kind: ClassVar[str] = "frame_similarity"
    psnr: float
    ssim: float
    frames: int
    resized: bool
    problem: str | None = None


@dataclass(frozen=True)
class PerceptualDistance(Artifact):
    """How far a video is from its reference for people, frame by frame; see `lpips_distance`.

    `lpips` is a mean over frames, 0 for equal ones. `resized` and `problem` are as in
    `FrameSimilarity`.
    """

    kind: ClassVar[str] = "perceptual_distance"
    lpips: float
    frames: int
    resized: bool
    problem: str | None = None


@dataclass(frozen=True)
class Word:
    """One word as heard or aligned."""

    text: str
    start: float
    end: float

    @property
    def segment(self) -> Segment:
        return Segment(self.start, self.end)


@dataclass(frozen=True)
class Utterance:
    """A run of words decoded together, between two pauses.

    Where the recogniser says them: `speaker`, the label it gave the voice; `no_speech`, the
    probability in [0, 1] that nobody speaks; `log_probability`, the mean over tokens (natural
    logarithm); `compression_ratio`, of the text under zlib, high for a loop.
    """

    words: tuple[Word, ...]
    speaker: str | None = None
    no_speech: float | None = None
    log_probability: float | None = None
    compression_ratio: float | None = None


@dataclass(frozen=True)
class Transcript(Artifact):
    """What a recogniser heard, utterance by utterance, in time order.

    `word_times` is False where it timed whole utterances only: their words then stand at even
    steps. `language` is an ISO 639-1 code; `heard_seconds` is how much of the file's start was
    listened to, None for all of it. `draws` are the replies it was read from, where a language
    model had a part in it.
    """

    kind: ClassVar[str] = "transcript"
    utterances: tuple[Utterance, ...]
    word_times: bool = True
    language: str | None = None
    heard_seconds: float | None = None
    draws: tuple[Draw, ...] = ()

    @property
    def words(self) -> Iterator[Word]:
        return (word for utterance in self.utterances for word in utterance.words)


@dataclass(frozen=True)
class SpeakerSegment:
    """A stretch of speech with the label that a diarizer gave its voice."""

    start: float
    end: float
    speaker: str

    @property
    def segment(self) -> Segment:
        return Segment(self.start, self.end)


@dataclass(frozen=True)
class Diarization(Artifact):
    """Who spoke when, in time order; labels mean nothing outside the file."""

    kind: ClassVar[str] = "diarization"
    segments: tuple[SpeakerSegment, ...]

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(segment.speaker for segment in self.segments))


@dataclass(frozen=True)
class AlignedTurn:
    """Where the words of the reference turn number `index` are in the audio.

    `words` are the words that came back; `expected` is how many the turn has.
    """

    index: int
    words: tuple[Word, ...]
    expected: int

    @property
    def segment(self) -> Segment | None:
        """From the first word's start to the last word's end; None when no word came back."""
        if not self.words:
            return None
        return Segment(self.words[0].start, self.words[-1].end)


@dataclass(frozen=True)
class Alignment(Artifact):
    """The reference script laid over the audio, one entry a turn.

    `problem` says how the aligner failed (its failures are silent), else None; the turns then hold
    the words that could be placed otherwise, if any.
    """

    kind: ClassVar[str] = "alignment"
    turns: tuple[AlignedTurn, ...]
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class SpeakerEmbeddings(Artifact):
    """Voice embeddings of turns, or of their sentences: `vectors` (n, d) float32 of unit length.

    `turns` are the indices of the turns they belong to, `seconds` how much speech each was made of.
    What is too short to embed is absent.
    """

    kind: ClassVar[str] = "speaker_embeddings"
    vectors: FloatArray
    turns: tuple[int, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class TurnScores:
    """A predictor's scores for the turn number `index`."""

    index: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class MosPrediction(Artifact):
    """A quality predictor's scores, by name, for the whole file and for each aligned turn."""

    kind: ClassVar[str] = "mos"
    scores: Mapping[str, float]
    turns: tuple[TurnScores, ...] = ()


@dataclass(frozen=True)
class Draw:
    """One reply of a judge. `answers` is what was read from it; empty when `problem` says why not.

    `model` is the version that the service says answered; `retries` counts transport faults before.
    `nonce` is the random mark around the data in this call's prompt: draws with one nonce share a
    call, and its tokens. `audio_tokens` are those of `input_tokens` that are sound, where known.
    In a call about several clips this draw is of number `clip`, from 0, of `clips`; `reply` is the
    whole reply, and tokens and retries are its share of them.
    """

    reply: str
    answers: Mapping[str, int | str]
    rationale: str | None
    model: str
    input_tokens: int
    output_tokens: int
    retries: int
    problem: str | None = None
    nonce: str = ""
    audio_tokens: int = 0
    clip: int = 0
    clips: int = 1


@dataclass(frozen=True)
class Verdict(Artifact):
    """What a judge says of one dialogue, draw by draw. `prompt_sha256` is that of the rubric.

    `draws` holds every reply that was paid for, those that could not be read too.
    """

    kind: ClassVar[str] = "verdict"
    draws: tuple[Draw, ...]
    prompt_sha256: str

    @property
    def readable(self) -> tuple[Draw, ...]:
        return tuple(draw for draw in self.draws if draw.problem is None)


A = TypeVar("A", bound=Artifact)


class Artifacts:
    """The artifacts asked for, by kind: `artifacts[Transcript]` is a Transcript.

    `reference` holds those made of the reference recording, in the same way.
    """

    def __init__(
        self,
        of_output: Mapping[type[Artifact], Artifact],
        of_reference: Mapping[type[Artifact], Artifact] | None = None,
    ) -> None:
        self._items = dict(of_output)
        self._reference = dict(of_reference or {})

    def __contains__(self, kind: type[Artifact]) -> bool:
        return kind in self._items

    def __getitem__(self, kind: type[A]) -> A:
        found: Any = self._items[kind]
        return found  # type: ignore[no-any-return]

    @property
    def reference(self) -> Artifacts:
        return Artifacts(self._reference)

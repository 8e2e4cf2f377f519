"""LSE against PyPI's `syncnet-python`: the same network, random weights, video and face track.

One face in a drawn video of 5 s, 1280x720, on the CPU and, where there is one, on a GPU. Faces are
given to both, so that no detector is timed. Three things are compared: whole pipelines from file to
C and D; the distances on the very same crops, which must be equal; and what the reference's lossy
generations change. CPU seconds, the peer's own processes with it, and by the clock. Needs
`syncnet-python` and an ffmpeg binary, as that package does:

    pip install --no-deps syncnet-python==0.2.3 ffmpeg-python imageio-ffmpeg
    python -m benchmarks lip_sync
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from mmdia_eval import devices, media, video
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, FaceTracks
from mmdia_eval.extractors.syncnet_embeddings import SIDE, SyncnetEmbeddings, SyncnetSettings
from mmdia_eval.extractors.voices import inference
from mmdia_eval.faces import Track, crop_faces, pack_tracks
from mmdia_eval.lip_sync import LipSync, lip_tracks, track_lip_sync
from mmdia_eval.types import FRAME_RATE, Audio, Dialogue, Frames

SECONDS = 5
SIZE = (1280, 720)
DARK = (40, 10, 10)
TOLERANCE = 1e-3
TARGET = 5.0
ROUNDS = 2


class Spent(NamedTuple):
    """Seconds of the processor, and by the clock."""

    cpu: float
    clock: float


class Score(NamedTuple):
    """What either side says of the one track."""

    confidence: float
    distance: float
    offset: int


def main() -> None:
    """Print times and differences, and assert equality on equal crops."""
    if missing := _missing():
        print(f"lip_sync: not run, for lack of {missing}; see benchmarks/lip_sync.py")
        return
    for device in dict.fromkeys((devices.CPU, devices.resolve("auto")[0])):
        with tempfile.TemporaryDirectory() as folder, _ffmpeg_on_path(Path(folder)):
            _compare(Path(folder), device)


def _compare(folder: Path, device: str) -> None:
    clip = draw_clip(folder / "clip.mp4", SECONDS, SIZE)
    checkpoint, theirs = _networks(folder, device)
    clean, worn = (_ours(checkpoint, device, round_trips=on) for on in (False, True))

    times: dict[str, list[Spent]] = {}
    scores: dict[str, Score] = {}
    for _ in range(ROUNDS):
        for name, work in (
            ("syncnet-python", lambda: _theirs(theirs, clip)),
            ("mmdia-eval", lambda: _score(clean, clip, folder)),
            ("mmdia-eval, round_trips", lambda: _score(worn, clip, folder)),
        ):
            spent, scores[name] = _timed(work)
            times.setdefault(name, []).append(spent)
    crops, audio = _crops(clip, folder)
    with inference():  # as ours: else theirs has TF32's ten bits on a GPU
        towers, same = _timed(lambda: _their_towers(theirs, crops, audio, folder / "crops"))
    ours_towers, mine = _timed(lambda: _our_towers(clean, crops, audio))

    size = "x".join(map(str, SIZE))
    print(f"{device}: {SECONDS} s of {size}, one face, {os.cpu_count()} cores, best of {ROUNDS}")
    cpu, clock = (
        {name: min(each[i] for each in them) for name, them in times.items()} for i in (0, 1)
    )
    for name, score in scores.items():
        ratios = (best["syncnet-python"] / best[name] for best in (cpu, clock))
        print(
            f"{name:24} CPU {cpu[name]:6.2f} s {next(ratios):5.2f}x  "
            f"clock {clock[name]:6.2f} s {next(ratios):5.2f}x  {_shown(score)}"
        )
    print(f"target {TARGET:.0f}x: {_reached(cpu if device == devices.CPU else clock)}")
    print(f"the same crops: networks alone {towers.cpu:.2f} s and {ours_towers.cpu:.2f} s of CPU")
    print(f"{'syncnet-python':24} {_shown(same)}\n{'mmdia-eval, legacy':24} {_shown(mine)}")
    difference = max(abs(same.confidence - mine.confidence), abs(same.distance - mine.distance))
    print(f"largest difference {difference:.1e}")
    assert difference < TOLERANCE
    assert same.offset == mine.offset


def _reached(best: dict[str, float]) -> str:
    return "reached" if best["syncnet-python"] >= TARGET * best["mmdia-eval"] else "missed"


def _shown(score: Score) -> str:
    return f"C {score.confidence:.4f}  D {score.distance:.4f}  offset {score.offset:+d}"


def _timed(work: Callable[[], Score]) -> tuple[Spent, Score]:
    begun, start = time.perf_counter(), _cpu_seconds()
    score = work()
    return Spent(_cpu_seconds() - start, time.perf_counter() - begun), score


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _missing() -> str | None:
    for module in ("syncnet_python", "ffmpeg", "cv2", "torch", "scenedetect"):
        if importlib.util.find_spec(module) is None:
            return f"the package {module!r}"
    if shutil.which("ffmpeg") is None and importlib.util.find_spec("imageio_ffmpeg") is None:
        return "an ffmpeg binary"
    return None


@contextlib.contextmanager
def _ffmpeg_on_path(folder: Path) -> Iterator[None]:
    """`ffmpeg` as a command, from the wheel of imageio-ffmpeg where there is no other."""
    if shutil.which("ffmpeg") is None:
        import imageio_ffmpeg

        (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the peer and its ffmpeg print."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def face_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Of the face in a drawn clip of that width and height: x1, y1, x2, y2 in pixels."""
    width, height = size
    side = height // 3
    x, y = (width - side) // 2, (height - side) * 5 // 12
    return x, y, x + side, y + side


def face_track(frames: int, size: tuple[int, int]) -> Track:
    """The track of that face."""
    box = np.array(face_box(size), np.float32)
    return Track(0, np.tile(box, (frames, 1)), np.ones(frames, np.float32))


def draw_clip(path: Path, seconds: int, size: tuple[int, int], seed: int = 0) -> Path:
    """A textured square whose lower half opens and shuts with a tone's loudness."""
    import av

    (width, height), frames = size, seconds * FRAME_RATE
    draw = np.random.default_rng(seed)
    loud = np.interp(np.arange(frames), np.arange(0, frames, 4), draw.random(-(-frames // 4)))
    x1, _, x2, y2 = face_box(size)
    cells = draw.integers(60, 200, (-(-height // 20), -(-width // 20), 3))
    base = cells.repeat(20, 0).repeat(20, 1)[:height, :width]
    tone = draw.normal(0, 0.2, frames * 640) * np.repeat(loud, 640)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        speech: Any = container.add_stream("aac", rate=16_000, layout="mono")
        for level in loud:
            picture = base.astype(np.uint8)
            part = (x2 - x1) // 8
            mouth = int(level * (x2 - x1) / 3) + 2
            picture[y2 - 3 * part : y2 - 3 * part + mouth, x1 + 2 * part : x2 - 2 * part] = DARK
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), "fltp", "mono")
        block.sample_rate, block.time_base = 16_000, Fraction(1, 16_000)
        container.mux(speech.encode(block))
        container.mux(speech.encode(None))
    return path


def _networks(folder: Path, device: str) -> tuple[Path, Any]:
    """A checkpoint of SyncNet, and the peer's pipeline with it.

    Batch normalisation takes its figures from noise, so that embeddings depend on what is seen.
    """
    import torch
    from syncnet_python import SyncNetPipeline

    from mmdia_eval.networks.s3fd import S3FD
    from mmdia_eval.networks.syncnet import SyncNet

    torch.manual_seed(0)
    network = SyncNet().train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            module.momentum = 1.0
    with torch.no_grad():
        network.lips(torch.randint(0, 256, (12, 3, SIDE, SIDE), dtype=torch.uint8))
        network.sound(torch.randn(60, 13) * 10)
    checkpoint = folder / "syncnet_v2.model"
    torch.save(network.state_dict(), checkpoint)
    torch.save(S3FD().state_dict(), folder / "sfd_face.pth")
    with _quiet():
        pipeline = SyncNetPipeline(
            {"s3fd_weights": folder / "sfd_face.pth", "syncnet_weights": checkpoint}, device=device
        )
    pipeline.s3fd.detect_faces = lambda *_, **__: np.array([[*face_box(SIZE), 1.0]])
    return checkpoint, pipeline


def _theirs(pipeline: Any, clip: Path) -> Score:
    with _quiet():
        offsets, confidences, distances, *_ = pipeline.inference(str(clip), None)
    return Score(confidences[0], distances[0], offsets[0])


def _ours(checkpoint: Path, device: str, *, round_trips: bool) -> SyncnetEmbeddings:
    from mmdia_eval.networks import syncnet

    extractor = SyncnetEmbeddings(SyncnetSettings(round_trips=round_trips), ())
    extractor.torch_device = device
    extractor._network = syncnet.load(checkpoint, device)  # noqa: SLF001
    return extractor


def _decoded(clip: Path, folder: Path) -> tuple[Frames, Audio]:
    video.decode(clip, folder / "frames.npy")
    _, audio = media.decode(clip)
    assert audio is not None
    frames: Frames = np.load(folder / "frames.npy", mmap_mode="r")
    return frames, audio


def _score(extractor: SyncnetEmbeddings, clip: Path, folder: Path) -> Score:
    frames, audio = _decoded(clip, folder)
    faces = pack_tracks([face_track(len(frames), SIZE)], ["face 1"], [(0, len(frames))])
    inputs = Inputs(audio, Dialogue("d", ()), Artifacts({FaceTracks: faces}), clip, frames)
    (found,) = extractor.extract([inputs])
    (track,) = lip_tracks(found)
    return _as_score(track_lip_sync(track, found.sound, "legacy"))


def _crops(clip: Path, folder: Path) -> tuple[Frames, Audio]:
    frames, audio = _decoded(clip, folder)
    return crop_faces(frames, face_track(len(frames), SIZE), SIDE), audio


def _our_towers(extractor: SyncnetEmbeddings, crops: Frames, audio: Audio) -> Score:
    from mmdia_eval.lip_sync import LipTrack

    track = LipTrack("face 1", 0, extractor.lips([crops]))
    return _as_score(track_lip_sync(track, extractor.sound(audio), "legacy"))


def _their_towers(pipeline: Any, crops: Frames, audio: Audio, folder: Path) -> Score:
    """The peer's networks and distances on crops that nothing is lost of."""
    import cv2
    from scipy.io import wavfile

    folder.mkdir()
    for number, crop in enumerate(crops):
        # It reads *.jpg, through OpenCV, which goes by the content.
        _, png = cv2.imencode(".png", np.ascontiguousarray(crop[..., ::-1]))
        (folder / f"{number:06d}.jpg").write_bytes(png.tobytes())
    samples = np.clip(np.round(audio.samples * 32768.0), -32768, 32767).astype(np.int16)
    wavfile.write(folder / "audio.wav", 16_000, samples)
    options = SimpleNamespace(tmp_dir=str(folder), batch_size=20, vshift=15)
    with _quiet():
        offset, confidence, distance = pipeline.syncnet.evaluate(opt=options)
    return Score(confidence, distance, offset)


def _as_score(found: LipSync | None) -> Score:
    assert found is not None
    return Score(found.confidence, found.distance, found.offset)


if __name__ == "__main__":
    main()

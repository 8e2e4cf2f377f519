"""The video stages at real sizes, in frames a second, and how busy the GPU was, in one run.

Decoding is that of the harness's CPU workers. Every other stage runs in its worker for devices, on
frames that are decoded already, with the model loaded and one file done. Networks have their
published sizes and random weights; videos are drawn, with one face, whose track is given.

`python -m benchmarks.gpu_video` wants a GPU; `--device cpu --files 1 --seconds 2` shows that it
runs.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu_stages import first_device, timed_stage
from benchmarks.lip_sync import draw_clip, face_track
from mmdia_eval import registry
from mmdia_eval.api import Extractor
from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.extractors import lpips_distance, s3fd_faces, syncnet_embeddings
from mmdia_eval.extractors.i3d_features import BATCH_NORM_EPSILON
from mmdia_eval.faces import pack_tracks
from mmdia_eval.store import Store, digest, file_sha256
from mmdia_eval.types import FRAME_RATE, Dialogue
from mmdia_eval.workers import Job, Pool, Source, default_jobs

SIZES = ("1280x720", "1920x1080")
STAGES: Mapping[str, Mapping[str, Any]] = {
    "s3fd_faces": {},
    "syncnet_embeddings": {},
    "i3d_features": {"model": "i3d-kinetics-400"},
    "lpips_distance": {},
}


class Size(NamedTuple):
    """Of a frame, in pixels."""

    width: int
    height: int


def make_models(folder: Path) -> None:
    """The four networks' files, with random weights, below `folder`."""
    import torch

    from mmdia_eval.networks.i3d import I3D
    from mmdia_eval.networks.lpips import AlexNetFeatures
    from mmdia_eval.networks.s3fd import S3FD
    from mmdia_eval.networks.syncnet import SyncNet

    torch.manual_seed(0)
    for id_, name, network in (
        (s3fd_faces.MODEL, s3fd_faces.CHECKPOINT, S3FD()),
        (syncnet_embeddings.MODEL, syncnet_embeddings.CHECKPOINT, SyncNet()),
        ("i3d-kinetics-400", "i3d_pretrained_400.pt", I3D(epsilon=BATCH_NORM_EPSILON)),
        (lpips_distance.MODEL, lpips_distance.CHECKPOINT, AlexNetFeatures()),
    ):
        (folder / id_).mkdir(parents=True)
        torch.save(network.state_dict(), folder / id_ / name)


def make_sources(folder: Path, count: int, seconds: int, size: Size) -> list[Source]:
    """Drawn videos, each the reference of the next."""
    paths = [folder / f"{size.height}-{number}.mp4" for number in range(count)]
    for seed, path in enumerate(paths):
        draw_clip(path, seconds, size, seed)
    hashes = [file_sha256(path) for path in paths]
    return [
        Source(
            "output",
            Dialogue(path.stem, (), video=paths[number - 1]),
            path,
            hashes[number],
            has_frames=True,
            reference=hashes[number - 1],
        )
        for number, path in enumerate(paths)
    ]


def decode(sources: Sequence[Source], seconds: float, store: Store) -> float:
    """Seconds for the sound and the frames of all sources but the first."""
    jobs = [Job(source, digest(["media", source.sha256]), (), seconds) for source in sources]
    with Pool(default_jobs(), store, ()) as pool:

        def run(some: Sequence[Job]) -> None:
            if problem := next((done.problem for done in pool.probe(some) if done.problem), None):
                raise SystemExit(f"decode: {problem}")

        run(jobs[:1])
        begin = time.perf_counter()
        run(jobs[1:])
        return time.perf_counter() - begin


def jobs_of(
    extractor: Extractor[Any], sources: Sequence[Source], seconds: int, size: Size, store: Store
) -> list[Job]:
    """The stage's jobs, with the track of the drawn face in the store where it is wanted."""
    frames = seconds * FRAME_RATE
    faces = digest(["faces", frames, size])
    if FaceTracks in extractor.needs:
        store.write(faces, pack_tracks([face_track(frames, size)], ["face 1"], [(0, frames)]))
    return [
        Job(
            source,
            digest([extractor.name, source.sha256]),
            tuple((kind, faces) for kind in extractor.needs),
            seconds,
            extractor.reads_frames,
            extractor.reads_reference_frames,
        )
        for source in sources
    ]


def main() -> None:
    """Print the frames a second of each stage at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--files", type=int, default=16, help="how many are timed")
    parser.add_argument("--seconds", type=int, default=5, help="of each file")
    parser.add_argument("--size", action="append", type=_size, help="1280x720; may be repeated")
    parser.add_argument("--stage", action="append", choices=STAGES, help="only this one")
    asked = parser.parse_args()
    device = first_device(asked.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MMDIA_MODELS"] = str(folder / "models")
        os.environ["MMDIA_ALLOW_UNVERIFIED_MODELS"] = "1"
        make_models(folder / "models")
        for size in asked.size or map(_size, SIZES):
            _measure(asked, device, size, folder)


def _measure(asked: argparse.Namespace, device: str, size: Size, folder: Path) -> None:
    store = Store(folder / f"store-{size.height}")
    # One more than asked for, which warms up.
    sources = make_sources(folder, asked.files + 1, asked.seconds, size)
    frames = asked.files * asked.seconds * FRAME_RATE
    cores = default_jobs()
    print(f"{size.width}x{size.height}, {asked.files} files of {asked.seconds} s, {frames} frames")
    took = decode(sources, asked.seconds, store)
    print(f"  {f'decode, {cores} CPU workers':28}{frames / took:10.1f} frames/s", flush=True)
    for name in asked.stage or STAGES:
        cls: Any = registry.extractor.get(name)
        extractor = cls(cls.Settings.model_validate(dict(STAGES[name])), ())
        jobs = jobs_of(extractor, sources, asked.seconds, size, store)
        took, busy = timed_stage(extractor, jobs, device, store)
        print(f"  {f'{name}, {device}':28}{frames / took:10.1f} frames/s  busy {busy}", flush=True)


def _size(text: str) -> Size:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError("a size is WIDTHxHEIGHT")
    return Size(int(found[1]), int(found[2]))


if __name__ == "__main__":
    main()

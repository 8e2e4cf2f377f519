"""Embeddings of lips and of sound from SyncNet, of which the lip-sync metrics take distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mmdia_eval import api, models
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Artifact, FaceTracks, LipSyncEmbeddings
from mmdia_eval.extractors.pictures import OPENCV, TORCH, seen_frames
from mmdia_eval.extractors.s3fd_faces import encoders
from mmdia_eval.extractors.voices import inference
from mmdia_eval.faces import Track, crop_faces, unpack_tracks
from mmdia_eval.lip_sync import WINDOW
from mmdia_eval.mfcc import mfcc
from mmdia_eval.registry import extractor
from mmdia_eval.types import FRAME_RATE, SAMPLE_RATE, Audio, FloatArray, Frames

MODEL = "syncnet-v2"
CHECKPOINT = "syncnet_v2.model"

EMBEDDING = 1024
SIDE = 224
"""Height and width of a face crop in pixels."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE


class SyncnetSettings(api.Settings):
    """`round_trips`: frames pass the reference's lossy generations, MPEG-4, JPEG, XVID, JPEG."""

    round_trips: bool = False


@extractor("syncnet_embeddings")
class SyncnetEmbeddings(Extractor[LipSyncEmbeddings]):
    """1024 values, not of unit length, for each window of five frames of each face, and of sound.

    Faces are cut as in syncnet_python, 224 pixels, blue-green-red 0 to 255; sound is 13 cepstra of
    16-bit samples at 16 kHz. Sound windows are as many as the reference has: the file's whole
    frames of 40 ms less five. Tracks of less than five frames have no window.
    """

    version = "2"
    makes = LipSyncEmbeddings
    needs: ClassVar[tuple[type[Artifact], ...]] = (FaceTracks,)
    device = "gpu"
    reads_frames = True
    cost = 5.0
    requires = (TORCH, OPENCV)
    Settings: ClassVar[type[api.Settings]] = SyncnetSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    def identity(self) -> Mapping[str, Any]:
        return encoders(self.settings.round_trips)

    def load(self) -> None:
        from mmdia_eval.networks import syncnet  # noqa: PLC0415

        self._network = syncnet.load(models.folder(MODEL) / CHECKPOINT, self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[LipSyncEmbeddings]:
        return [self._embed(item) for item in batch]

    def _embed(self, item: Inputs) -> LipSyncEmbeddings:
        faces = item.artifacts[FaceTracks]
        tracks = unpack_tracks(faces)
        long = [(index, track) for index, track in enumerate(tracks) if len(track.boxes) >= WINDOW]
        counts = [len(track.boxes) - WINDOW + 1 for _, track in long]
        starts = [np.arange(t.first, t.first + n) for (_, t), n in zip(long, counts, strict=True)]
        return LipSyncEmbeddings(
            lips=self.lips(self._crops(seen_frames(item), [track for _, track in long])),
            tracks=np.repeat([index for index, _ in long], counts).astype(np.float32),
            windows=np.concatenate([np.empty(0), *starts]).astype(np.float32),
            sound=self.sound(item.audio),
            identities=faces.identities,
        )

    def _crops(self, frames: Frames, tracks: Sequence[Track]) -> list[Frames]:
        if not self.settings.round_trips:
            return [crop_faces(frames, track, SIDE) for track in tracks]
        from mmdia_eval.round_trips import recoded, recoded_crops  # noqa: PLC0415

        worn = recoded(frames) if tracks else frames
        return [recoded_crops(crop_faces(worn, track, SIDE)) for track in tracks]

    def lips(self, crops: Sequence[Frames]) -> FloatArray:
        """Embeddings (windows, 1024) float32 of tracks' crops (n, 224, 224, 3), track by track.

        All tracks pass the network as one; windows that begin in one and end in the next go.
        """
        import torch  # noqa: PLC0415

        if not crops:
            return np.empty((0, EMBEDDING), np.float32)
        whole = [np.arange(len(each)) <= len(each) - WINDOW for each in crops]
        kept = np.concatenate(whole)[: 1 - WINDOW]
        pictures = np.concatenate([each[..., ::-1] for each in crops])
        faces = torch.from_numpy(pictures).permute(0, 3, 1, 2)
        with inference():
            found = self._network.lips(faces).cpu().numpy()
        embeddings: FloatArray = found[kept]
        return embeddings

    def sound(self, audio: Audio) -> FloatArray:
        """Embeddings (n, 1024) float32 of sound at 16 kHz, one for each frame's window."""
        import torch  # noqa: PLC0415

        if audio.sample_rate != SAMPLE_RATE:
            raise ValueError(f"expected {SAMPLE_RATE} Hz, got {audio.sample_rate} Hz")
        count = max(0, len(audio.samples) // SAMPLES_PER_FRAME - WINDOW)
        cepstra = torch.from_numpy(mfcc(audio.samples)).to(self.torch_device)
        with inference():
            embeddings: FloatArray = self._network.sound(cepstra)[:count].cpu().numpy()
        return embeddings

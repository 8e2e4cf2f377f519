"""Faces and embeddings through the real loaders: planted weights in the published files' format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_lips
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, FaceTracks, LipSyncEmbeddings
from mmdia_eval.errors import MissingOutputError, UserError
from mmdia_eval.extractors.s3fd_faces import S3fdFaces, S3fdSettings
from mmdia_eval.extractors.syncnet_embeddings import SyncnetEmbeddings, SyncnetSettings
from mmdia_eval.faces import Track, pack_tracks, unpack_tracks
from mmdia_eval.metrics.lse_c import LseC
from mmdia_eval.networks import s3fd, syncnet
from mmdia_eval.types import Audio, Dialogue, FloatArray, Frames

DIALOGUE = Dialogue("d", ())
DETECTOR = S3fdSettings(min_track=4)


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    tiny_lips.write(root, "s3fd", "sfd_face.pth", tiny_lips.planted_s3fd())
    tiny_lips.write(root, "syncnet-v2", "syncnet_v2.model", tiny_lips.planted_syncnet())
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMDIA_MODELS", str(root))
        patch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
        yield root
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def detector() -> S3fdFaces:
    found = S3fdFaces(DETECTOR, ())
    found.load()
    return found


@pytest.fixture(scope="module")
def embedder() -> SyncnetEmbeddings:
    found = SyncnetEmbeddings(SyncnetSettings(), ())
    found.load()
    return found


def faces_at(*cells: tuple[int, int]) -> Frames:
    """A frame of 384 by 256 with a bright square of 96 at each place, in cells of 32 pixels."""
    frame = np.zeros((256, 384, 3), dtype=np.uint8)
    for column, row in cells:
        frame[32 * row : 32 * row + 96, 32 * column : 32 * column + 96] = 255
    return frame


def item(frames: Frames, faces: FaceTracks | None = None, seconds: float = 4.0) -> Inputs:
    samples = np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds))
    artifacts = Artifacts({} if faces is None else {FaceTracks: faces})
    return Inputs(Audio(samples.astype(np.float32)), DIALOGUE, artifacts, frames=frames)


def tracks_in(*spans: tuple[int, int]) -> FaceTracks:
    """Tracks (first frame, frames), each filling a frame of 64 by 64."""
    box = np.array([8, 8, 56, 56], dtype=np.float32)
    tracks = [Track(a, np.tile(box, (n, 1)), np.ones(n, dtype=np.float32)) for a, n in spans]
    return pack_tracks(tracks, [f"face {n}" for n in range(len(spans))], [(0, 100)])


def test_faces_are_found_where_they_are_planted_and_linked(detector: S3fdFaces) -> None:
    frames = np.stack([faces_at((1, 1), (7, 4)), faces_at((7, 4), (1, 1))] * 3)
    (found,) = detector.extract([item(frames)])
    left, right = unpack_tracks(found)
    half = tiny_lips.FACE_SIDE / 0.25 / 2
    for track, centre in ((left, (80, 80)), (right, (272, 176))):
        assert (track.first, len(track.boxes)) == (0, 6)
        np.testing.assert_allclose(
            track.boxes[0],
            [centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half],
            rtol=1e-5,
        )
        assert (track.scores > 0.9).all()
    assert len(found.identities) == 2
    assert found.shots == ((0, 6),)


def test_a_frame_has_the_same_faces_in_any_batch(
    detector: S3fdFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.stack([faces_at((1, 1)), faces_at((5, 3))])
    together = detector.detect(frames)
    monkeypatch.setattr("mmdia_eval.extractors.s3fd_faces.CPU_PIXELS", 1)
    alone = detector.detect(frames)
    assert [len(each) for each in together] == [1, 1]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_face_for_too_few_frames_and_no_face_are_no_track(detector: S3fdFaces) -> None:
    frames = np.stack([faces_at((1, 1))] * 4)
    (found,) = detector.extract([item(frames)])
    assert (len(found.boxes), found.identities) == (0, ())


def test_the_reference_constants_can_be_set() -> None:
    S3fdSettings(min_track=100, min_face_size=100.0, round_trips=True)
    plain, worn = (S3fdFaces(S3fdSettings(round_trips=on), ()) for on in (False, True))
    assert plain.identity() == {}
    assert "libavcodec" in worn.identity()["encoders"]


@torch.inference_mode()
@pytest.mark.parametrize(("tap", "colour"), [(0, 0), (4, 2)])
def test_lips_in_closed_form(tap: int, colour: int, tmp_path: Path) -> None:
    """Plain frames: what the one open path hands on is the frame and colour it is opened for."""
    state = tiny_lips.planted_syncnet(tap=tap, colour=colour)
    network = syncnet.load(tiny_lips.write(tmp_path, "syncnet-v2", "syncnet_v2.model", state))
    values = torch.arange(18, dtype=torch.float32).reshape(6, 3)
    found = network.lips(values[:, :, None, None].expand(6, 3, 224, 224))
    assert found.shape == (2, 1024)
    np.testing.assert_allclose(found[:, 0], values[tap : tap + 2, colour], rtol=1e-5)
    assert (found[:, 1:] == 0).all()


def sound_by_hand(cepstra: FloatArray) -> FloatArray:
    """Embedding 0 of each window: what is above zero through both poolings, by plain loops."""
    found = []
    for start in range(0, len(cepstra) - 19, 4):
        window = np.maximum(cepstra[start : start + 20].T, 0)  # 13 by 20
        first = np.array(
            [[window[r : r + 3, c : c + 3].max() for c in range(0, 18, 2)] for r in range(11)]
        )
        second = np.array(
            [[first[r : r + 3, c : c + 3].max() for c in range(0, 7, 2)] for r in range(0, 9, 2)]
        )
        assert second.shape == (5, 4)
        found.append(second[0, 0])
    return np.array(found, dtype=np.float32)


@torch.inference_mode()
def test_sound_by_hand(embedder: SyncnetEmbeddings) -> None:
    cepstra = np.random.default_rng(1).normal(-2, 1, (41, 13)).astype(np.float32)
    found = embedder._network.sound(torch.from_numpy(cepstra))
    np.testing.assert_allclose(found[:, 0], sound_by_hand(cepstra), rtol=1e-4, atol=1e-6)


def test_every_track_gets_its_own_windows_and_the_network_sees_blue_first(
    embedder: SyncnetEmbeddings,
) -> None:
    colours = np.arange(30)[:, None] * np.array([1, 2, 4])  # red, green, blue
    frames = np.broadcast_to(colours[:, None, None].astype(np.uint8), (30, 64, 64, 3))
    faces = tracks_in((3, 6), (0, 4), (20, 5))
    (found,) = embedder.extract([item(frames, faces)])
    assert found.tracks.tolist() == [0, 0, 2]
    assert found.windows.tolist() == [3, 4, 20]
    # The third frame of each window, in blue; a track of four frames has none.
    np.testing.assert_allclose(found.lips[:, 0], [20, 24, 88], rtol=1e-5)
    assert found.identities == faces.identities


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12_000))
def test_sound_windows_are_those_of_the_reference(samples: int) -> None:
    """`min(frames, len(audio) // 640) - 5`, with more frames than sound."""
    found = SyncnetEmbeddings(SyncnetSettings(), ())
    found._network = _Counted()  # type: ignore[assignment]
    audio = Audio(np.zeros(samples, dtype=np.float32))
    assert len(found.sound(audio)) == max(0, samples // 640 - 5)


class _Counted(torch.nn.Module):
    def sound(self, cepstra: torch.Tensor) -> torch.Tensor:
        return torch.zeros(max(0, (len(cepstra) - 20) // 4 + 1), 1024)


def test_no_face_gives_sound_alone_and_a_missing_value(embedder: SyncnetEmbeddings) -> None:
    frames = np.zeros((20, 64, 64, 3), dtype=np.uint8)
    (found,) = embedder.extract([item(frames, tracks_in(), seconds=0.8)])
    assert found.lips.shape == (0, 1024)
    assert found.sound.shape == (15, 1024)
    with pytest.raises(MissingOutputError, match="no face was found"):
        LseC(LseC.Settings()).measure(DIALOGUE, Artifacts({LipSyncEmbeddings: found}))


def test_a_file_without_counters_is_the_same_network(tmp_path: Path) -> None:
    state = tiny_lips.planted_syncnet()
    plain = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    network = syncnet.load(tiny_lips.write(tmp_path, "syncnet-v2", "syncnet_v2.model", plain))
    whole = syncnet.load(tiny_lips.write(tmp_path, "syncnet-v2", "syncnet_v2.model", state))
    for name, value in whole.state_dict().items():
        counter = name.endswith("num_batches_tracked")
        assert counter or torch.equal(network.state_dict()[name], value)


def test_another_network_is_refused(tmp_path: Path) -> None:
    state = {"more": torch.zeros(1), "netfcaud.3.bias": torch.zeros(2)}
    path = tiny_lips.write(tmp_path, "syncnet-v2", "syncnet_v2.model", state)
    with pytest.raises(UserError, match=r"missing: netcnnaud.*; unknown: more; of another shape"):
        syncnet.load(path)


def test_the_detector_of_another_file_is_refused(models: Path) -> None:
    with pytest.raises(UserError, match="is not a checkpoint of this model"):
        s3fd.load(models / "syncnet-v2" / "syncnet_v2.model")


def test_frames_that_did_not_come_are_named(detector: S3fdFaces) -> None:
    audio = Audio(np.zeros(16_000, dtype=np.float32))
    with pytest.raises(ValueError, match=r"clip\.mp4 came without its frames"):
        detector.extract([Inputs(audio, DIALOGUE, Artifacts({}), Path("clip.mp4"))])

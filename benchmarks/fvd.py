"""Time of FVD features against the bare network and torchmetrics' FID class, in one run.

All take the same clips and the same network with random weights, on the CPU: the bare network a
batch at a time; the extractor from a video's frames on, scaling included; torchmetrics'
`FrechetInceptionDistance` with that network as its feature extractor, which the distances of are
compared with ours. CPU seconds of one thread.

    python -m benchmarks fvd
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from mmdia_eval.clips import PRESETS, clips
from mmdia_eval.extractors.i3d_features import BATCH_NORM_EPSILON, I3dFeatures, I3dSettings
from mmdia_eval.frechet import frechet_distance
from mmdia_eval.networks.i3d import I3D

VIDEOS, FRAMES, HEIGHT, WIDTH = 4, 100, 240, 320
PRESET = "fvd-mmdia-v1"


def main() -> None:
    """Print the three ways' times and both distances."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = I3D(epsilon=BATCH_NORM_EPSILON).eval()
    network.logits.conv3d.weight.data *= 1e6  # else random features hardly differ
    draw = np.random.default_rng(0)
    videos = [
        draw.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(VIDEOS)
    ]
    cut = [clips(video, PRESETS[PRESET]) for video in videos]
    with torch.inference_mode():
        bare, features = timed(lambda: [network(part).numpy() for part in cut])
        ours, found = timed(lambda: extracted(network, videos))
        peer, distance = timed(lambda: of_torchmetrics(network, cut))
    half = VIDEOS // 2
    equal = max(float(np.abs(a - b).max()) for a, b in zip(features, found, strict=True))
    mine = frechet_distance(np.concatenate(found[:half]), np.concatenate(found[half:]))
    seconds = VIDEOS * FRAMES / 25
    size = f"{FRAMES} frames {WIDTH}x{HEIGHT}, {len(cut[0])} clips each"
    print(f"FVD features, {VIDEOS} videos of {size}")
    ways = {"bare network": bare, "extractor": ours, "torchmetrics": peer}
    for name, took in ways.items():
        speed = seconds / took
        print(f"  {name:14} {took:6.2f} s  {speed:5.2f} s of video a second")
    print(f"  extractor to bare network: {ours / bare:.2f}x; largest difference {equal:.0e}")
    print(f"  distance: ours {mine:.6g}, torchmetrics {distance:.6g}")


def timed(work: Any) -> tuple[float, Any]:
    """CPU seconds, and what came of it."""
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def extracted(network: I3D, videos: list[Any]) -> list[Any]:
    """Features by the extractor, from frames, with this network in a file of the real format."""
    from mmdia_eval.api import Inputs
    from mmdia_eval.artifacts import Artifacts
    from mmdia_eval.types import Audio, Dialogue

    extractor = I3dFeatures(I3dSettings(model="i3d-kinetics-400"), ())
    extractor._network = network  # noqa: SLF001 - loading is not what is timed
    silence, dialogue = Audio(np.zeros(0, np.float32)), Dialogue("d", ())
    return [
        extractor.extract([Inputs(silence, dialogue, Artifacts({}), frames=video)])[0].features
        for video in videos
    ]


class _Features(nn.Module):
    num_features = 400

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(x)
        return found


def of_torchmetrics(network: I3D, cut: list[torch.Tensor]) -> float:
    """The distance of the first half of the videos to the others."""
    fid = FrechetInceptionDistance(
        feature=_Features(network),
        normalize=True,
        input_img_size=(3, 16, 224, 224),  # type: ignore[arg-type]
    )
    for index, part in enumerate(cut):
        fid.update(part, real=index < len(cut) // 2)
    return float(fid.compute())


if __name__ == "__main__":
    main()

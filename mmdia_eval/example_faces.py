"""Drawn people for the mini benchmark's clips: heads with mouths that open, eyes that blink.

Soft shading rather than outlines, so that a face detector trained on photographs finds them. All
shapes are functions of a pixel's place in the head's own coordinates: `u` to the right and `v`
downwards from the face's centre, in units of half the face's height. Nothing is sampled or cached,
so the same pose gives the same pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.types import FloatArray

Colour: TypeAlias = tuple[float, float, float]
"""Red, green and blue in [0, 255]."""
Box: TypeAlias = tuple[float, float, float, float]
Grid: TypeAlias = NDArray[np.floating[Any]]
"""(height, width): a value for each pixel, float32."""
Frame: TypeAlias = NDArray[np.uint8]

EYES = (-0.32, 0.32)
EYE_LINE = -0.12
MOUTH_LINE = 0.5
MOUTH_WIDTH = 0.27
"""Half the width of a closed mouth; an open one is rounder."""
MOUTH_SHIFT = 0.1
"""How far the mouth is from the face's middle when the head is turned."""
MOUTH_BOX = (-0.5, 0.3, 0.5, 1.05)
DARK = (38.0, 14.0, 16.0)
TEETH = (232.0, 226.0, 214.0)
TONGUE = (150.0, 62.0, 64.0)
FURNITURE: tuple[tuple[float, float, float, float, Colour], ...] = (
    (0.50, 0.02, 0.86, 0.50, (236, 232, 214)),
    (0.66, 0.00, 0.70, 0.50, (120, 100, 84)),
    (-0.10, 0.30, 0.34, 0.36, (96, 72, 56)),
    (0.04, 0.10, 0.10, 0.33, (150, 64, 58)),
    (0.10, 0.13, 0.16, 0.33, (62, 92, 118)),
    (1.12, 0.20, 1.30, 0.80, (88, 108, 80)),
)
"""Left, top, right and bottom in heights of the picture, and the colour."""


@dataclass(frozen=True)
class Look:
    """What a person looks like. `width` is that of the face, as a share of its height."""

    skin: Colour
    hair: Colour
    shirt: Colour
    lips: Colour
    width: float = 0.74
    long_hair: bool = False
    beard: bool = False


LOOKS = {
    "auburn": Look(
        (232, 190, 165), (112, 52, 30), (60, 112, 104), (186, 84, 86), width=0.71, long_hair=True
    ),
    "black": Look(
        (206, 158, 124), (30, 24, 26), (150, 60, 66), (160, 74, 76), width=0.72, long_hair=True
    ),
    "fair": Look(
        (240, 204, 182), (168, 124, 60), (84, 92, 148), (200, 104, 104), width=0.73, long_hair=True
    ),
    "brown": Look((224, 178, 148), (84, 56, 36), (52, 74, 110), (172, 98, 90), width=0.76),
    "grey": Look((222, 180, 156), (150, 148, 146), (70, 70, 76), (166, 104, 98), width=0.75),
    "dark": Look((150, 104, 76), (26, 22, 22), (196, 170, 96), (120, 62, 58), width=0.77),
    "bearded": Look(
        (218, 172, 142), (60, 40, 28), (96, 120, 84), (160, 88, 80), width=0.77, beard=True
    ),
}


@dataclass(frozen=True)
class Pose:
    """A head in one frame: centre of the face `x`, `y` and half its height `size` in pixels.

    `tilt` in radians; `turn` in [-1, 1], to the right of the picture where positive; `blink` in
    [0, 1], 1 with the eyes closed; `away`: the head is seen from behind.
    """

    x: float
    y: float
    size: float
    tilt: float = 0.0
    turn: float = 0.0
    blink: float = 0.0
    away: bool = False

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """Where a point of the head is in the picture: right, down."""
        sin, cos = math.sin(self.tilt), math.cos(self.tilt)
        return self.x + self.size * (u * cos - v * sin), self.y + self.size * (u * sin + v * cos)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the face from hairline to chin, in pixels."""
        half = 0.75 * self.size
        return (self.x - half, self.y - 0.55 * self.size, self.x + half, self.y + self.size)

    @property
    def mouth(self) -> tuple[float, float]:
        """The middle of the closed mouth, in pixels: right, down."""
        return self.pixel(MOUTH_SHIFT * self.turn, MOUTH_LINE)


class Patch:
    """The part of a picture (3, height, width) float32 around a box in head coordinates.

    `box` is left, top, right, bottom; what lies outside the picture is left out.
    """

    def __init__(self, picture: FloatArray, pose: Pose, box: Box) -> None:
        self.pose, self.at = pose, _pixels(pose, box, picture.shape[1:])
        self.planes = picture[:, *self.at]
        down, right = self.at
        x = (np.arange(right.start, right.stop) - pose.x) / pose.size
        y = (np.arange(down.start, down.stop) - pose.y)[:, None] / pose.size
        sin, cos = math.sin(pose.tilt), math.cos(pose.tilt)
        self.u = (x * cos + y * sin).astype(np.float32)
        self.v = (y * cos - x * sin).astype(np.float32)

    def edge(self, depth: Grid, soft: float = 0.0) -> Grid:
        """How much of a pixel a shape covers, from how far inside the pixel is, in units.

        The edge is about a pixel and `soft` units wide.
        """
        inside = depth * np.float32(1 / (1.2 / self.pose.size + soft))
        inside += np.float32(0.5)
        covered: Grid = np.clip(inside, 0, 1, out=inside)
        return covered

    def ellipse(self, u: float, v: float, width: float, height: float, soft: float = 0.0) -> Grid:
        """How much of each pixel an ellipse covers."""
        near = np.sqrt(self._square(u, v, width, height))
        return self.edge((1 - near) * np.float32(min(width, height)), soft)

    def glow(self, u: float, v: float, width: float, height: float) -> Grid:
        """A soft spot, 1 in its middle."""
        spot: Grid = np.exp(-self._square(u, v, width, height))
        return spot

    def _square(self, u: float, v: float, width: float, height: float) -> Grid:
        across = (self.u - np.float32(u)) * np.float32(1 / width)
        down = (self.v - np.float32(v)) * np.float32(1 / height)
        square: Grid = across * across + down * down
        return square

    def paint(self, cover: Grid, colour: Colour, light: Grid | float = 1.0) -> None:
        """Lay a colour over the picture, brighter or darker by `light`."""
        for number, value in enumerate(colour):
            plane = self.planes[number]
            self.planes[number] += cover * (light * np.float32(value) - plane)

    def shade(self, cover: Grid, strength: float) -> None:
        """Darken by a share, or lighten where `strength` is negative."""
        self.planes *= 1 - np.float32(strength) * cover


def _pixels(pose: Pose, box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, right, bottom = box
    corners = [pose.pixel(u, v) for u in (left, right) for v in (top, bottom)]
    across, down = zip(*corners, strict=True)
    rows = slice(max(0, math.floor(min(down))), max(0, min(shape[0], math.ceil(max(down)) + 1)))
    columns = slice(
        max(0, math.floor(min(across))), max(0, min(shape[1], math.ceil(max(across)) + 1))
    )
    return rows, columns


def draw_person(picture: FloatArray, look: Look, pose: Pose) -> None:
    """Draw head and shoulders without a mouth into (3, height, width) float32 in [0, 255]."""
    head = Patch(picture, pose, (-1.3, -1.4, 1.3, 1.5))
    if look.long_hair:
        _draw_long_hair(head, look)
    _draw_body(picture, look, replace(pose, tilt=0.3 * pose.tilt))
    if pose.away:
        _draw_back_of_head(head, look)
        return
    _draw_skin(head, look)
    for side in EYES:
        eye = Patch(picture, pose, (side - 0.36, -0.62, side + 0.36, 0.2))
        _draw_eye(eye, look, side + 0.08 * pose.turn)
    _draw_nose(Patch(picture, pose, (-0.4, -0.4, 0.4, 0.5)), look, 0.13 * pose.turn)
    _draw_hair(head, look)


def draw_mouth(frame: Frame, look: Look, pose: Pose, opening: float) -> None:
    """Draw the mouth into a frame (height, width, 3) of bytes that has the person without.

    `opening` in [0, 1]: 0 is closed.
    """
    if pose.away:
        return
    at = _pixels(pose, MOUTH_BOX, frame.shape[:2])
    origin = replace(pose, x=pose.x - at[1].start, y=pose.y - at[0].start)
    around = np.ascontiguousarray(frame[at].transpose(2, 0, 1), dtype=np.float32)
    _paint_mouth(Patch(around, origin, MOUTH_BOX), look, MOUTH_SHIFT * pose.turn, opening)
    frame[at] = finished(around)


def _draw_body(picture: FloatArray, look: Look, pose: Pose) -> None:
    body = Patch(picture, pose, (-1.8, 0.5, 1.8, 3.0))
    light = 1.0 - 0.22 * np.clip(body.u / 1.6, -1, 1) - 0.1 * np.clip(body.v - 1.5, 0, 2)
    body.paint(body.ellipse(0, 2.75, 1.62, 1.5, soft=0.02), look.shirt, light)
    neck = Patch(picture, pose, (-0.6, 0.5, 0.6, 1.6))
    cover = neck.edge(0.36 + 0.1 * np.clip(neck.v - 1.15, 0, 1) ** 2 - np.abs(neck.u), 0.02)
    cover *= neck.edge(1.5 - 0.5 * np.abs(neck.u) ** 2 - neck.v, 0.02)
    neck.paint(cover, look.skin, 0.78)
    neck.shade(cover * neck.glow(0.05, 0.9, 0.5, 0.35), 0.35)


def _draw_long_hair(head: Patch, look: Look) -> None:
    cover = head.ellipse(0, 0.1, look.width + 0.24, 1.35, soft=0.03)
    head.paint(cover, look.hair, 0.8 * _strands(head))


def _draw_back_of_head(head: Patch, look: Look) -> None:
    _draw_ears(head, look)
    cover = head.ellipse(0, -0.1, look.width + 0.12, 1.1, soft=0.02)
    if look.long_hair:
        below = head.edge(look.width + 0.12 - np.abs(head.u), 0.02) * head.edge(head.v)
        cover = np.maximum(cover, below * head.edge(1.3 - head.v, 0.1))
    head.paint(cover, look.hair, 0.9 * _strands(head))


def _draw_ears(head: Patch, look: Look) -> None:
    for side in (-1, 1):
        head.paint(head.ellipse(side * (look.width + 0.01), 0.02, 0.09, 0.2), look.skin, 0.82)


def _draw_skin(head: Patch, look: Look) -> None:
    _draw_ears(head, look)
    jaw = head.u * (1 + 0.2 * np.clip(head.v, 0, None) ** 2)
    near = (jaw / look.width) ** 2 + head.v**2
    cover = head.edge((1 - np.sqrt(near)) * look.width)
    light = 0.66 + 0.36 * np.sqrt(np.clip(1 - near, 0, 1))
    light -= 0.12 * head.u / look.width + 0.06 * head.v
    light += 0.07 * head.glow(0, -0.52, 0.4, 0.2)
    for side in (-1, 1):
        light += 0.08 * head.glow(0.42 * side, 0.16, 0.2, 0.12)
    head.paint(cover, look.skin, light)
    for side in (-1, 1):
        head.paint(0.22 * cover * head.glow(0.42 * side, 0.24, 0.2, 0.16), look.lips)
    if look.beard:
        beard = np.clip((head.v - 0.2 - 0.25 * np.cos(3 * head.u)) / 0.22, 0, 1) * cover
        head.paint(0.6 * beard, look.hair)


def _draw_eye(eye: Patch, look: Look, u: float) -> None:
    outer = 1 if u > 0 else -1
    eye.shade(eye.glow(u, EYE_LINE - 0.05, 0.21, 0.13), 0.36)
    eye.shade(eye.glow(u - 0.15 * outer, EYE_LINE - 0.04, 0.09, 0.12), 0.22)
    height = 0.078 * (1 - eye.pose.blink) + 0.004
    white = eye.ellipse(u, EYE_LINE, 0.14, height)
    eye.paint(white, (226, 222, 216))
    eye.paint(white * eye.ellipse(u, EYE_LINE - 0.005, 0.072, 0.075), (66, 50, 40))
    eye.paint(white * eye.ellipse(u, EYE_LINE - 0.005, 0.034, 0.036), (12, 10, 12))
    eye.paint(white * eye.ellipse(u - 0.02, EYE_LINE - 0.03, 0.015, 0.015), (250, 250, 250))
    lid = EYE_LINE - height * np.sqrt(np.clip(1 - ((eye.u - u) / 0.15) ** 2, 0, 1))
    line = eye.edge(0.02 - np.abs(eye.v - lid)) * eye.edge(0.155 - np.abs(eye.u - u))
    eye.paint(0.85 * line, (40, 26, 24))
    across = (eye.u - u) * outer
    arch = EYE_LINE - 0.235 + 0.9 * np.clip(across - 0.06, -0.3, 0.3) ** 2 + 0.1 * across
    brow = eye.edge(0.036 - 0.05 * np.clip(across, -0.05, 0.3) - np.abs(eye.v - arch), 0.015)
    brow *= eye.edge(0.2 - np.abs(across), 0.03)
    eye.paint(0.9 * brow, look.hair, 0.6)


def _draw_nose(nose: Patch, look: Look, u: float) -> None:
    nose.shade(nose.glow(0.6 * u, 0.0, 0.05, 0.26), -0.1)
    nose.shade(nose.glow(u + 0.12, 0.14, 0.05, 0.2), 0.2)
    nose.shade(nose.glow(u, 0.2, 0.07, 0.06), -0.09)
    nose.shade(nose.glow(u, 0.315, 0.15, 0.045), 0.34)
    for side in (-1, 1):
        nostril = nose.ellipse(u + 0.072 * side, 0.285, 0.032, 0.018, 0.02)
        nose.paint(0.7 * nostril, look.skin, 0.35)


def _paint_mouth(mouth: Patch, look: Look, u: float, opening: float) -> None:
    half = 0.012 + 0.13 * opening
    middle = MOUTH_LINE + 0.55 * half
    width = MOUTH_WIDTH - 0.06 * opening
    mouth.shade(mouth.glow(u, MOUTH_LINE + 2 * half + 0.13, 0.16, 0.05), 0.2)
    upper = mouth.ellipse(u, middle - 0.01, width + 0.03, half + 0.05, 0.015)
    lower = mouth.ellipse(u, middle + 0.02, width, half + 0.065, 0.015)
    mouth.paint(np.maximum(upper, lower), look.lips)
    mouth.shade(mouth.glow(u, middle + half + 0.045, 0.12, 0.025), -0.16)
    inside = mouth.ellipse(u, middle, width - 0.015, half)
    mouth.paint(inside, DARK)
    bite = mouth.edge(middle - half + 0.035 - mouth.v, 0.02)
    mouth.paint(inside * bite * (0.7 * opening), TEETH)
    tongue = mouth.ellipse(u, middle + half, 0.6 * width, 0.5 * half, 0.03)
    mouth.paint(0.6 * inside * tongue, TONGUE)


def _draw_hair(head: Patch, look: Look) -> None:
    cap = head.ellipse(0, -0.1, look.width + 0.1, 1.08, soft=0.02)
    line = -0.62 + 1.3 * np.abs(head.u) ** 2.2 if look.long_hair else -0.6 + 0.55 * head.u**2
    front = head.edge(line + 0.03 * np.sin(9 * head.u + 1) - head.v, 0.06)
    sides = head.edge(np.abs(head.u) - look.width + 0.02, 0.03) * head.edge(-0.05 - head.v, 0.1)
    head.paint(cap * np.maximum(front, sides), look.hair, _strands(head))


def _strands(head: Patch) -> Grid:
    """How bright hair is at each pixel."""
    waves = 0.09 * np.sin(23 * head.u + 4 * head.v) + 0.07 * np.sin(41 * head.u - 7 * head.v)
    bright: Grid = 1 + waves + 0.28 * head.glow(-0.25, -0.85, 0.45, 0.16)
    return bright


def draw_room(
    width: int, height: int, wall: Colour, zoom: float = 1.0, *, mirrored: bool = False
) -> FloatArray:
    """A room out of focus, (3, height, width) float32: a shelf with books, a window, a curtain.

    `zoom` enlarges its middle; `mirrored` exchanges left and right.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(height)
    middle = width / height / 2
    x = middle + (x - middle) / (-zoom if mirrored else zoom)
    y = 0.4 + (y - 0.4) / zoom
    light = 1.05 - 0.3 * y - 0.12 * x
    room: FloatArray = light * np.asarray(wall, np.float32)[:, None, None]
    for left, top, right, bottom, colour in FURNITURE:
        across = np.clip(np.minimum(x - left, right - x) / 0.04, 0, 1)
        down = np.clip(np.minimum(y - top, bottom - y) / 0.04, 0, 1)
        room += 0.6 * across * down * (np.asarray(colour, np.float32)[:, None, None] - room)
    return room


def finished(picture: FloatArray) -> Frame:
    """A picture (3, height, width) as a frame (height, width, 3) of bytes."""
    whole: Frame = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return whole.transpose(1, 2, 0)

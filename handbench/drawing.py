"""Drawing hands: skeletons on pictures, and sheets of pictures.

Coordinates are pixels of the picture drawn on: x right, y down, pixel centres at integers. What a
model said is drawn in the colours of the fingers, the truth as a thin white line with a dark edge,
so that the two stay apart on any picture, in print and for colour-blind eyes. Everything is drawn
several times too large and shrunk, which is how PIL draws smooth lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from handbench.errors import HandbenchError
from handbench.hand import FINGER_COLORS, NUM_JOINTS, PARENTS, finger_of

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

_SUPERSAMPLE = 4
_MOST_PAINTED = 100_000_000
"""Pixels of a layer, four bytes each. On a large photo lines are thick, and need less smoothing."""
_GREY = (128, 132, 138)
_PAPER = (255, 255, 255)
_INK = (33, 37, 41)
_QUIET_INK = (101, 109, 118)


def draw_hand(
    picture: Picture,
    keypoints: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_] | None = None,
    *,
    occluded: npt.NDArray[np.bool_] | None = None,
    line_px: float | None = None,
    supersample: int = _SUPERSAMPLE,
) -> Picture:
    """Return a copy of `picture` with one hand in the colours of its fingers.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    keypoints
        (21, 2) px of `picture`; NaN and infinite joints are left out, with their bones.
    valid
        (21,) which joints to draw; all finite ones by default.
    occluded
        (21,) joints to draw hollow.
    line_px
        Width of a bone; by default a small fraction of the hand's own size.
    supersample
        How many times too large it is drawn. 2 takes a quarter of the time, for moving pictures.

    Raises
    ------
    HandbenchError
        If the picture or the keypoints have another shape or type.
    """
    points, drawn = _checked(picture, keypoints, valid)
    width = line_px if line_px is not None else _line_px(points[drawn], picture)
    edge = max(0.8, 0.35 * width)
    colors = [ImageColor.getrgb(FINGER_COLORS[finger_of(j)]) for j in range(NUM_JOINTS)]
    hollow = np.zeros(NUM_JOINTS, bool) if occluded is None else np.asarray(occluded, bool)

    def paint(canvas: _Canvas) -> None:
        for child, parent in _bones(drawn):
            canvas.line(points[parent], points[child], width + 2 * edge, (0, 0, 0, 110))
        for child, parent in _bones(drawn):
            canvas.line(points[parent], points[child], width, (*colors[child], 255))
        for joint in np.flatnonzero(drawn):
            canvas.dot(points[joint], 1.25 * width + edge, (0, 0, 0, 150))
            fill = (255, 255, 255) if hollow[joint] else colors[joint]
            canvas.dot(points[joint], 1.25 * width, (*colors[joint], 255))
            canvas.dot(points[joint], 0.65 * width, (*fill, 255))

    return _painted(picture, points[drawn], 4 * width, paint, supersample)


def draw_truth(
    picture: Picture,
    keypoints: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_] | None = None,
    *,
    line_px: float | None = None,
) -> Picture:
    """Return a copy of `picture` with one hand as a thin white line with a dark edge.

    Parameters are those of :func:`draw_hand`; `line_px` is the width of the white line.
    """
    points, drawn = _checked(picture, keypoints, valid)
    width = line_px if line_px is not None else 0.55 * _line_px(points[drawn], picture)
    edge = max(0.7, 0.6 * width)

    def paint(canvas: _Canvas) -> None:
        for child, parent in _bones(drawn):
            canvas.line(points[parent], points[child], width + 2 * edge, (20, 22, 26, 190))
        for joint in np.flatnonzero(drawn):
            canvas.dot(points[joint], 1.7 * width + edge, (20, 22, 26, 190))
        for child, parent in _bones(drawn):
            canvas.line(points[parent], points[child], width, (255, 255, 255, 255))
        for joint in np.flatnonzero(drawn):
            canvas.dot(points[joint], 1.7 * width, (255, 255, 255, 255))

    return _painted(picture, points[drawn], 4 * width, paint)


def draw_outline(
    picture: Picture, corners: npt.NDArray[np.floating], *, line_px: float = 2.0
) -> Picture:
    """Return a copy of `picture` with a closed white line with a dark edge, such as a box.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    corners
        (N, 2) px of `picture`, in order; what lies outside is cut off.
    line_px
        Width of the white line.
    """
    reach = 4.0 * max(picture.shape[:2])
    points = np.clip(np.asarray(corners, np.float64), -reach, reach)

    def paint(canvas: _Canvas) -> None:
        for width, color in ((line_px + 3, (20, 22, 26, 190)), (line_px, (255, 255, 255, 255))):
            for start, end in zip(points, np.roll(points, -1, axis=0)):
                canvas.line(start, end, width, color)

    return _painted(picture, points, 2 * line_px + 3, paint)


def draw_comparison(
    picture: Picture,
    prediction: npt.NDArray[np.floating] | None,
    truth: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_] | None = None,
) -> Picture:
    """Return a copy of `picture` with the truth in white and the prediction in colour over it.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    prediction, truth
        (21, 2) px of `picture`; None or NaN where there is no prediction.
    valid
        (21,) which joints of the truth are labelled. All predicted joints are drawn.
    """
    points, drawn = _checked(picture, truth, valid)
    width = _line_px(points[drawn], picture)
    compared = draw_truth(picture, truth, valid, line_px=0.5 * width)
    if prediction is None:
        return compared
    return draw_hand(compared, prediction, line_px=0.8 * width)


def blank(height: int, width: int) -> Picture:
    """Return a plain grey picture to draw on where the photo must not be shown."""
    return np.full((height, width, 3), _GREY, np.uint8)


def zoom(
    picture: Picture, points: npt.NDArray[np.floating], size: int, *, padding: float = 1.5
) -> tuple[Picture, npt.NDArray[np.float64]]:
    """Cut a square around some points out of a picture and scale it.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB.
    points
        (..., 2) px; those that are not finite are ignored. Without any, the whole picture is kept.
    size
        Side of the result in px.
    padding
        Side of the square over the larger side of the box around the points. The square is never
        larger than the longer side of the picture, and stays inside the picture where it can.

    Returns
    -------
    The (size, size, 3) picture, grey outside the original, and the (3, 3) map from the pixels of
    `picture` to its pixels.
    """
    height, width = picture.shape[:2]
    flat = np.asarray(points, np.float64).reshape(-1, 2)
    flat = flat[np.isfinite(flat).all(axis=1)]
    if len(flat) == 0:
        flat = np.array([[0.0, 0.0], [width - 1.0, height - 1.0]])
    low, high = flat.min(axis=0), flat.max(axis=0)
    side = max(1, math.ceil(min(max(8.0, padding * float((high - low).max())), max(width, height))))
    corner = np.round((low + high) / 2 - (side - 1) / 2).astype(int)
    for axis, extent in enumerate((width, height)):
        room = extent - side
        # Centred where the picture is smaller than the square; else slid back inside.
        corner[axis] = room // 2 if room < 0 else min(max(corner[axis], 0), room)
    x, y = int(corner[0]), int(corner[1])
    square = blank(side, side)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + side, width), min(y + side, height)
    square[top - y : bottom - y, left - x : right - x] = picture[top:bottom, left:right]
    scaled = Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS)
    s = size / side
    shift = 0.5 * s - 0.5  # a resize by s maps x to s(x + ½) - ½
    matrix = np.array([[s, 0.0, shift - s * x], [0.0, s, shift - s * y], [0.0, 0.0, 1.0]])
    return np.asarray(scaled), matrix


def contact_sheet(
    pictures: Sequence[Picture],
    titles: Sequence[str],
    columns: int = 6,
    *,
    cell_px: int | None = None,
    heading: str = "",
) -> Image.Image:
    """Lay out pictures in rows with a title under each.

    Parameters
    ----------
    pictures
        (H, W, 3) uint8 RGB each, of any sizes; each is scaled to fit its square cell.
    titles
        One a picture; lines are separated by a newline and shortened to fit.
    columns
        Pictures in a row.
    cell_px
        Side of a cell; by default the longest side of any picture, within 160 to 320.
    heading
        A line above all.

    Raises
    ------
    HandbenchError
        If there are no pictures, or not one title a picture.
    """
    if not pictures:
        raise HandbenchError("a contact sheet needs at least one picture, found none")
    if len(titles) != len(pictures):
        raise HandbenchError(
            f"a contact sheet needs one title a picture: {len(pictures)} pictures, "
            f"{len(titles)} titles"
        )
    if columns < 1:
        raise HandbenchError(f"a contact sheet needs at least one column, not {columns}")
    columns = min(columns, len(pictures))
    cell = cell_px or int(np.clip(max(max(p.shape[:2]) for p in pictures), 160, 320))
    gap, text_px = max(8, cell // 16), max(11, cell // 17)
    font, bold = ImageFont.load_default(text_px), ImageFont.load_default(round(1.5 * text_px))
    leading = round(1.35 * text_px)
    lines = max(title.count("\n") + 1 for title in titles)
    top = gap + (round(2.4 * text_px) if heading else 0)
    pitch = cell + lines * leading + round(1.6 * gap)
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new(
        "RGB", (gap + columns * (cell + gap), top + rows * pitch + gap // 2), color=_PAPER
    )
    pen = ImageDraw.Draw(sheet)
    if heading:
        room = sheet.width - 2 * gap
        pen.text((gap, gap), _shortened(heading, bold, room), fill=_INK, font=bold)
    for i, (picture, title) in enumerate(zip(pictures, titles)):
        x = gap + (i % columns) * (cell + gap)
        y = top + (i // columns) * pitch
        height, width = picture.shape[:2]
        scale = cell / max(height, width)
        fitted = Image.fromarray(picture).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS
        )
        sheet.paste(fitted, (x + (cell - fitted.width) // 2, y + (cell - fitted.height) // 2))
        for k, line in enumerate(title.split("\n")):
            pen.text(
                (x, y + cell + gap // 3 + k * leading),
                _shortened(line, font, cell),
                fill=_INK if k == 0 else _QUIET_INK,
                font=font,
            )
    return sheet


class _Canvas:
    """A transparent layer, several times too large, over a part of a picture."""

    def __init__(self, left: int, top: int, width: int, height: int, supersample: int) -> None:
        self._supersample = supersample
        size = (width * supersample, height * supersample)
        self.layer = Image.new("RGBA", size, (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self.layer)
        self._origin = np.array([left, top], np.float64)

    def _at(self, point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # Pixel centres sit at integers in both grids, hence the half pixels.
        at: npt.NDArray[np.float64] = (point - self._origin + 0.5) * self._supersample - 0.5
        return at

    def line(
        self,
        start: npt.NDArray[np.float64],
        end: npt.NDArray[np.float64],
        width: float,
        color: tuple[int, int, int, int],
    ) -> None:
        """Draw a line with round ends, `width` in px of the picture."""
        # PIL would cut the fractions off, which moves everything up and to the left.
        ends = np.rint([self._at(start), self._at(end)]).astype(int)
        self._pen.line(
            [tuple(point) for point in ends.tolist()],
            fill=color,
            width=max(1, round(width * self._supersample)),
        )
        self.dot(start, width / 2, color)
        self.dot(end, width / 2, color)

    def dot(
        self, centre: npt.NDArray[np.float64], radius: float, color: tuple[int, int, int, int]
    ) -> None:
        """Draw a disc, `radius` in px of the picture."""
        at, reach = self._at(centre), radius * self._supersample
        low = np.rint(at - reach).astype(int)
        high = np.rint(2 * at).astype(int) - low  # as far from the centre as `low`
        self._pen.ellipse((*low.tolist(), *high.tolist()), fill=color)


def _painted(
    picture: Picture,
    points: npt.NDArray[np.float64],
    margin: float,
    paint: Callable[[_Canvas], None],
    supersample: int = _SUPERSAMPLE,
) -> Picture:
    """Blend what `paint` draws into a copy of `picture`; only the part near `points` is touched."""
    result = picture.copy()
    if len(points) == 0:
        return result
    height, width = picture.shape[:2]
    low = np.floor(points.min(axis=0) - margin).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), width), min(int(high[1]), height)
    if left >= right or top >= bottom:
        return result
    finest = math.isqrt(_MOST_PAINTED // ((right - left) * (bottom - top)))
    supersample = max(1, min(supersample, finest))
    canvas = _Canvas(left, top, right - left, bottom - top, supersample)
    paint(canvas)
    overlay = canvas.layer.reduce(supersample)
    part = Image.fromarray(result[top:bottom, left:right]).convert("RGBA")
    result[top:bottom, left:right] = np.asarray(Image.alpha_composite(part, overlay))[..., :3]
    return result


def _checked(
    picture: Picture,
    keypoints: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_] | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return (21, 2) points within reach of the picture and (21,) which of them to draw."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise HandbenchError(
            f"drawing needs a (height, width, 3) uint8 RGB picture, found {picture.shape} "
            f"{picture.dtype}"
        )
    points = np.array(keypoints, np.float64)
    if points.shape != (NUM_JOINTS, 2):
        raise HandbenchError(
            f"drawing needs keypoints of shape ({NUM_JOINTS}, 2), found {points.shape}"
        )
    drawn = np.asarray(np.isfinite(points).all(axis=1))
    if valid is not None:
        drawn &= np.asarray(valid, bool)
    # A wild prediction may lie a million pixels away: keep lines within what PIL can draw.
    reach = 4.0 * max(picture.shape[:2])
    return np.clip(points, -reach, reach, where=drawn[:, None], out=points), drawn


def _bones(drawn: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(child, parent) of the bones that have both ends."""
    return [(j, PARENTS[j]) for j in range(1, NUM_JOINTS) if drawn[j] and drawn[PARENTS[j]]]


def _line_px(points: npt.NDArray[np.float64], picture: Picture) -> float:
    """Width of a bone that suits the size of the hand and of the picture."""
    longest = max(picture.shape[:2])
    extent = float(np.ptp(points, axis=0).max()) if len(points) > 1 else longest / 2
    return float(np.clip(extent / 62, 1.2, max(1.2, longest / 80)))


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    """Return `text`, or its end after an ellipsis where it is wider than `room` px.

    The end is kept because ids differ there.
    """
    if font.getlength(text) <= room:
        return text
    while text and font.getlength("…" + text) > room:
        text = text[1:]
    return "…" + text

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from handbench import drawing
from handbench.errors import HandbenchError
from handbench.hand import FINGER_COLORS


def spread_hand(size: int = 224) -> np.ndarray:
    """21 points that lie well apart."""
    points = np.array(
        [[0.5, 0.9]] + [[0.15 + 0.17 * f, 0.7 - 0.17 * j] for f in range(5) for j in range(4)]
    )
    return points * size


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def grey(height: int = 224, width: int = 224) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_hand_has_the_colours_of_its_fingers() -> None:
    points = spread_hand()
    drawn = drawing.draw_hand(grey(), points)
    for joint, finger in ((0, "wrist"), (4, "thumb"), (8, "index"), (12, "middle"), (20, "pinky")):
        x, y = np.rint(points[joint]).astype(int)
        assert np.abs(drawn[y, x].astype(int) - rgb(FINGER_COLORS[finger])).max() < 12


def test_the_picture_given_stays_as_it_was() -> None:
    picture = grey()
    drawing.draw_hand(picture, spread_hand())
    drawing.draw_comparison(picture, spread_hand(), spread_hand() + 5)
    assert (picture == 90).all()


def test_pixel_centres_sit_at_integers() -> None:
    # A lone joint: the change it makes must be centred on it to a fraction of a pixel.
    points = np.full((21, 2), np.nan)
    points[4] = [40.0, 25.0]
    drawn = drawing.draw_hand(np.zeros((64, 96, 3), np.uint8), points)
    weight = drawn.astype(float).sum(axis=2)
    y, x = np.mgrid[:64, :96]
    assert (weight * x).sum() / weight.sum() == pytest.approx(40.0, abs=0.05)
    assert (weight * y).sum() / weight.sum() == pytest.approx(25.0, abs=0.05)


def test_lines_are_smooth() -> None:
    drawn = drawing.draw_truth(np.zeros((224, 224, 3), np.uint8), spread_hand())
    levels = np.unique(drawn[..., 0])
    assert len(levels) > 20, "an antialiased line has many greys"


def test_truth_is_white_and_prediction_coloured() -> None:
    truth = spread_hand()
    compared = drawing.draw_comparison(grey(), truth + np.array([12, 0]), truth)
    x, y = np.rint(truth[8]).astype(int)
    assert (compared[y, x] > 240).all()
    assert np.abs(compared[y, x + 12].astype(int) - rgb(FINGER_COLORS["index"])).max() < 12


def test_without_a_prediction_only_the_truth_is_drawn() -> None:
    truth = spread_hand()
    assert (
        drawing.draw_comparison(grey(), None, truth)
        == drawing.draw_comparison(grey(), np.full((21, 2), np.nan), truth)
    ).all()


def test_occluded_joints_are_hollow() -> None:
    points = spread_hand()
    occluded = np.zeros(21, bool)
    occluded[8] = True
    drawn = drawing.draw_hand(grey(), points, occluded=occluded)
    x, y = np.rint(points[8]).astype(int)
    assert (drawn[y, x] > 235).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_joints_that_are_not_finite_are_left_out(bad: float) -> None:
    points = spread_hand()
    points[8] = bad
    valid = np.ones(21, bool)
    valid[8] = False
    assert (
        drawing.draw_hand(grey(), points) == drawing.draw_hand(grey(), spread_hand(), valid)
    ).all()


def test_nothing_to_draw_changes_nothing() -> None:
    for points in (np.full((21, 2), np.nan), spread_hand() + 5000):
        assert (drawing.draw_hand(grey(), points) == 90).all()


@pytest.mark.parametrize("far", [1e6, -1e12, 3e38])
def test_wild_predictions_draw_in_bounded_time_and_keep_the_rest(far: float) -> None:
    points = spread_hand()
    points[8] = far
    drawn = drawing.draw_hand(grey(), points)
    assert drawn.shape == (224, 224, 3)
    x, y = np.rint(points[20]).astype(int)
    assert np.abs(drawn[y, x].astype(int) - rgb(FINGER_COLORS["pinky"])).max() < 12


def test_a_photo_of_a_camera_is_painted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []

    class Canvas(drawing._Canvas):
        def __init__(self, *place: int) -> None:
            super().__init__(*place)
            sizes.append(self.layer.size)

    monkeypatch.setattr(drawing, "_Canvas", Canvas)
    monkeypatch.setattr(drawing, "_MOST_PAINTED", 1_000_000)
    for size in (224, 800, 1200):
        drawn = drawing.draw_hand(grey(size, size), spread_hand(size))
        x, y = np.rint(spread_hand(size)[20]).astype(int)
        assert np.abs(drawn[y, x].astype(int) - rgb(FINGER_COLORS["pinky"])).max() < 12
    pixels = [width * height for width, height in sizes]
    assert max(pixels[:2]) <= 1_000_000
    assert pixels[2] <= 1200**2, "never smaller than the picture"


def test_large_pictures_get_thicker_lines() -> None:
    def painted_share(size: int) -> float:
        picture = np.full((size, size, 3), 90, np.uint8)
        return float((drawing.draw_hand(picture, spread_hand(size)) != 90).any(axis=2).mean())

    assert painted_share(1600) == pytest.approx(painted_share(400), rel=0.3)


@pytest.mark.parametrize(
    ("picture", "points", "message"),
    [
        (np.zeros((8, 8), np.uint8), np.zeros((21, 2)), r"\(height, width, 3\) uint8"),
        (np.zeros((8, 8, 3), np.float32), np.zeros((21, 2)), "uint8 RGB picture"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((20, 2)), r"shape \(21, 2\), found \(20, 2\)"),
    ],
)
def test_wrong_shapes_are_named(picture: np.ndarray, points: np.ndarray, message: str) -> None:
    with pytest.raises(HandbenchError, match=message):
        drawing.draw_hand(picture, points)


def test_zoom_maps_points_with_their_content() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[118:123, 258:263] = 255  # a spot whose centre is (260, 120)
    points = np.array([[240.0, 100.0], [280.0, 140.0]])
    square, matrix = drawing.zoom(picture, points, 128)
    x, y = matrix[:2, :2] @ [260.0, 120.0] + matrix[:2, 2]
    weight = square[..., 0].astype(float)
    rows, columns = np.mgrid[:128, :128]
    assert square.shape == (128, 128, 3)
    assert (weight * columns).sum() / weight.sum() == pytest.approx(x, abs=0.05)
    assert (weight * rows).sum() / weight.sum() == pytest.approx(y, abs=0.05)


@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (64, 64), (1, 1)])
@pytest.mark.parametrize("where", [0.0, 500.0, np.nan])
def test_zoom_keeps_its_size_whatever_the_picture(shape: tuple[int, int], where: float) -> None:
    square, matrix = drawing.zoom(drawing.blank(*shape), np.full((21, 2), where), 96)
    assert square.shape == (96, 96, 3)
    assert np.isfinite(matrix).all()


def test_contact_sheet_has_a_cell_a_picture() -> None:
    pictures = [np.full((50, 80, 3), value, np.uint8) for value in (10, 120, 250)]
    sheet = drawing.contact_sheet(pictures, ["a\n1 px", "b" * 200, "c"], 2, cell_px=100)
    assert isinstance(sheet, Image.Image)
    found = np.asarray(sheet)
    for value in (10, 120, 250):
        assert (found == value).all(axis=2).sum() > 0.9 * 100 * 62


def test_contact_sheet_titles_fit_their_cell() -> None:
    sheet = np.asarray(drawing.contact_sheet([grey(20, 20)] * 2, ["x/" * 300, ""], 2, cell_px=120))
    gap = 8
    second_cell = sheet[:, gap + 120 + gap :]
    below = second_cell[gap + 120 + 1 :]
    assert (below == 255).all(), "a long title must not run into the next cell"


@pytest.mark.parametrize(
    ("pictures", "titles", "columns", "message"),
    [
        ([], [], 3, "at least one picture"),
        ([grey()], [], 3, "1 pictures, 0 titles"),
        ([grey()], ["a"], 0, "at least one column"),
    ],
)
def test_contact_sheet_refuses(
    pictures: list[np.ndarray], titles: list[str], columns: int, message: str
) -> None:
    with pytest.raises(HandbenchError, match=message):
        drawing.contact_sheet(pictures, titles, columns)


def test_an_outline_is_closed_and_light_on_dark_and_light() -> None:
    corners = np.array([[20, 30], [120, 30], [120, 90], [20, 90]])
    for ground in (20, 240):
        picture = np.full((128, 160, 3), ground, np.uint8)
        drawn = drawing.draw_outline(picture, corners, line_px=2.0)
        for x, y in [*corners, (70, 30), (120, 60), (70, 90), (20, 60)]:
            assert (drawn[y, x] > 240).all()
            dark = drawn[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].min()
            assert dark < 140
        assert (drawn[60, 70] == ground).all()
        assert (picture == ground).all()


def test_an_outline_far_outside_is_cut_off() -> None:
    corners = np.array([[-1e7, 40], [60, 40], [60, 1e7], [-1e7, 1e7]])
    drawn = drawing.draw_outline(grey(), corners)
    assert (drawn[40, 30] > 240).all()
    assert (drawn[100, 60] > 240).all()
    assert (drawn[10] == 90).all()


def test_a_quick_drawing_is_nearly_the_same() -> None:
    points = np.stack([np.linspace(30, 130, 21), 60 + 30 * np.sin(np.arange(21))], axis=1)
    fine = drawing.draw_hand(grey(), points).astype(int)
    quick = drawing.draw_hand(grey(), points, supersample=2).astype(int)
    assert abs(fine - quick).mean() < 3
    for x, y in points.round().astype(int):
        assert abs(fine[y, x] - quick[y, x]).max() < 40

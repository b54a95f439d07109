"""Make the pictures of the docs, from synthetic hands alone.

handbench quickstart --out quickstart
python tests/tools/make_pictures.py quickstart   # needs Chromium for the screenshots
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from handbench.drawing import draw_hand
from handbench.hdf5.convert import convert
from handbench.hdf5.reader import HandFile
from handbench.leaderboard.collect import collect
from handbench.leaderboard.site import write_site
from handbench.sources import freihand, manifest
from handbench.synthetic.dataset import write_sample_dataset

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
COLUMNS, ROWS, TILE_PX, GAP_PX = 8, 3, 160, 6
CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def hands_picture(folder: Path) -> Image.Image:
    """Training hands before different backgrounds; every other one with its keypoints."""
    write_sample_dataset(folder / "hands", count=COLUMNS * ROWS, seed=4, progress=False)
    convert(freihand.open_source(folder / "hands", manifest.load("sample")), folder / "hands.h5")
    step = TILE_PX + GAP_PX
    sheet = Image.new("RGB", (COLUMNS * step - GAP_PX, ROWS * step - GAP_PX), "white")
    with HandFile(folder / "hands.h5") as file:
        by_id = {s.sample_id: s for name in ("train", "val") for s in file[name]}
        for place in range(COLUMNS * ROWS):
            # Version 0 has a green screen; take the others in turn.
            version = 1 + place % 3
            sample = by_id[f"training/{place + version * COLUMNS * ROWS:08d}"]
            image = sample.image
            if (place + place // COLUMNS) % 2:
                image = draw_hand(image, sample.keypoints_2d)
            tile = Image.fromarray(image).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
            sheet.paste(tile, (place % COLUMNS * step, place // COLUMNS * step))
    return sheet


def screenshot(page: Path, target: Path, width: int, top: int, bottom: int) -> None:
    """Rows `top` to `bottom` of the page as it looks in a window of that width."""
    with tempfile.TemporaryDirectory() as profile:
        screen = Path(profile) / "screen.png"
        subprocess.run(
            [
                *CHROMIUM,
                f"--user-data-dir={profile}",
                f"--screenshot={screen}",
                f"--window-size={width},{bottom}",
                page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        rows = Image.open(screen).convert("RGB").crop((0, top, width, bottom))
    rows.save(target, quality=85)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        hands_picture(Path(folder)).save(PICTURES / "hands.jpg", quality=88)
    if len(sys.argv) > 1:
        report = Path(sys.argv[1]) / "results" / "report.html"
        # Curves and joints; then groups, kinds of error and pictures.
        screenshot(report, PICTURES / "report.jpg", 1100, 2050, 3440)
        screenshot(report, PICTURES / "report-errors.jpg", 1100, 4790, 7090)
        with HandFile(Path(sys.argv[1]) / "sample.h5") as file:
            board = collect([report.parent])
            with tempfile.TemporaryDirectory() as folder:
                site = write_site(board, Path(folder) / "site", data=[file]).parent
                (page,) = site.glob("groups/sample-test-handbench*.html")
                screenshot(page, PICTURES / "leaderboard.jpg", 1280, 0, 1240)
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture.name}: {picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

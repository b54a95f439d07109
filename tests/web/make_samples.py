"""Make the sample pictures of the web demo, from synthetic hands alone.

python tests/web/make_samples.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from handbench.synthetic.dataset import write_sample_dataset

SAMPLES = Path(__file__).resolve().parents[2] / "handbench" / "web" / "samples"
COUNT, SEED, SIZE_PX, QUALITY = 24, 11, 320, 88
CHOSEN = {
    "1-thumb-up": (5, 1),
    "2-flat-hand": (15, 1),
    "3-three-fingers": (20, 3),
    "4-holding-a-ball": (3, 1),
    "5-fist": (23, 2),
}
"""Name → annotation and version (background)."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        hands = Path(folder) / "hands"
        write_sample_dataset(hands, count=COUNT, seed=SEED, size=SIZE_PX, progress=False)
        SAMPLES.mkdir(exist_ok=True)
        for name, (annotation, version) in CHOSEN.items():
            number = annotation + COUNT * version
            with Image.open(hands / "training" / "rgb" / f"{number:08d}.jpg") as picture:
                picture.save(SAMPLES / f"{name}.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()

"""Turn MediaPipe's hands, as stored beside the real sample data, into a predictions file.

    python tests/tools/mediapipe_to_predictions.py IN.json OUT.json --dataset realhands --name lite

IN.json is ``{image name: null or {"kp": 21 × [x, y] px of that image, "hand", "score", "world":
21 × [x, y, z] m}}``. A sample id is ``--prefix`` and the stem of the image name.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from handbench.predictions.record import Predictions
from handbench.predictions.write import write_predictions

# MediaPipe names the side as in a selfie, which is mirrored: its "Left" is a real right hand.
_IS_RIGHT = {"Left": 1, "Right": 0}


def to_predictions(
    hands: dict[str, Any], dataset: str, split: str, name: str, prefix: str = ""
) -> Predictions:
    """Predictions with world landmarks as root-relative 3D."""
    found = list(hands.values())
    return Predictions(
        dataset=dataset,
        split=split,
        model={"name": name, "url": "https://github.com/google-ai-edge/mediapipe"},
        id=np.array([prefix + PurePosixPath(image).stem for image in hands], dtype=np.str_),
        keypoints=np.array([np.full((21, 2), np.nan) if h is None else h["kp"] for h in found]),
        score=np.array([np.nan if h is None else h["score"] for h in found]),
        keypoints_3d=np.array(
            [np.full((21, 3), np.nan) if h is None else h["world"] for h in found]
        ),
        is_right=np.array(
            [-1 if h is None else _IS_RIGHT[h["hand"]] for h in found], dtype=np.int8
        ),
        input={"box": "image", "tta": "none"},
        gt_used=(),
        # World landmarks have their origin at the hand's geometric centre.
        frame_3d="root:centre",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="MediaPipe hands to handbench predictions")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--name", default="mediapipe")
    parser.add_argument("--prefix", default="", help="put before the image's stem")
    options = parser.parse_args()
    hands = json.loads(options.source.read_text("utf-8"))
    predictions = to_predictions(
        hands, options.dataset, options.split, options.name, options.prefix
    )
    write_predictions(predictions, options.target)


if __name__ == "__main__":
    main()

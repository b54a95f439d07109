"""Recipes: named sets of training settings, as data.

The defaults of :class:`~handbench.models.settings.TrainSettings` are the recipe ``handbench``, from
which ``few-photos`` departs; those of others say every setting that decides the result, so that
they stay what they are when a default changes. Options that are given on the command line change
single settings of a recipe; a run keeps its name and every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    "handbench": {},
    # For photos in the hundreds, without weights from elsewhere: a small network, and as many new
    # poses, views and gestures out of them as augmentation can make. Every photo counts, so none is
    # held out.
    "few-photos": {
        "depth": 18,
        "pretrained": "none",
        "size": 128,
        "early_size": 96,
        "early_share": 0.4,
        "codec": "likely",
        "epochs": 290,
        "batch_size": 20,
        "adam_epsilon": 1e-8,
        "clip_norm": 5.0,
        "flip": 0.0,
        "rotation": 25.0,
        "scale": 0.25,
        "shift": 0.06,
        "colour": 0.3,
        "erase": 0.3,
        "stretch": 0.2,
        "bend": 0.08,
        "fingers": 15.0,
        "mix": 0.8,
        "val_fraction": 0.0,
        "view_test": True,
        "side_test": True,
    },
    # Xiao, Wu and Wei (ECCV 2018), their repository's COCO configuration of ResNet-50 at 256 px:
    # github.com/microsoft/human-pose-estimation.pytorch. Its yaml has a weight decay that its Adam
    # does not use. Published numbers are with the flip test.
    "simple-baselines": {
        "depth": 50,
        "pretrained": "imagenet",
        "size": 256,
        "box_factor": 1.0,
        "codec": "rounded",
        "sigma": 2.0,
        "channel_order": "bgr",
        "epochs": 140,
        "batch_size": 128,  # four devices of 32
        "accumulate": 4,
        "ema": 0.0,
        "optimiser": "adam",
        "adam_epsilon": 1e-8,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "lr": 1e-3,
        "loss_factor": 1.0,
        "schedule": "step",
        "first_drop": 0.643,  # epochs 90 and 120 of 140
        "second_drop": 0.857,
        "warmup": 0.0,
        "warmup_steps": None,
        "flip": 0.5,
        "spread": "clipped",
        "scale": 0.3,
        "rotation": 80.0,
        "rotation_share": 0.6,
        "shift": 0.0,
        "shift_share": 1.0,
        "colour": 0.0,
        "tint": 0.0,
        "grey": 0.0,
        "erase": 0.0,
        "stretch": 0.0,
        "bend": 0.0,
        "fingers": 0.0,
        "mix": 0.0,
        "early_size": None,
        "early_share": 0.4,
        "select": "epe",
        "flip_test": True,
        "view_test": False,
        "side_test": False,
        "precision": "fp32",
        "patience": None,
    },
    # mmpose 1.3.2, td-hm_res50_8xb64-100e_freihand2d-224x224: AUC 0.868 and EPE 3.27 px on its own
    # split of the training images. Plain MSE is twice the loss of Simple Baselines.
    "mmpose-freihand2d": {
        "depth": 50,
        "pretrained": "imagenet",
        "size": 224,
        "box_factor": 0.8,
        "codec": "rounded",
        "sigma": 2.0,
        "channel_order": "rgb",
        "epochs": 100,
        "batch_size": 512,  # eight devices of 64
        "accumulate": 8,
        "ema": 0.0,
        "optimiser": "adam",
        "adam_epsilon": 1e-8,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "lr": 5e-4,
        "loss_factor": 2.0,
        "schedule": "step",
        "first_drop": 0.5,
        "second_drop": 0.7,
        "warmup": 0.0,
        "warmup_steps": 500,
        "flip": 0.5,
        "spread": "truncated",
        "scale": 0.3,
        "rotation": 180.0,
        "rotation_share": 0.6,
        "shift": 0.25,
        "shift_share": 0.3,
        "colour": 0.0,
        "tint": 0.0,
        "grey": 0.0,
        "erase": 0.0,
        "stretch": 0.0,
        "bend": 0.0,
        "fingers": 0.0,
        "mix": 0.0,
        "early_size": None,
        "early_share": 0.4,
        "select": "auc",
        "flip_test": True,
        "view_test": False,
        "side_test": False,
        "precision": "fp32",
        "patience": None,
    },
}
"""Name → its settings; all others have their default."""


def resolve(recipe: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a recipe, changed by those that were given.

    Parameters
    ----------
    recipe
        One of :data:`RECIPES`.
    given
        Settings that somebody chose; they win.

    >>> resolve("simple-baselines", {"epochs": 3})["epochs"]
    3
    """
    return {**RECIPES[recipe], **given, "recipe": recipe}

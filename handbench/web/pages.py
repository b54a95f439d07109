"""The page, with or without a result."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from PIL import Image

from handbench import __version__
from handbench.camera import box_corners
from handbench.drawing import Picture, draw_hand, draw_outline
from handbench.files import to_json
from handbench.hand import FINGERS, JOINT_NAMES, finger_of
from handbench.images import encode_jpeg
from handbench.reports.templating import environment
from handbench.web import assets
from handbench.web.answers import Answer
from handbench.web.limits import Limits, in_words
from handbench.web.models import LoadedModel
from handbench.web.problems import Problem

_UNSURE = 0.4
"""A confidence below which the page offers advice."""
_DRAWN_PX = 1600
"""Longest side of a picture that is drawn here: more is slow, costs memory and fits no screen."""


def front_page(
    models: Mapping[str, LoadedModel],
    limits: Limits,
    *,
    root: str,
    chosen: str | None = None,
    box: str = "",
    answer: Answer | None = None,
    problem: Problem | None = None,
    request_id: str = "",
) -> str:
    """The demo.

    Parameters
    ----------
    models
        Those to choose from; with none, the page says how to make one.
    limits
        Told to the visitor, and to the script.
    root
        Address of the site as the visitor sees it, for the example of the REST interface.
    chosen, box
        What the visitor had chosen.
    answer, problem
        What came of a picture that was sent without a script.
    request_id
        Of this request.
    """
    default = next(iter(models), None)
    return (
        _environment()
        .get_template("demo.html.j2")
        .render(
            models=list(models.values()),
            chosen=chosen if chosen in models else default,
            limits=limits,
            unsure=_UNSURE,
            max_words=in_words(limits.max_bytes),
            samples=list(assets.samples().values()),
            root=root.rstrip("/"),
            box=box,
            result=None if answer is None else _result(answer, request_id),
            problem=problem,
            request_id=request_id,
        )
    )


def plain_page(title: str, text: str, request_id: str) -> str:
    """A page that says one thing, such as that there is no page."""
    return (
        _environment()
        .get_template("plain.html.j2")
        .render(title=title, text=text, request_id=request_id)
    )


@functools.cache
def _environment() -> jinja2.Environment:
    made = environment(Path(__file__).with_name("templates"))
    made.globals.update(
        asset=assets.address,
        fingers=list(FINGERS),
        joint_names=JOINT_NAMES,
        finger_of=finger_of,
        version=__version__,
    )
    return made


def _result(answer: Answer, request_id: str) -> dict[str, Any]:
    """What the page shows of an answer: the picture drawn here, since there is no script."""
    document = answer.document(request_id)
    return {
        "document": document,
        "hand": document["hand"],
        "picture": _address("image/jpeg", encode_jpeg(_drawn(answer))),
        "json": _address("application/json", to_json(document)),
        "width": answer.photo.width,
        "height": answer.photo.height,
        "model_ms": answer.model_ms,
    }


def _drawn(answer: Answer) -> Picture:
    """The picture with box and points, at most :data:`_DRAWN_PX` long."""
    picture, photo = answer.photo.pixels, answer.photo
    scale = min(1.0, _DRAWN_PX / max(photo.width, photo.height))
    size = max(1, round(scale * photo.width)), max(1, round(scale * photo.height))
    if scale < 1:
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))

    def moved(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        scales = np.array(size) / (photo.width, photo.height)
        return (np.asarray(points, np.float64) + 0.5) * scales - 0.5  # centres are at integers

    if answer.box is not None:
        picture = draw_outline(picture, moved(box_corners(answer.box)))
    if answer.hand is not None:
        picture = draw_hand(picture, moved(answer.hand.keypoints))
    return picture


def _address(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

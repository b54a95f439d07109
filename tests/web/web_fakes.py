"""A model that always says the same, and a server around it."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from flask import Flask

from handbench.predictors.interface import Hand
from handbench.web.app import create_app
from handbench.web.limits import Limits
from handbench.web.models import load
from handbench.web.server import Server

# A spread hand in a square of side 1.
_ANGLES = np.deg2rad([150, 112, 92, 72, 50])
PLACES = np.array(
    [(0.5, 0.9)]
    + [
        (0.5 + reach * np.cos(angle), 0.9 - reach * np.sin(angle))
        for angle in _ANGLES
        for reach in (0.3, 0.5, 0.6, 0.7)
    ]
)


@dataclass
class FakePredictor:
    """Finds the same hand in every picture.

    Attributes
    ----------
    name, input_size, whole_image
        See :class:`handbench.predictors.interface.Predictor`.
    hand
        None finds none.
    is_right
        What it says of the side.
    seconds
        How long it takes.
    error
        What it raises instead.
    seen
        Shapes of the pictures it was given.
    """

    name: str = "fake"
    input_size: int | None = 64
    whole_image: bool = False
    finds: bool = True
    is_right: bool | None = None
    score: float = 0.83
    seconds: float = 0.0
    error: Exception | None = None
    hold: threading.Event | None = None
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "params": 7, "training_data": ["made/up"], "note": "a fake"}

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Hand | None]:
        self.seen += [image.shape for image in images]
        time.sleep(self.seconds)
        if self.hold is not None:
            self.hold.wait(20)
        if self.error is not None:
            raise self.error
        if not self.finds:
            return [None] * len(images)
        return [
            Hand(
                PLACES * (image.shape[1], image.shape[0]) - 0.5,
                np.full(21, self.score),
                self.score,
                self.is_right,
            )
            for image in images
        ]


def app_of(*predictors: Any, **limits: Any) -> Flask:
    app = create_app(load(predictors), Limits(**limits))
    app.testing = False  # errors become answers, as in the world
    return app


@contextlib.contextmanager
def serving(app: Flask, trusted_proxy: str = "") -> Iterator[Server]:
    """The application behind its real server, on a free port of this machine."""
    server = Server(app, port=0, trusted_proxy=trusted_proxy)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


def connect(server: Server) -> http.client.HTTPConnection:
    host = server.address.removeprefix("http://").rstrip("/")
    return http.client.HTTPConnection(host, timeout=20)

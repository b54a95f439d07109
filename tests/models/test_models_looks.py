from __future__ import annotations

import pytest

from handbench.errors import TrainError
from handbench.models.looks import Looks


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        (Looks(), "none"),
        (Looks(flip=True), "flip"),
        (Looks(flip=True, views=True), "flip+views"),
        (Looks(views=True, sides=True), "views+sides"),
    ],
)
def test_looks_have_words(looks: Looks, words: str) -> None:
    assert str(looks) == words


def test_options_change_what_they_name() -> None:
    looks = Looks(views=True, sides=True)
    assert looks.with_options(None, None, None) == looks
    assert looks.with_options(None, False, None) == Looks(sides=True)
    assert looks.with_options(True, None, False) == Looks(flip=True, views=True)


def test_a_mirror_image_is_averaged_or_chosen() -> None:
    with pytest.raises(TrainError, match="found both: leave one away"):
        Looks(flip=True, sides=True)
    with pytest.raises(TrainError, match="--no-side-test"):
        Looks(sides=True).with_options(True, None, None)

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.leaderboard import slugs
from handbench.leaderboard.slugs import slug, unique_slugs


def test_examples():
    assert doctest.testmod(slugs).failed == 0


@given(st.text())
def test_any_text_becomes_a_short_plain_name(text: str):
    found = slug(text)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found)
    assert len(found) <= 60


@given(st.lists(st.text(max_size=4)))
def test_names_are_unique_whatever_they_stand_for(texts: list[str]):
    found = unique_slugs(texts)
    assert len(set(found)) == len(texts)


def test_names_in_other_scripts_stay_apart():
    assert slug("手") != slug("足")
    assert slug("网络-v1") != slug("网-v1")


def test_a_number_never_meets_a_name_that_ends_in_one():
    assert unique_slugs(["a", "a-2", "A"]) == ["a", "a-2", "a-3"]


@pytest.mark.parametrize("name", ["con", "AUX", "nul", "COM1", "index"])
def test_names_that_mean_something_to_file_systems_are_changed(name: str):
    assert slug(name) != name.lower()
    assert slug(name).startswith(name.lower())


@pytest.mark.parametrize("other", ["NET", "ｎｅｔ", "net\u200b", "net!"])
def test_an_address_is_not_lost_to_a_name_of_the_same_letters(other: str):
    assert unique_slugs([other, "net"]) == ["net-2", "net"]

"""The model card claims no failure that no committed result holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "model_card.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
FAILURES = re.findall(r"^- (.*?)(?=^- |\Z)", SECTIONS["Known failures"], re.MULTILINE | re.DOTALL)


NUMBER = re.compile("[-+\N{MINUS SIGN}]?\\d+\\.\\d+")  # reports are set with a minus sign


def missing(failure):
    """Numbers of a sentence that stand in none of the files it links."""
    links = re.findall(r"\]\(([^)]+)\)", failure)
    sources = " ".join((PAGE.parent / link).read_text(encoding="utf-8") for link in links)
    numbers = NUMBER.findall(re.sub(r"\]\([^)]+\)", "]", failure))
    assert links and numbers, failure
    return [number for number in numbers if number not in set(NUMBER.findall(sources))]


@pytest.mark.parametrize("failure", FAILURES, ids=[one[2:24] for one in FAILURES])
def test_every_number_of_a_failure_is_in_the_result_it_links(failure):
    assert missing(failure) == []


def test_a_number_that_nobody_measured_is_found():
    assert missing(FAILURES[0].replace("16.6", "96.6")) == ["96.6"]


def test_the_card_says_what_a_card_has_to():
    assert len(FAILURES) >= 5
    assert {"Intended use", "Not to be used for", "What the data may not be used for"} <= set(
        SECTIONS
    )
    assert "withdrawn by its university in April 2019" in TEXT
    assert "without their knowledge and consent" in SECTIONS["Not to be used for"]

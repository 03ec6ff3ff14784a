"""Content of another type is refused by file, field, what was expected and what was got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest

from fed_plugin.files import convert, decode

Count = Annotated[int, msgspec.Meta(ge=0, description="a whole number of 0 or more")]


@dataclass
class Pair:
    low: float
    high: float

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("expected low below high")


class Part(msgspec.Struct, forbid_unknown_fields=True):
    names: list[str]
    images: Count | None = None
    size: Annotated[tuple[int, int], msgspec.Meta(description="[height, width]")] | None = None
    flip: bool | None = None


class Plan(msgspec.Struct):
    format: Literal["plan/1"]
    parts: dict[str, Part] = {}
    query: Part | None = None
    pairs: list[Pair] = []
    kind: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON (Input data was truncated)"),
        ("{", "no JSON (Input data was truncated)"),
        ("[" * 100_000, "no JSON ("),
        ('{"kind": NaN}', "no JSON (JSON is malformed"),
        ("[]", "expected an object, got []"),
        ("{}", "expected the key 'format', got nothing"),
        ('{"a": 1}', "expected the key 'format', got 'a'"),
        ('{"format": "plan/2"}', "format: expected 'plan/1', got 'plan/2'"),
        ('{"format": "plan/1", "kind": 3}', "kind: expected 'a' or 'b', got 3"),
        ('{"format": "plan/1", "query": 3}', "query: expected an object or null, got 3"),
        ('{"format": "plan/1", "query": {}}', "query: expected the key 'names', got nothing"),
        (
            '{"format": "plan/1", "query": {"names": [], "id": 1}}',
            "query: expected no key 'id', only 'names', 'images', 'size', 'flip'",
        ),
        (
            '{"format": "plan/1", "query": {"names": ["a", 1]}}',
            "query.names[1]: expected text, got 1",
        ),
        (
            '{"format": "plan/1", "query": {"names": [], "images": -1}}',
            "query.images: expected a whole number of 0 or more, got -1",
        ),
        (
            '{"format": "plan/1", "query": {"names": [], "size": [1, "a"]}}',
            "query.size: expected [height, width], got [1, 'a']",
        ),
        (
            '{"format": "plan/1", "query": {"names": [], "flip": "false"}}',
            "query.flip: expected true or false or null, got 'false'",
        ),
        (
            '{"format": "plan/1", "parts": {"x": {"names": 1}}}',
            "parts[...].names: expected a list, got a whole number\n",
        ),
        ('{"format": "plan/1", "parts": {"x": {}}}', "parts[...]: expected the key 'names'\n"),
        (
            '{"format": "plan/1", "pairs": [{"low": 1, "high": 2}, {"low": 2, "high": 1}]}',
            "pairs[1]: expected low below high",
        ),
        (
            '{"format": "plan/1", "pairs": [{"low": null, "high": 1}]}',
            "pairs[0].low: expected a number, got None",
        ),
    ],
)
def test_another_content_is_refused_by_file_and_field(tmp_path, text, message):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ValueError) as refused:
        decode(path, Plan, "a plan")
    assert f"{refused.value}\n".startswith(f"{path}: not a plan: {message}")
    with pytest.raises(ValueError) as refused:
        decode(text.encode(), Plan, "a plan")
    assert f"{refused.value}\n".startswith(f"not a plan: {message}")


def test_content_is_read_and_a_missing_file_is_named(tmp_path):
    plan = decode(b'{"format": "plan/1", "pairs": [{"low": 1, "high": 2}]}', Plan, "a plan")
    assert plan.pairs == [Pair(1.0, 2.0)] and plan.parts == {}
    assert convert({"format": "plan/1"}, Plan) == Plan("plan/1")
    with pytest.raises(ValueError, match=r"^format: expected 'plan/1', got 'x'$"):
        convert({"format": "x"}, Plan)
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        decode(tmp_path / "gone.json", Plan, "a plan")


def test_bytes_that_are_no_text_are_no_json(tmp_path):
    with pytest.raises(ValueError, match="not a plan: no JSON"):
        decode(b'{"format": "\xff"}', Plan, "a plan")

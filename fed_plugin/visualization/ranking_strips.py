"""Rankings as HTML: a query and what each method puts first, pictures inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fed_plugin.visualization.markup import Markup, element

_TALLEST = 160  # rows of a picture in the page
_QUALITY = 80

STRIP_STYLE = """
.strips { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr));
  gap: 0 1.5rem; }
.ranking { border-top: 1px solid var(--line); padding-top: 0.6rem; margin: 0 0 0.6rem; }
.ranking .lists { display: flex; gap: 0.4rem 1.2rem; align-items: flex-start; }
.ranking .answers { flex: 1; min-width: 0; }
.ranking ol { list-style: none; display: flex; flex-wrap: wrap; gap: 0.35rem; padding: 0;
  margin: 0.15rem 0 0.7rem; }
.ranking img { display: block; height: 5.6rem; width: auto; }
.ranking .picture { display: block; border: 3px solid var(--soft); }
.ranking .right .picture { border: 3px solid var(--right); }
.ranking .wrong .picture { border: 3px dashed var(--wrong); }
.ranking .mark { font-size: 0.8rem; display: block; text-align: center; }
.ranking .right .mark { color: var(--right); font-weight: 700; }
.ranking .wrong .mark { color: var(--wrong); }
"""


@dataclass(frozen=True)
class Answer:
    """A gallery image: where it lies, whether it is right, and its score as words."""

    path: Path
    right: bool
    score: str


@dataclass(frozen=True)
class RankedList:
    """What one method puts first, under a title such as its name."""

    title: str
    answers: Sequence[Answer]


def ranking_strip(query: Path, caption: str, lists: Sequence[RankedList]) -> Markup:
    """Draw a query and the lists of one method or more; what cannot be read becomes words.

    Args:
        query: image file.
        caption: above.
        lists: best first.
    """
    return element(
        "figure",
        element("figcaption", caption),
        element(
            "div",
            element(
                "div",
                element("span", _picture(query, "query"), class_="picture"),
                element("span", "query", class_="mark"),
            ),
            element("div", [_draw_list(one) for one in lists], class_="answers"),
            class_="lists",
        ),
        class_="ranking",
    )


def data_uri(path: Path) -> str:
    """Return an image file as a JPEG of at most 160 rows, in a URI.

    Raises:
        ValueError: It is no image that can be read.
    """
    try:
        image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise ValueError(f"{path}: not an image that can be read ({error})") from error
    if image is None:
        raise ValueError(f"{path}: not an image that can be read")
    height, width = image.shape[:2]
    if height > _TALLEST:
        size = (max(1, round(width * _TALLEST / height)), _TALLEST)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _draw_list(ranked: RankedList) -> Markup:
    return element(
        "div",
        element("small", ranked.title),
        element("ol", [_draw_answer(k, one) for k, one in enumerate(ranked.answers, start=1)]),
    )


def _draw_answer(rank: int, answer: Answer) -> Markup:
    words = f"rank {rank}, {'right' if answer.right else 'wrong'}, {answer.score}"
    return element(
        "li",
        element("span", _picture(answer.path, words), class_="picture"),
        element("span", f"{'✓' if answer.right else '✗'} {answer.score}", class_="mark"),
        class_="right" if answer.right else "wrong",
    )


def _picture(path: Path, words: str) -> Markup:
    try:
        return element("img", src=data_uri(path), alt=words)
    except ValueError:
        return element("small", f"{path.name}: cannot be read")

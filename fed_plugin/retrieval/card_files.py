"""Protocol cards on disk: files of their own, and those inside results and feature dumps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import FORMAT, ProtocolCard
from fed_plugin.retrieval.whole_files import written_whole


def write_card(card: ProtocolCard, path: str | os.PathLike[str]) -> None:
    """Write a card as JSON; the file is there whole or not at all.

    Raises:
        FileNotFoundError: Its folder is not there.
    """
    with written_whole(path) as file:
        file.write((json.dumps(card.to_json(), indent=1) + "\n").encode())


def read_card(path: str | os.PathLike[str]) -> ProtocolCard:
    """Read the card of a card file, of a ``result.json``, or of a feature dump (``about.card``).

    Raises:
        FileNotFoundError: No such file.
        ValueError: It holds no card, or one that cannot be read; the message names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected a card (OUTPUT_DIR/cards/*.json after an evaluation), "
            "a result.json or a feature dump (.npz)"
        )
    is_dump = Path(path).suffix == ".npz"
    content = FeatureDump.load(path).about if is_dump else _read_json(path)
    if isinstance(content, Mapping) and content.get("format") != FORMAT:
        content = _card_inside(content, f"{path}: about" if is_dump else str(path))
    try:
        return ProtocolCard.from_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _card_inside(content: Mapping[str, Any], where: str) -> Any:
    if not content.get("card"):
        raise ValueError(
            f"{where}: holds no protocol card; expected one under 'card', got "
            f"{', '.join(map(repr, content)) or 'nothing'}; a card begins with "
            f'{{"format": "{FORMAT}"}}'
        )
    return content["card"]


def _read_json(path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path}: no JSON ({error}); expected a card, a result.json or a dump (.npz)"
        ) from error

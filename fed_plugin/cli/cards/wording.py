"""Values of protocol cards, as they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fed_plugin.retrieval.protocol_card import Difference

ANY_CARD = (
    "a card (OUTPUT_DIR/cards/*.json), a result.json, robustness.json, feature dump (.npz) or "
    "cell's folder; of a benchmark's results.json, FILE#METHOD or FILE#METHOD/seed0"
)
NOT_KNOWN = "not known"


def words_apart(differences: Iterable[Difference]) -> list[str]:
    """Say in what a protocol is another one, a sentence per field, the second one's value first."""
    return [
        f"{one.field} is {worded(one.field, one.b)}, not {worded(one.field, one.a)}"
        for one in differences
    ]


def worded(field: str, value: Any) -> str:
    """Say what a card holds in a field, in one line that any terminal can show."""
    if value is None:
        return NOT_KNOWN
    if field.endswith("list_sha256"):
        return f"{value[:12]}..."
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field == "input_size":
        return f"{value[0]} x {value[1]} (height x width)"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    text = ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)

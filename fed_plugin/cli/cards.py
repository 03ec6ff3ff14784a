"""``cards diff`` compares the protocols of two results; ``cards show`` prints one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from fed_plugin.retrieval import protocol_card
from fed_plugin.retrieval.card_files import ANY_CARD, read_card, worded

DIFF_EPILOG = """Exit status 0: the two results may stand in one table. Exit status 1: they may not,
or a file cannot be read. Unknown fields are listed; they keep results apart only with --strict.
Seeds, epochs, versions and commits may differ."""


def add_diff_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two files."""
    parser.epilog = DIFF_EPILOG
    for name in "AB":
        parser.add_argument(name.lower(), metavar=name, help=ANY_CARD)
    parser.add_argument("--strict", action="store_true", help="unknown fields keep apart, too")


def run_diff(args: argparse.Namespace) -> int:
    """Print differences and unknown fields; return 1 if the two do not compare."""
    cards = read_card(args.a), read_card(args.b)
    different = protocol_card.protocol_differences(*cards)
    unknown = protocol_card.unknown_fields(*cards)
    _print("Different:", different, lambda name: f"   ({protocol_card.COMPARED[name]})")
    _print("Not known:", unknown)
    _print("Different, which is allowed:", protocol_card.other_differences(*cards))
    apart = different or (unknown if args.strict else ())
    if apart:
        why = "differ in" if different else "have unknown fields:"
        names = ", ".join(pair.field for pair in apart)
        print(f"The two may not stand in one table: they {why} {names}.")
    elif unknown:
        print("As far as is known, the two follow one protocol: they may stand in one table.")
    else:
        print("The two follow one protocol: they may stand in one table.")
    return int(bool(apart))


def _print(
    title: str, differences: Sequence[protocol_card.Difference], why=lambda name: ""
) -> None:
    if not differences:
        return
    print(title)
    for pair in differences:
        print(f"  {pair.field}{why(pair.field)}")
        print(f"    A: {worded(pair.field, pair.a)}")
        print(f"    B: {worded(pair.field, pair.b)}")
    print()


SHOW_EPILOG = (
    "Every field is explained in fed_plugin/retrieval/protocol_card.py; --json prints the card."
)


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file."""
    parser.epilog = SHOW_EPILOG
    parser.add_argument("card", metavar="A", help=ANY_CARD)
    parser.add_argument("--json", action="store_true", help="print the card as JSON")


def run_show(args: argparse.Namespace) -> None:
    """Print every field of a card."""
    card = read_card(args.card)
    if args.json:
        print(json.dumps(card.to_json(), indent=1))
        return
    for name, value in protocol_card.flat(card).items():
        print(f"{name:<20} {worded(name, value)}")

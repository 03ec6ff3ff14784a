"""``cards show``: what a result was measured on, and how."""

from __future__ import annotations

import argparse

from fed_plugin.cli.cards.wording import ANY_CARD, worded

EPILOG = (
    "Every field is explained in fed_plugin/retrieval/protocol_card.py; --json prints the card."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file."""
    parser.epilog = EPILOG
    parser.add_argument("card", metavar="A", help=ANY_CARD)
    parser.add_argument("--json", action="store_true", help="print the card as JSON")


def run(args: argparse.Namespace) -> None:
    """Print every field of a card."""
    import json

    from fed_plugin.retrieval.card_files import read_card
    from fed_plugin.retrieval.protocol_card import flat

    card = read_card(args.card)
    if args.json:
        print(json.dumps(card.to_json(), indent=1))
        return
    for name, value in flat(card).items():
        print(f"{name:<20} {worded(name, value)}")

"""``python -m fed_plugin <command>``: parse, call, print.

A command is a module of this package with ``add_arguments(parser)`` and ``run(args)``; it is
imported when it is called, so that ``--help`` does not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

import projects_registry  # noqa: F401 - arms the mends, also where the .pth line is not installed
from fed_plugin import __version__
from fed_plugin.cli.mistakes import one_sentence_for_mistakes

COMMANDS = {
    "train": "train or evaluate by a config, as fast-reid's tools/train_net.py does",
    "convert": "turn a checkpoint of the released FED code into one for --eval-only",
    "data": "draw data sets (data synth)",
    "demo": "draw people, train the ViT baseline and FED, compare and picture them",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: words behind ``python -m fed_plugin``; None takes the process's own.

    Returns:
        Exit status: 0, 1 after a mistake of the user, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    name = words[0] if words and words[0] in COMMANDS else None
    parser = argparse.ArgumentParser(
        prog="python -m fed_plugin",
        description="FED for fast-reid: occluded person re-identification.",
        epilog="A config file is a path, or the name of one that is installed with the plugin.",
    )
    parser.add_argument("--version", action="version", version=f"fed_plugin {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    if name == "train":  # fast-reid's own parser reads its flags
        with one_sentence_for_mistakes() as outcome:
            import_module("fed_plugin.cli.train").train(words[1:])
        return outcome.status
    for command, help_text in COMMANDS.items():
        subparser = commands.add_parser(command, help=help_text, description=help_text)
        if command == name:
            import_module(f"fed_plugin.cli.{command}").add_arguments(subparser)
    args = parser.parse_args(words)
    with one_sentence_for_mistakes() as outcome:
        import_module(f"fed_plugin.cli.{args.command}").run(args)
    return outcome.status

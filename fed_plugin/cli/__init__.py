"""``python -m fed_plugin <command>``: parse, call, print.

A command is a module of this package with ``add_arguments(parser)``, ``run(args)`` and, where there
is something to say, ``INTERRUPTED``: what Ctrl-C leaves behind. A group of commands is a package of
such modules. Only the one that is called is imported, so that ``--help`` does not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import projects_registry  # noqa: F401 - arms the mends, also where the .pth line is not installed
from fed_plugin import __version__
from fed_plugin.cli.mistakes import one_sentence_for_mistakes

COMMANDS: Mapping[str, str] = {
    "train": "train or evaluate by a config, as fast-reid's tools/train_net.py does",
    "convert": "turn a checkpoint of the released FED code into one for --eval-only",
    "dump": "write what a trained model says of a test set, for evaluate",
    "evaluate": "score feature dumps of any method, with intervals, and compare them",
    "index": "describe a gallery of photos once, for search",
    "search": "the photos of an index most like others, and why",
    "calibrate": "which similarity means one person, learnt on people of no test",
    "benchmark": "run a plan of methods, data sets and seeds, and go on where it stopped",
    "export": "write a trained model as ONNX, TorchScript or torch.export, checked against it",
    "costs": "measure parameters, multiplications, time and memory of a plan's methods",
    "report": "tables, figures and failures of a benchmark, with one page that needs no network",
    "robustness": "Rank-1 and mAP while more and more of every query is covered",
    "data": "draw, check and build data sets",
    "show": "draw training images, rankings, visibility and training curves",
    "cards": "say what results were measured on, and whether they compare",
    "demo": "draw people, train the ViT baseline and FED, compare and picture them",
}
GROUPS: Mapping[str, Mapping[str, str]] = {
    "data": {
        "synth": "draw SynthOcc: people, whole and occluded",
        "occluders": "build, check and preview sets of obstacles for INPUT.NPO.OCCLUDERS",
        "build-occluded-duke": "make Occluded_Duke from your copy of DukeMTMC-reID",
        "check": "say what is there of a data set, and what is wrong with it",
        "build-occluded-posetrack": "cut Occluded-PoseTrack-ReID's crops out of PoseTrack21",
    },
    "cards": {
        "diff": "whether two results may stand in one table, and which fields keep them apart",
        "show": "what a result was measured on, and how",
    },
    "show": {
        "augment": "a contact sheet of a config's training images, with masks and targets",
        "ranking": "what a dump's method ranks first, and what each part adds to it",
        "visibility": "what a trained model believes to see of the persons on photos",
        "neighbors": "whose memories a trained FED diffuses into its training samples",
        "curves": "losses and learning rate of trainings, on one page",
    },
}


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: words behind ``python -m fed_plugin``; None takes the process's own.

    Returns:
        Exit status: 0, 1 after a mistake of the user, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["train"]:  # fast-reid's own parser reads its flags
        module = import_module("fed_plugin.cli.train")
        with one_sentence_for_mistakes(module.INTERRUPTED) as outcome:
            module.train(words[1:])
        return outcome.status
    parser = argparse.ArgumentParser(
        prog="python -m fed_plugin",
        description="FED for fast-reid: occluded person re-identification.",
        epilog="A config file is a path, or the name of one that is installed with the plugin.",
    )
    parser.add_argument("--version", action="version", version=f"fed_plugin {__version__}")
    _add_commands(parser, COMMANDS, words, __name__)
    args = parser.parse_args(words)
    module = import_module(args.module)
    with one_sentence_for_mistakes(getattr(module, "INTERRUPTED", "")) as outcome:
        outcome.status = module.run(args) or 0
    return outcome.status


def _add_commands(
    parser: argparse.ArgumentParser, commands: Mapping[str, str], words: Sequence[str], package: str
) -> None:
    """Add a subparser per command; that of the called one gets its arguments."""
    group = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, help_text in commands.items():
        subparser = group.add_parser(name, help=help_text, description=help_text)
        if words[:1] != [name]:
            continue
        if package == __name__ and name in GROUPS:
            _add_commands(subparser, GROUPS[name], words[1:], f"{package}.{name}")
        else:
            module = f"{package}.{name.replace('-', '_')}"
            subparser.set_defaults(module=module)
            import_module(module).add_arguments(subparser)

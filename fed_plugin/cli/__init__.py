"""``fed-plugin <command>``: parse, call, print.

`COMMANDS` is the table of all commands: the words, the module that holds the command, and one line
of help. A module of one command has ``add_arguments(parser)``, ``run(args)`` and, optionally,
``INTERRUPTED``: a sentence about what Ctrl-C leaves behind. A module of several commands adds the
command's word to these names, for example ``run_synth``. Only the module of the called command is
imported, therefore ``--help`` does not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import projects_registry  # noqa: F401 - arms the mends, also where the .pth line is not installed
from fed_plugin import __version__
from fed_plugin.console import one_sentence_for_mistakes, printable_output
from fed_plugin.pool import started_rank


@dataclass(frozen=True)
class Command:
    """Place of a command.

    Attributes:
        module: below ``fed_plugin``.
        help: one line for ``--help``.
        word: part of the function names in a module of several commands; empty otherwise.
    """

    module: str
    help: str
    word: str = ""

    def arguments(self) -> Callable[[argparse.ArgumentParser], None]:
        """Import the module and return the function that declares the command's arguments."""
        return self._get(f"add_{self.word}_arguments" if self.word else "add_arguments")

    def run(self) -> Callable[[argparse.Namespace], int | None]:
        """Import the module and return the function that runs the command."""
        return self._get(f"run_{self.word}" if self.word else "run")

    @property
    def interrupted(self) -> str:
        """Sentence about what Ctrl-C leaves behind; empty if there is nothing to say."""
        name = f"{self.word.upper()}_INTERRUPTED" if self.word else "INTERRUPTED"
        return getattr(import_module(f"fed_plugin.{self.module}"), name, "")

    def _get(self, name: str) -> Any:
        return getattr(import_module(f"fed_plugin.{self.module}"), name)


TRAIN = Command(
    "cli.train", "train or evaluate by a config, as fast-reid's tools/train_net.py does"
)
COMMANDS: Mapping[str, Command] = {
    "train": TRAIN,
    "convert": Command(
        "cli.weights",
        "turn a checkpoint of the released FED code into one for --eval-only",
        "convert",
    ),
    "dump": Command("cli.dump", "write a trained model's features of a test set, for evaluate"),
    "evaluate": Command(
        "cli.evaluate", "score feature dumps of any method, with intervals, and compare them"
    ),
    "index": Command("search.index", "describe a gallery of photos once, for search"),
    "search": Command("search.search", "find the photos of an index most like others, and why"),
    "calibrate": Command(
        "search.calibration", "learn which similarity means one person, on people of no test"
    ),
    "benchmark": Command(
        "benchmark.command", "run a plan of methods, data sets and seeds, or continue one"
    ),
    "export": Command(
        "cli.export", "write a trained model as ONNX, TorchScript or torch.export, and check it"
    ),
    "costs": Command(
        "costs.command", "measure parameters, multiplications, time and memory of a plan's methods"
    ),
    "report": Command(
        "report.command", "write tables, figures and failures of a benchmark, and one HTML page"
    ),
    "robustness": Command(
        "robustness.command", "measure accuracy while more and more of every query is covered"
    ),
    "data synth": Command("cli.data", "draw SynthOcc: people, whole and occluded", "synth"),
    "data occluders": Command(
        "cli.occluder_commands",
        "build, check and preview sets of obstacles for INPUT.NPO.OCCLUDERS",
    ),
    "data build-occluded-duke": Command(
        "cli.data", "make Occluded_Duke from your copy of DukeMTMC-reID", "build_occluded_duke"
    ),
    "data check": Command("cli.data", "list what a data set holds, and what is wrong", "check"),
    "data build-occluded-posetrack": Command(
        "cli.data",
        "cut Occluded-PoseTrack-ReID's crops out of PoseTrack21",
        "build_occluded_posetrack",
    ),
    "show augment": Command(
        "cli.show", "draw a config's training images, with masks and targets", "augment"
    ),
    "show ranking": Command(
        "cli.show", "draw what a dump's method ranks first, and the share of each part", "ranking"
    ),
    "show visibility": Command(
        "cli.show", "draw the visibilities that a trained model gives to photos", "visibility"
    ),
    "show neighbors": Command(
        "cli.show", "draw whose memories a trained FED diffuses into its samples", "neighbors"
    ),
    "show curves": Command(
        "cli.show", "draw losses, learning rate and accuracy of trainings, on one page", "curves"
    ),
    "cards diff": Command(
        "cli.cards", "compare the protocols of two results, field by field", "diff"
    ),
    "cards show": Command("cli.cards", "print what a result was measured on, and how", "show"),
    "weights inspect": Command(
        "cli.weights", "describe a weight file, or what a config would load of it", "inspect"
    ),
    "weights list": Command("cli.weights", "name published weights", "list"),
    "weights fetch": Command("cli.weights", "download published weights (network)", "fetch"),
    "demo": Command("cli.demo", "draw people, train the ViT baseline and FED, compare both"),
}
GROUPS: Mapping[str, str] = {
    "data": "draw, check and build data sets",
    "show": "draw training images, rankings, visibility and training curves",
    "weights": "inspect, list and fetch published weights",
    "cards": "print what results were measured on, and whether they compare",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: words after ``fed-plugin``; None takes the process's own.

    Returns:
        Exit status: 0, 1 after a mistake of the user, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    with printable_output(stdout=words[:1] != ["train"]):
        return _run(words)


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["train"]:  # fast-reid's own parser reads its flags
        with one_sentence_for_mistakes() as outcome:
            _check_processes("train", any(word.startswith("--num-m") for word in words))
        if not outcome.status:
            module = import_module(f"fed_plugin.{TRAIN.module}")
            with one_sentence_for_mistakes(TRAIN.interrupted) as outcome:
                module.train(words[1:])
        return outcome.status
    parser = argparse.ArgumentParser(
        prog="fed-plugin",
        description="FED for fast-reid: occluded person re-identification.",
        epilog="A config file is a path, or the name of one that is installed with the plugin.",
    )
    parser.add_argument("--version", action="version", version=f"fed_plugin {__version__}")
    _add_commands(parser, words)
    args = parser.parse_args(words)
    with one_sentence_for_mistakes() as outcome:
        import_module("fed_plugin.files").check_outputs(vars(args))
        _check_processes(next(name for name in COMMANDS if COMMANDS[name] is args.command))
    if not outcome.status:
        with one_sentence_for_mistakes(args.command.interrupted) as outcome:
            outcome.status = args.command.run()(args) or 0
    return outcome.status


def _check_processes(command: str, flags_describe_machines: bool = False) -> None:
    """Refuse a command that torchrun, srun or mpirun started several times, but for a training."""
    started = started_rank()
    if started is not None and command != "train":
        raise ValueError(
            f"{command}: {started}, and all would write the same files; expected one process, try "
            f"{command} without {started.launcher}"
        )
    if started is not None and not flags_describe_machines:
        started.place()


def _add_commands(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add a subparser per command; only that of the called one gets its arguments."""
    groups = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    for words_of, command in COMMANDS.items():
        group, _, name = words_of.rpartition(" ")
        if group not in groups:
            text = GROUPS[group]
            below = groups[""].add_parser(group, help=text, description=text)
            groups[group] = below.add_subparsers(metavar="COMMAND", required=True)
        subparser = groups[group].add_parser(name, help=command.help, description=command.help)
        called = words_of.split()
        if list(words[: len(called)]) == called:
            subparser.set_defaults(command=command)
            command.arguments()(subparser)

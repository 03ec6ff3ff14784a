"""``fed-plugin <command>``: parse, call, print.

`COMMANDS` is the table of all commands: the words, the module that holds the command, and one line
of help. A module of one command has ``add_arguments(parser)``, ``run(args)`` and, optionally,
``INTERRUPTED``: a sentence about what Ctrl-C leaves behind. A module of several commands adds the
last word of the command to these names, for example ``run_synth``. Only the module of the called
command is imported, therefore ``--help`` does not wait for PyTorch.
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
    """Command with its words, its module below ``fed_plugin``, and one line for ``--help``."""

    words: str
    module: str
    help: str

    def arguments(self) -> Callable[[argparse.ArgumentParser], None]:
        """Import the module and return the function that declares the command's arguments."""
        return self._get("add_{}arguments")

    def run(self) -> Callable[[argparse.Namespace], int | None]:
        """Import the module and return the function that runs the command."""
        return self._get("run_{}")

    @property
    def interrupted(self) -> str:
        """Sentence about what Ctrl-C leaves behind; empty if there is nothing to say."""
        return self._get("{}INTERRUPTED") or ""

    def _get(self, name: str) -> Any:
        module = import_module(f"fed_plugin.{self.module}")
        word = self.words.split()[-1].replace("-", "_") + "_"
        word = word.upper() if name.isupper() else word
        own = getattr(module, name.format(word).rstrip("_"), None)
        return own or getattr(module, name.format("").rstrip("_"), None)


_TABLE = (
    ("train", "cli.train", "train or evaluate by a config, as fast-reid's tools/train_net.py does"),
    ("convert", "cli.weights", "turn a checkpoint of the released code into one for --eval-only"),
    ("dump", "cli.dump", "write a trained model's features of a test set, for evaluate"),
    ("evaluate", "cli.evaluate", "score feature dumps of any method, with intervals, and compare"),
    ("index", "search.index", "describe a gallery of photos once, for search"),
    ("search", "search.search", "find the photos of an index most like others, and why"),
    ("calibrate", "search.calibration", "learn which similarity means one person"),
    ("benchmark", "benchmark.command", "run or continue a plan of methods, data sets and seeds"),
    ("export", "cli.export", "write a model as ONNX, TorchScript or torch.export, and check it"),
    ("costs", "costs.command", "measure parameters, multiplications, time and memory of methods"),
    ("report", "report.command", "write tables, figures and failures of a benchmark"),
    ("robustness", "robustness.command", "measure accuracy while more of every query is covered"),
    ("data synth", "cli.data", "draw SynthOcc: people, whole and occluded"),
    ("data occluders", "cli.occluder_commands", "build, check and preview sets of obstacles"),
    ("data build-occluded-duke", "cli.data", "make Occluded_Duke from your copy of DukeMTMC-reID"),
    ("data check", "cli.data", "list what a data set holds, and what is wrong"),
    ("data build-occluded-posetrack", "cli.data", "cut the set's crops out of PoseTrack21"),
    ("show augment", "cli.show", "draw a config's training images, with masks and targets"),
    ("show ranking", "cli.show", "draw what a method ranks first, and the share of each part"),
    ("show visibility", "cli.show", "draw the visibilities that a trained model gives to photos"),
    ("show neighbors", "cli.show", "draw whose memories a trained FED diffuses into its samples"),
    ("show curves", "cli.show", "draw losses, learning rate and accuracy of trainings"),
    ("cards diff", "cli.cards", "compare the protocols of two results, field by field"),
    ("cards show", "cli.cards", "print what a result was measured on, and how"),
    ("weights inspect", "cli.weights", "describe a weight file, or what a config would load of it"),
    ("weights list", "cli.weights", "name published weights"),
    ("weights fetch", "cli.weights", "download published weights (network)"),
    ("demo", "cli.demo", "draw people, train the ViT baseline and FED, compare both"),
)
COMMANDS: Mapping[str, Command] = {row[0]: Command(*row) for row in _TABLE}
GROUPS: Mapping[str, str] = {
    "data": "draw, check and build data sets",
    "show": "draw training images, rankings, visibility and training curves",
    "weights": "inspect, list and fetch published weights",
    "cards": "print what results were measured on, and whether they compare",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command by the words after ``fed-plugin``; None takes the process's own.

    The exit status is 0, 1 after a mistake of the user, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    with printable_output(stdout=words[:1] != ["train"]):
        return _run(words)


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["train"]:  # fast-reid's own parser reads its flags
        with one_sentence_for_mistakes() as outcome:
            _check_processes("train", any(word.startswith("--num-m") for word in words))
        if not outcome.status:
            train = COMMANDS["train"]
            with one_sentence_for_mistakes(train.interrupted) as outcome:
                train.run()(words[1:])
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
        _check_processes(args.command.words)
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

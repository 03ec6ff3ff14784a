"""``show curves``: losses and learning rate of trainings, from the host's metrics files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="OUTPUT_DIR of a training")
    parser.add_argument(
        "--out",
        default="curves.html",
        metavar="FILE",
        help=".html, .png or .svg; default: %(default)s",
    )


def run(args: argparse.Namespace) -> None:
    """Draw a page that needs no network, or a picture.

    Raises:
        FileNotFoundError: no such run, or one without a metrics file.
        ValueError: a file of another kind, or a run has logged no loss yet.
    """
    from fed_plugin.cli.report.curves import TRAINING, read_training
    from fed_plugin.visualization.training_figure import training_figure

    if not args.out.lower().endswith((".html", ".htm", ".png", ".svg")):
        raise ValueError(f"--out {args.out}: expected a file name that ends in .html, .png or .svg")
    runs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name in dict.fromkeys(args.runs):
        path = Path(name) / TRAINING
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; expected the OUTPUT_DIR of a training")
        runs[name] = read_training(path)
        if not runs[name]:
            raise ValueError(f"{path}: holds no loss yet; expected a training that has logged some")
    trainings = f"{len(runs)} training{'s' * (len(runs) > 1)}"
    caption = (
        f"Losses and learning rate of {trainings} by iteration, as fast-reid logged them in "
        f"{TRAINING}."
    )
    if args.out.lower().endswith((".png", ".svg")):
        training_figure(_panels(runs), args.out, "Training curves", caption)
    else:
        _write_page(_panels(runs), args.out, caption)
    print(f"{args.out}: {trainings}")


def _write_page(panels: list[Any], path: str, caption: str) -> None:
    from fed_plugin.cli.report.page_style import STYLE
    from fed_plugin.retrieval.whole_files import written_whole
    from fed_plugin.visualization.line_figure import line_figure
    from fed_plugin.visualization.markup import Markup, element

    body = element(
        "body", element("main", element("h1", "Training curves"), line_figure(panels, caption))
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Training curves"),
        element("style", Markup(STYLE)),
    )
    page = f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
    with written_whole(path) as file:
        file.write(page.encode())


def _panels(runs: dict[str, dict[str, list[tuple[float, float]]]]) -> list[Any]:
    from fed_plugin.visualization.line_figure import Curve, Panel

    names = dict.fromkeys(name for run in runs.values() for name in run)
    first = [name for name in ("total_loss", "lr") if name in names]
    return [
        Panel(
            {"lr": "learning rate"}.get(name, name.replace("_", " ")),
            "iteration",
            [
                Curve(title, style, *zip(*run[name], strict=True))
                for style, (title, run) in enumerate(runs.items())
                if run.get(name)
            ],
        )
        for name in (*first, *sorted(set(names) - set(first)))
    ]

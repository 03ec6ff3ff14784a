"""``export``: a trained model as one checked file that runs without this project."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fed_plugin import arguments
from fed_plugin.console import ProgressLine
from fed_plugin.files import OutputFile

INTERRUPTED = "no file was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Write the model of any fast-reid config as ONNX, TorchScript or torch.export: uint8 "
        "photos (batch, height, width, 3) in, unit descriptors and FED's visibility out "
        "(docs/deployment.md). The file is read back and compared with the model on random and "
        "drawn images; above a difference of 1e-4 nothing is written."
    )
    add = parser.add_argument
    words = "onnx (needs fed_plugin[onnx]), torchscript or torch-export"
    add("--format", required=True, help=words)
    add("-o", "--out", type=OutputFile, required=True, metavar="FILE", help="file to write")
    add("--int8", action="store_true", help="int8 weights in linear layers; --format onnx alone")
    words = "registered name, to measure Rank-1 of file and model on"
    add("--dataset", metavar="NAME", help=words)
    add("--force", action="store_true", help="write over an existing FILE")
    arguments.add_model_arguments(parser, untrained=True)


def run(args: argparse.Namespace) -> None:
    """Export the model, check the file and write FILE atomically."""
    target = Path(args.out)
    if target.exists() and not args.force:
        raise FileExistsError(f"{target}: exists already; try another name, or --force")
    arguments.check_model_words(args, untrained=True)
    arguments.check_format(args.format, args.int8)

    from fed_plugin.fastreid_adapter import exporting
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.extract import describe_test_set, load_trained

    cfg = exporting.on_cpu(read_config(args.config_file, arguments.model_overrides(args)))
    trained = load_trained(cfg)
    described = None
    if args.dataset:  # before the export, as the data set may be missing
        with ProgressLine(f"describing {args.dataset} with the model") as progress:
            described = describe_test_set(cfg, args.dataset, progress, trained)
    about = {"config": Path(args.config_file).name, "overrides": " ".join(map(str, args.overrides))}
    options = {"int8": args.int8, "trained": trained}
    exported = exporting.export_model(cfg, args.format, target, about, **options)
    for precision, differences in (("float32", exported.float32), ("int8", exported.int8)):
        for one in differences or ():
            print(
                f"{precision}, {one.images} images in batches of 1, 3 and 8: greatest difference "
                f"{one.greatest:.1e}, smallest cosine {one.cosine:.6f}"
            )
    outputs = ", ".join(f"{name} {shape}" for name, shape in exported.shapes.items())
    print(
        f"{target}: {exported.about['input']} -> {outputs}; {exported.about['precision']}, "
        f"{target.stat().st_size / 1e6:.1f} MB"
    )
    if described is not None:
        _print_ranks(cfg, args, target, described)
    elif args.int8:
        print("the cost of int8 in Rank-1 was not measured; try --dataset NAME")


def _print_ranks(cfg: Any, args: argparse.Namespace, target: Path, described: Any) -> None:
    from fed_plugin.fastreid_adapter.exporting import ExportedFile, rank_both
    from fed_plugin.retrieval.evaluation import compare_results

    file = ExportedFile(target, args.format)
    with ProgressLine(f"describing {args.dataset} with the file") as progress:
        of_model, of_file = rank_both(cfg, args.dataset, described, file, progress)
    model, other = (result.metrics["Rank-1"].value for result in (of_model, of_file))
    gap = compare_results(of_file, of_model)["Rank-1"]
    print(
        f"Rank-1 on {args.dataset}: model {model:.2f} %, file {other:.2f} %, "
        f"difference {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]"
    )

"""What ``search`` refuses before it reads anything: numbers, and files to write."""

from __future__ import annotations

import argparse

from fed_plugin.retrieval.whole_files import check_apart, check_writable


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse files to write that cannot be written, or that ``search`` reads.

    Args:
        args: of ``search``.

    Raises:
        FileNotFoundError: A folder to write in is not there.
        ValueError: The picture is no ``.png`` or ``.html``, or two of the files are the same one.
    """
    from fed_plugin.visualization.picture_file import check_kind

    taken = [args.index, *args.photos, *filter(None, [args.weights])]
    for flag, path in (("--json", args.json), ("--picture", args.picture)):
        if not path:
            continue
        if path == "-":
            raise ValueError(f"{flag} -: expected the name of a file; the table goes to stdout")
        check_writable(path)
        check_apart(path, taken)
        taken.append(path)
    if args.picture:
        check_kind(args.picture, "--picture")


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that no search takes.

    Args:
        args: of ``search``.

    Raises:
        ValueError: A share is none, or ``--top`` is below 1.
    """
    for name in ("min_probability", "min_visibility", "prior"):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}: expected a share from 0 to 1")
    if args.prior in (0, 1):
        raise ValueError(f"--prior {args.prior}: expected a share above 0 and below 1; try 0.001")
    if args.top < 1:
        raise ValueError(f"--top {args.top}: expected 1 or more")

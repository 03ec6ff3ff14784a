"""Command ``index``: describe a gallery of photos once, for ``search``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.arguments import check_weights, find_config
from fed_plugin.console import ProgressLine
from fed_plugin.files import FolderLock, OutputFile, check_apart

if TYPE_CHECKING:
    from fed_plugin.datasets.listing import FolderScan
    from fed_plugin.search.gallery_index import GalleryIndex

INTERRUPTED = "the index is as it was before"
_WAIT = 600.0  # seconds: a large index takes long to write
_WARN_ABOVE, _WARN_MORE = 2, 0.01
"""A warning follows if added photos lose more than twice the gallery's loss plus one percent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.description = (
        "Describe every photo below a folder with a model, and keep the descriptors in a file for "
        "`search` (docs/search.md). The file holds the config and the hash of the weights, and "
        "takes descriptors of no other model."
    )
    add = parser.add_argument
    add("gallery", nargs="?", metavar="GALLERY", help="folder of photos")
    add("-o", "--out", type=OutputFile, required=True, metavar="FILE.npz", help="the index")
    add("--config-file", help="a path, or the name of an installed config")
    add("--weights", metavar="FILE.pth", help="checkpoint of that config")
    add("--device", help="such as cuda:0; default: CUDA if there is a GPU")
    words = "add photos with the model of FILE.npz; names that are in it are skipped"
    add("--add", action="store_true", help=words)
    words = (
        "keep about an eighth of the descriptors' bytes, for large galleries: faster, and nearly "
        "always the same answers; the measured share is printed"
    )
    add("--compressed", action="store_true", help=words)
    add("--remove", nargs="+", metavar="NAME", help="remove photos; nothing is described")
    words = "status 1 if anything in GALLERY is not in the index, such as a broken photo"
    add("--strict", action="store_true", help=words)
    add("--force", action="store_true", help="write over an existing FILE.npz")


def run(args: argparse.Namespace) -> None:
    """Make, extend or shorten an index."""
    _check_arguments(args)
    if args.remove:
        _remove(args)
        return
    from fed_plugin.datasets.listing import photos_below
    from fed_plugin.search.gallery_index import check_enough
    from fed_plugin.search.search import embedder_of, load_gallery

    scan = photos_below(args.gallery)
    photos = [Path(path) for path in scan.images]
    if args.add:
        index = load_gallery(args.out)
        embedder = embedder_of(index, args.weights, args.device)
    else:
        index, embedder = _begun(args, photos)
    names = _names(photos, Path(index.about["folder"]))
    known = set(index.names)
    new = [(name, photo) for name, photo in zip(names, photos, strict=True) if name not in known]
    if args.compressed:
        check_enough(len(new), index.stored.width)
    outputs, good = _described(embedder, new)
    with _alone(args.out):
        index = _opened_again(args, index)
        known = set(index.names)
        good = [i for i in good if new[i][0] not in known]
        _append(index, new, outputs, good)
        if args.compressed:
            print(
                f"compressed: {index.compress():.2%} of the 50 most similar of 100 photos are "
                "found, or others as similar to 0.0001"
            )
        index.save(args.out)
    there = len(photos) - len(new)
    print(
        f"{args.out}: {len(good)} photos described, {len(index)} in the index, "
        f"{Path(args.out).stat().st_size / 1e6:.1f} MB"
        + (f"; {there} were in the index already" if there else "")
    )
    _say_what_is_lacking(args, scan, len(outputs.failures))


def _alone(out: str) -> FolderLock:
    """Return the lock under which an index is read, changed and written."""
    folder, name = os.path.split(os.path.realpath(out))  # one lock, also through a link
    words = {"work": f"is writing {name}", "label": out}
    return FolderLock(folder, f".{name}.lock", wait=_WAIT, patience=_WAIT, **words)


def _say_what_is_lacking(args: argparse.Namespace, scan: FolderScan, broken: int) -> None:
    """Count and name what the folder holds and the index does not.

    Raises:
        ValueError: there is such, and ``--strict`` is given.
    """
    from fed_plugin.datasets.listing import named_files

    lacking = [f"{broken} could not be read"] if broken else []
    folder, name = os.path.split(os.path.realpath(args.out))
    own = {os.path.join(folder, file) for file in (name, f".{name}.lock", f".{name}.lock.holder")}
    if others := [path for path in scan.passed_over if os.path.realpath(path) not in own]:
        named = named_files(others, args.gallery)
        lacking.append(f"{len(others)} files or folders passed over ({named})")
    if lacking and args.strict:
        raise ValueError(f"--strict: not in the index: {'; '.join(lacking)}")
    if lacking:
        print(f"not in the index: {'; '.join(lacking)}")


def _check_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other, before PyTorch is imported."""
    if args.remove:
        others = ("gallery", "add", "compressed", "config_file", "weights", "device")
        if extra := [name for name in others if getattr(args, name)]:
            raise ValueError(
                f"--remove: expected --out alone beside --remove, got {', '.join(extra)}; nothing "
                "is described when photos are removed"
            )
    elif not args.gallery:
        raise ValueError("GALLERY: expected a folder of photos, or --remove NAME...; got neither")
    elif not Path(args.gallery).is_dir():
        raise FileNotFoundError(f"GALLERY {args.gallery!r}: no such folder; expected photos in it")
    elif args.add:
        for name in ("config_file", "compressed"):
            if getattr(args, name):
                raise ValueError(
                    f"--{name.replace('_', '-')}: expected no such flag beside --add; an index "
                    "keeps its config and its compression"
                )
    else:
        _refuse_existing(args)
        if not (args.config_file and args.weights):
            raise ValueError("--config-file and --weights: expected both, to make an index")
        args.config_file = find_config(args.config_file)
    if args.weights is not None:
        check_weights(args.weights)


def _remove(args: argparse.Namespace) -> None:
    from fed_plugin.search.search import load_gallery

    with _alone(args.out):
        index = load_gallery(args.out)
        before = len(index)
        index.remove(args.remove)
        index.save(args.out)
    print(f"{args.out}: {before - len(index)} photos removed, {len(index)} left")


def _opened_again(args: argparse.Namespace, before: GalleryIndex) -> GalleryIndex:
    """Return the index as it is when it gets the photos: others may have written meanwhile.

    Raises:
        FileExistsError: the file is new.
        ValueError: the file is the index of another model or folder.
    """
    from fed_plugin.search.search import load_gallery

    if not args.add:
        _refuse_existing(args)
        return before
    index = load_gallery(args.out)
    index.check_model(before.about["model"])
    if index.about["folder"] != before.about["folder"]:
        raise ValueError(f"{args.out}: was made anew from another folder meanwhile; try again")
    return index


def _refuse_existing(args: argparse.Namespace) -> None:
    if os.path.exists(args.out) and not args.force:
        raise FileExistsError(f"{args.out}: exists already; try --add, another name, or --force")


def _begun(args: argparse.Namespace, photos: list[Path]) -> tuple[GalleryIndex, Any]:
    check_apart(args.out, [args.config_file, args.weights, *photos])
    from fed_plugin import Embedder
    from fed_plugin.search.gallery_index import GalleryIndex

    embedder = Embedder(args.config_file, args.weights, args.device)
    nothing = embedder([])
    parts = 0 if nothing.visibility is None else nothing.visibility.shape[1]
    weights, folder = (str(Path(path).absolute()) for path in (args.weights, args.gallery))
    about = {"model": embedder.model_identity, "config": embedder.cfg.dump()}
    about |= {"weights": weights, "folder": folder}
    return GalleryIndex(nothing.descriptors.shape[1], parts, about), embedder


def _names(photos: list[Path], folder: Path) -> list[str]:
    """Return paths of photos relative to the folder of the index, or whole paths outside.

    Links and ``..`` are resolved: a photo has one name.
    """
    real = {parent: parent.resolve() for parent in {photo.parent for photo in photos}}
    root, names = folder.resolve(), []
    for photo in photos:
        whole = real[photo.parent] / photo.name
        names.append((whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix())
    return names


def _described(embedder: Any, photos: list[tuple[str, Path]]) -> tuple[Any, list[int]]:
    """Describe photos; print those that cannot be read, and return the numbers of the others."""
    with ProgressLine("describing") as progress:
        outputs = embedder([path for _, path in photos], skip_errors=True, progress=progress)
    for reason in outputs.failures.values():
        print(f"left out: {reason}", file=sys.stderr)
    if outputs.failures and len(outputs.failures) == len(photos):
        raise ValueError(f"none of {len(photos)} photos can be read; nothing was written")
    return outputs, [i for i in range(len(photos)) if i not in outputs.failures]


def _append(
    index: GalleryIndex, photos: list[tuple[str, Path]], outputs: Any, good: list[int]
) -> None:
    """Add described photos to the index; warn if a compressed one suits them badly."""
    visibility = None if outputs.visibility is None else outputs.visibility[good]
    lost = index.add([photos[i][0] for i in good], outputs.descriptors[good], visibility)
    usual = getattr(index.stored, "lost", 0.0)
    if lost > _WARN_ABOVE * usual + _WARN_MORE:
        print(
            f"warning: the added photos lose {lost:.1%} of their similarity to themselves, the "
            f"photos that the index was compressed from {usual:.1%}: the added photos are unlike "
            "these and will be found less well; try making the index anew from all photos",
            file=sys.stderr,
        )

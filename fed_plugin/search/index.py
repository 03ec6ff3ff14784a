"""``index``: describe a gallery of photos once, for ``search``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

INTERRUPTED = "the index is as it was before"
_ALIKE, _LITTLE = 2, 0.01  # times what the gallery lost, and so much more, are no reason to warn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Describe every photo below a folder with a model and keep the descriptors in a file that "
        "`search` looks through (docs/search.md). The file knows the config and the weights' "
        "hash, and takes descriptors of no other model."
    )
    parser.add_argument("gallery", nargs="?", metavar="GALLERY", help="folder of photos")
    parser.add_argument("-o", "--out", required=True, metavar="FILE.npz", help="the index")
    parser.add_argument("--config-file", help="a path, or an installed config")
    parser.add_argument("--weights", metavar="FILE.pth", help="checkpoint of that config")
    parser.add_argument("--device", help="such as cuda:0; default: CUDA where there is one")
    parser.add_argument(
        "--add",
        action="store_true",
        help="add photos to an existing FILE.npz by the model that made it; those whose names are "
        "in it already are passed over",
    )
    parser.add_argument(
        "--compressed",
        action="store_true",
        help="keep about an eighth of the descriptors' bytes, for large galleries: faster, and "
        "nearly always with the same answers; how nearly is measured and printed",
    )
    parser.add_argument(
        "--remove", nargs="+", metavar="NAME", help="take photos out; nothing is described"
    )
    parser.add_argument("--force", action="store_true", help="write over an existing FILE.npz")


def run(args: argparse.Namespace) -> None:
    """Make, extend or cut down an index.

    Raises:
        FileExistsError: FILE.npz is there, and neither ``--add`` nor ``--force`` is.
        FileNotFoundError: no such folder, config, checkpoint or index.
        KeyError: a name to remove is not there.
        ValueError: words that contradict each other, a folder without photos that can be read, or
            another model.
    """
    from fed_plugin.files import check_apart, check_writable
    from fed_plugin.search.search import embedder_of, load_gallery

    target = Path(args.out)
    check_writable(target)
    if args.remove:
        beside = ("gallery", "add", "compressed", "config_file", "weights", "device")
        if found := [name for name in beside if getattr(args, name)]:
            raise ValueError(
                f"--remove: expected --out alone beside it, got {', '.join(found)}; nothing is "
                "described when photos are taken out"
            )
        index = load_gallery(target)
        before = len(index)
        index.remove(args.remove)
        index.save(target)
        print(f"{target}: {before - len(index)} photos removed, {len(index)} left")
        return
    photos = _photos_of(args.gallery)
    if args.add:
        if args.config_file:
            raise ValueError("--config-file: the index knows its config; leave it out with --add")
        if args.compressed:
            raise ValueError("--compressed: an index stays as it was made; leave it out with --add")
        index = load_gallery(target)
        embed = embedder_of(index, args.weights, args.device)
    else:
        if target.exists() and not args.force:
            raise FileExistsError(f"{target}: exists already; try --add, another name, or --force")
        if not (args.config_file and args.weights):
            raise ValueError("--config-file and --weights: expected both, to make an index")
        check_apart(target, [args.config_file, args.weights, *photos])
        from fed_plugin import Embedder

        embed = Embedder(args.config_file, args.weights, args.device)
        index = _empty_index(embed, args)
    names = _names(photos, Path(index.about["folder"]))
    known = set(index.names)
    new = [(name, photo) for name, photo in zip(names, photos, strict=True) if name not in known]
    if args.compressed:
        from fed_plugin.search.gallery_index import check_enough

        check_enough(len(new), index.stored.width)
    left_out = _describe_into(index, embed, new)
    if args.compressed:
        found = index.compress()
        print(
            f"compressed: {found:.2%} of the 50 most similar of 100 photos are found, or others as "
            "similar to 0.0001"
        )
    index.save(target)
    print(
        f"{target}: {len(new) - left_out} photos described, {len(index)} in the index, "
        f"{target.stat().st_size / 1e6:.1f} MB"
        + (f"; {len(photos) - len(new)} were in it already" if len(new) < len(photos) else "")
        + (f"; {left_out} could not be read" if left_out else "")
    )


def _photos_of(gallery: str | None) -> list[Path]:
    from fed_plugin.datasets.listing import IMAGE_SUFFIXES

    if not gallery:
        raise ValueError("GALLERY: expected a folder of photos, or --remove NAME...; got neither")
    if not Path(gallery).is_dir():
        raise FileNotFoundError(f"GALLERY {gallery!r}: no such folder; expected one of photos")
    photos = [x for x in Path(gallery).rglob("*") if x.suffix.lower() in IMAGE_SUFFIXES]
    if not photos:
        raise ValueError(f"{gallery}: no photo in it; expected files {', '.join(IMAGE_SUFFIXES)}")
    return sorted(photos)


def _empty_index(embed: Any, args: argparse.Namespace) -> Any:
    from fed_plugin.search.gallery_index import GalleryIndex

    nothing = embed([])
    parts = 0 if nothing.visibility is None else nothing.visibility.shape[1]
    about = {
        "model": embed.model_identity,
        "config": embed.cfg.dump(),
        "weights": str(Path(args.weights).absolute()),
        "folder": str(Path(args.gallery).absolute()),
    }
    return GalleryIndex(nothing.descriptors.shape[1], parts, about)


def _names(photos: list[Path], folder: Path) -> list[str]:
    """Return photos' paths from the index's folder on, whole paths of those that lie elsewhere.

    Folders are compared as they are on the disk: links and ``..`` make no second name.
    """
    real = {parent: parent.resolve() for parent in {photo.parent for photo in photos}}
    root, names = folder.resolve(), []
    for photo in photos:
        whole = real[photo.parent] / photo.name
        names.append((whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix())
    return names


def _describe_into(index: Any, embed: Any, photos: list[tuple[str, Path]]) -> int:
    """Add photos to the index; name those that cannot be read, and return how many."""
    from fed_plugin.console import ProgressLine

    with ProgressLine("describing") as progress:
        said = embed([path for _, path in photos], skip_errors=True, progress=progress)
    for why in said.failures.values():
        print(f"left out: {why}", file=sys.stderr)
    if said.failures and len(said.failures) == len(photos):
        raise ValueError(f"none of {len(photos)} photos can be read; nothing was written")
    good = [i for i in range(len(photos)) if i not in said.failures]
    visibility = None if said.visibility is None else said.visibility[good]
    lost = index.add([photos[i][0] for i in good], said.descriptors[good], visibility)
    if lost > _ALIKE * getattr(index.stored, "lost", 0) + _LITTLE:
        print(
            f"warning: the added photos lose {lost:.1%} of their similarity to themselves, those "
            f"that the index was compressed from {index.stored.lost:.1%}: they are unlike these "
            "and will be found less well; try making the index anew from all of them",
            file=sys.stderr,
        )
    return len(said.failures)

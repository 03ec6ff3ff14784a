"""The images of a folder, in an order that no file system can change."""

from __future__ import annotations

import logging
import os

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
_CLUTTER = ("thumbs.db", "desktop.ini")  # left behind by file managers; hidden files go anyway

logger = logging.getLogger(__name__)


def list_images(folder: str, *, nested: bool = False) -> list[str]:
    """List the images in ``folder``, sorted by base name.

    Hidden files and what file managers leave behind are passed over. Other files that are no
    images, going by their suffix in any case, are passed over too, with one warning.

    Args:
        folder: an existing folder.
        nested: also list the images in its direct subfolders.

    Returns:
        Paths that begin with ``folder``.

    Raises:
        ValueError: Two images have the same name but for their folder or suffix: a copy in another
            format would be counted as a second image.
    """
    paths = []
    for entry in visible_entries(folder):
        if not entry.is_dir():
            paths.append(entry.path)
        elif nested:
            paths += [inner.path for inner in visible_entries(entry.path) if not inner.is_dir()]
    images = [path for path in paths if path.lower().endswith(IMAGE_SUFFIXES)]
    others = [path for path in paths if not path.lower().endswith(IMAGE_SUFFIXES)]
    if others:
        logger.warning(
            "%s: passed over %d files that are no images (%s), such as %s",
            *(folder, len(others), " ".join(IMAGE_SUFFIXES), os.path.basename(others[0])),
        )
    _refuse_copies(images)
    return sorted(images, key=lambda path: (os.path.basename(path), path))


def visible_entries(folder: str) -> list[os.DirEntry[str]]:
    """List what a person put into ``folder``, files and folders, sorted by name."""
    with os.scandir(folder) as entries:
        visible = [
            entry
            for entry in entries
            if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER
        ]
    return sorted(visible, key=lambda entry: entry.name)


def _refuse_copies(images: list[str]) -> None:
    seen: dict[str, str] = {}
    for path in images:
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem in seen:
            raise ValueError(
                f"{seen[stem]} and {path}: expected one file per image, got two of one name; try "
                "moving the copies elsewhere"
            )
        seen[stem] = path

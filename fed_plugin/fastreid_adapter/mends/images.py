"""Mends of reading images: every image is RGB, and an image that fails is named."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import Call, add_step, mend, mentions


@mend("Images are not read as RGB", after="fastreid.data.data_utils")
def images_are_read_as_rgb(module: ModuleType) -> bool:
    """Let ``read_image`` return mode RGB for every file, with the same bits where it did already.

    16 bits are scaled to 8, transparent pixels lie on mid grey, and of several frames the first is
    taken.
    """

    def read_rgb_image(file_name: str, format: Any = None) -> Any:
        from PIL import Image, ImageOps

        with module.PathManager.open(file_name, "rb") as file:
            image = Image.open(file)
            if image.mode in ("RGB", "L") and "transparency" not in image.info:
                with contextlib.suppress(Exception):  # broken EXIF data spoil no image: as stock
                    image = ImageOps.exif_transpose(image)
                return image.convert("RGB")
            from fed_plugin.transforms.occluders import read_rgb

            file.seek(0)
            return Image.fromarray(read_rgb(file))

    def as_rgb(call: Call) -> Iterator[None]:
        if call.argument("format") is None:
            call.function = read_rgb_image
        yield

    reads_palettes = _reads_palettes(module.read_image)
    return not reads_palettes and add_step(module, "read_image", as_rgb)


def _reads_palettes(read_image: Any) -> bool:
    """Return whether a reader gives the pixel of a palette image its colour."""
    import tempfile

    from PIL import Image

    image = Image.new("P", (1, 1))
    image.putpalette((10, 20, 30))
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "palette.png")
            image.save(path)
            return read_image(path).getpixel((0, 0)) == (10, 20, 30)
    except OSError:  # nowhere to write
        return False


@mend("An unreadable image is not named", after="fastreid.data.data_utils")
def unreadable_image_names_its_file(module: ModuleType) -> bool:
    """Let ``read_image`` raise one sentence with the path."""

    def name(call: Call) -> Iterator[None]:
        path = call.argument("file_name")
        yield
        if isinstance(call.error, Exception):
            # Most errors of a whole file repeat its path; their name says as much.
            kind, text = type(call.error).__name__, str(call.error)
            why = text if str(path) not in text else kind
            call.error = RuntimeError(f"cannot read image {path}: {why}")

    known = mentions(module.read_image, "cannot read image")
    return not known and add_step(module, "read_image", name)


@mend("An image that a transform fails on is not named", after="fastreid.data.common")
def failing_transform_names_its_file(module: ModuleType) -> bool:
    """Let ``CommDataset`` name the file of an item that cannot be prepared."""

    def name(call: Call) -> Iterator[None]:
        dataset, index = call.args
        yield
        if isinstance(call.error, Exception):
            path = str(dataset.img_items[index][0])
            if path not in str(call.error):
                why = f"{type(call.error).__name__}: {call.error}"
                call.error = RuntimeError(f"cannot prepare image {path}: {why}")

    known = mentions(module.CommDataset.__getitem__, "cannot prepare image")
    return not known and add_step(module.CommDataset, "__getitem__", name)

"""Rows 4 and 15: every image comes out as RGB; one that cannot be read or prepared is named."""

from __future__ import annotations

import contextlib
import functools
import os
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import mend, mentions, replace


@mend(
    row=15,
    after="fastreid.data.data_utils",
    reason="a palette image is read as a map of indices, transparency and CMYK as a 4th channel",
)
def images_are_read_as_rgb(module: ModuleType) -> bool:
    """Let ``read_image`` return mode RGB for every file, with the same bits where it did already.

    16 bits are scaled to 8, what is transparent lies on mid grey, and of several frames the first
    is taken.
    """
    stock = module.read_image
    if _reads_palettes(stock):
        return False

    @functools.wraps(stock)
    def read_image(file_name: str, format: Any = None) -> Any:
        if format is not None:
            return stock(file_name, format)
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

    replace(module, "read_image", read_image)
    return True


def _reads_palettes(read_image: Any) -> bool:
    """Tell whether a reader gives a palette image its colours; try it on one."""
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


@mend(
    row=4,
    after="fastreid.data.data_utils",
    reason="an unreadable image does not say which file it is",
)
def unreadable_image_names_its_file(module: ModuleType) -> bool:
    """Let ``read_image`` raise one sentence with the path."""
    stock = module.read_image
    if mentions(stock, "cannot read image"):
        return False

    @functools.wraps(stock)
    def read_image(file_name: str, format: Any = None) -> Any:
        try:
            return stock(file_name, format)
        except Exception as error:
            # Most errors of a whole file repeat its path; their name says as much.
            why = str(error) if str(file_name) not in str(error) else type(error).__name__
            raise RuntimeError(f"cannot read image {file_name}: {why}") from error

    replace(module, "read_image", read_image)
    return True


@mend(
    row=4,
    after="fastreid.data.common",
    reason="a transform that fails does not say for which image",
)
def failing_transform_names_its_file(module: ModuleType) -> bool:
    """Let ``CommDataset`` name the file of an item that cannot be prepared."""
    dataset = module.CommDataset
    stock = dataset.__getitem__
    if mentions(stock, "cannot prepare image"):
        return False

    @functools.wraps(stock)
    def __getitem__(self: Any, index: int) -> Any:  # noqa: N807
        try:
            return stock(self, index)
        except Exception as error:
            path = str(self.img_items[index][0])
            if path in str(error):
                raise
            why = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"cannot prepare image {path}: {why}") from error

    dataset.__getitem__ = __getitem__
    return True

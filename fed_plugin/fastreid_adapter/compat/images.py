"""Row 4: an image that cannot be read or prepared says which file it is."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mending import mend, mentions, replace


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

"""Which CUDA device a cell runs on, where there are several of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fed_plugin.cli.benchmark.cells import Cell

VISIBLE = "CUDA_VISIBLE_DEVICES"


def cuda_devices() -> list[str]:
    """Return the devices of this process as ``CUDA_VISIBLE_DEVICES`` calls them; none without CUDA.

    They are counted and not touched: this process keeps no memory on any.
    """
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(VISIBLE)
    names = map(str, range(count)) if named is None else map(str.strip, named.split(","))
    return list(names)[:count]


def choose_device(cell: Cell, devices: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """Return the device that the fewest running cells have, the first of several.

    Args:
        cell: to start.
        devices: to choose among.
        taken: those of the cells that are running.

    Returns:
        None where there is nothing to choose, or the cell's config names its device by number.
    """
    wanted = str(cell.settings.get("MODEL.DEVICE", "cuda"))
    if len(devices) < 2 or wanted != "cuda":
        return None
    return min(devices, key=list(taken).count)

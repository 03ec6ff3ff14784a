"""Beside row 22: warnings that every process repeats and no user can act on."""

from __future__ import annotations

import warnings
from types import ModuleType

from .mending import mend

MESSAGE = "TypedStorage is deprecated"


@mend(
    row=22,
    after="fastreid.data.transforms.functional",
    reason="every process and loader worker warns about the storage class to_tensor uses",
)
def deprecated_storage_warns_nobody(module: ModuleType) -> bool:
    """Silence that one warning where this PyTorch gives it."""
    torch = module.torch
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.ByteTensor(torch.ByteStorage.from_buffer(b"0"))
    if not any(MESSAGE in str(warning.message) for warning in caught):
        return False
    warnings.filterwarnings("ignore", message=MESSAGE, category=UserWarning)
    return True

"""FED for fast-reid: occluded person re-identification, added to a stock toolbox by config files.

Importing this package imports nothing else; ``fed_plugin.fastreid_adapter`` is the one room that
needs fast-reid, ``fed_plugin.modeling`` needs PyTorch alone. ``fed_plugin.Embedder`` is imported
when somebody asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.embedder import Embedder, Embeddings

__version__ = "0.2.0"
__all__ = ["Embedder", "Embeddings", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in ("Embedder", "Embeddings"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import projects_registry  # noqa: F401 - arms the mends, also without the .pth line

    return getattr(import_module("fed_plugin.fastreid_adapter.embedder"), name)

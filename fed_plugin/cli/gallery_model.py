"""The model that an index of a gallery was made by, again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fed_plugin.retrieval.gallery_index import GalleryIndex


def embedder_of(index: GalleryIndex, weights: str | None, device: str | None) -> Any:
    """Build the ``Embedder`` that an index was made by.

    Args:
        index: whose ``about`` holds the config and where the weights lay.
        weights: where they lie now; None looks where they lay.
        device: as ``Embedder`` takes it.

    Raises:
        FileNotFoundError: The weights are not there.
        ValueError: They are other weights than the index was made by.
    """
    from fed_plugin import Embedder

    where = index.about.get("weights", "") if weights is None else weights
    if where and not Path(where).is_file():
        raise FileNotFoundError(
            f"{where}: no such file; expected the weights the index was made by, try --weights FILE"
        )
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config_of_the_index.yaml"
        config.write_text(str(index.about.get("config", "")))
        embedder = Embedder(config, where, device)
    index.check_model(embedder.model_identity)
    return embedder

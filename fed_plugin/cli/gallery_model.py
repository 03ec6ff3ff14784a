"""The model that an index of a gallery was made by, again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fed_plugin.retrieval.gallery_index import GalleryIndex


def load_gallery(path: str | Path) -> GalleryIndex:
    """Read an index that the command ``index`` wrote.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is something else, or does not say what it was made by.
    """
    index = GalleryIndex.load(path)
    kinds = {"config": str, "weights": str, "folder": str, "model": dict}
    lacking = [name for name, kind in kinds.items() if not isinstance(index.about.get(name), kind)]
    if lacking:
        raise ValueError(
            f"{path}: its `about` does not say {', '.join(lacking)}; expected an index that the "
            "command `index` wrote, try making it anew"
        )
    return index


def embedder_of(index: GalleryIndex, weights: str | None, device: str | None) -> Any:
    """Build the ``Embedder`` that an index was made by.

    Args:
        index: whose ``about`` holds the config and where the weights lay.
        weights: where they lie now; None looks where they lay.
        device: as ``Embedder`` takes it.

    Raises:
        FileNotFoundError: The weights are not there.
        KeyError: The index's config has a key that nobody here declares.
        ValueError: The weights are others than the index was made by, or the index's config is
            none.
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
        try:
            embedder = Embedder(config, where, device)
        except (ValueError, KeyError) as error:
            told = str(error.args[0]) if error.args else ""
            if str(config) not in told:  # a name that is gone when it is read
                raise
            raise type(error)(told.replace(str(config), "the index's config")) from error
    index.check_model(embedder.model_identity)
    return embedder

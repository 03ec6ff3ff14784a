"""A descriptor that learned nothing, as a feature dump: the colour histogram of three stripes.

    python benchmarks/colour_histogram.py --out datasets/colour_histogram.npz

describes the SynthOcc that ``FASTREID_DATASETS`` holds, at the trained methods' input size, for
the row of that name in ``plans/synthocc.yml``. Anybody's features enter a plan in this way.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image
from synthocc_baselines import NAME, histogram

from fed_plugin.photos import read_rgb
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import ProtocolCard

SPLITS = {"query": "query", "gallery": "bounding_box_test"}
HEIGHT, WIDTH = 96, 48


def main() -> None:
    """Write the dump."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    datasets = Path(os.environ.get("FASTREID_DATASETS", "datasets"))
    parser.add_argument("--folder", type=Path, default=datasets / "SynthOcc", help="of SynthOcc")
    parser.add_argument("--out", type=Path, default=datasets / "colour_histogram.npz")
    args = parser.parse_args()
    paths = {split: sorted((args.folder / name).glob("*.jpg")) for split, name in SPLITS.items()}
    images = [path for split in SPLITS for path in paths[split]]
    pids, camids = zip(*(map(int, NAME.match(path.name).groups()) for path in images), strict=True)
    card = ProtocolCard(
        dataset="SynthOcc", input_size=(HEIGHT, WIDTH), flip=False, side_information="none"
    )
    about = {"method": "colour histogram", "dataset": "SynthOcc", "card": card.to_json()}
    FeatureDump(
        features=histogram(np.stack([_read(path) for path in images]), stripes=3),
        pids=np.array(pids),
        camids=np.array(camids),
        split=np.array([split for split in SPLITS for _ in paths[split]]),
        names=np.array([path.name for path in images]),
        about=about,
    ).save(args.out)
    print(f"{args.out}: {len(images)} images")


def _read(path: Path) -> np.ndarray:
    image = Image.fromarray(read_rgb(path))
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()

"""How hard SynthOcc is for descriptors that have learned nothing.

Draws SynthOcc (or takes a folder that is already drawn) and ranks its occluded queries by colour
histograms, by colour means per stripe and by networks with random weights. A data set on which
these do well would prove nothing about a trained model.

    python benchmarks/synthocc_baselines.py --size small --drawings 0 1 2

writes ``benchmarks/results/synthocc_baselines.json``, from which ``readme_results.py`` makes the
README's table. Histograms fall below chance because the nearest image by colour is one of the same
camera, and the right answers are never of that camera.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models import resnet18

from fed_plugin.photos import read_rgb
from fed_plugin.retrieval import cosine_distance, rank
from fed_plugin.synthocc import SIZES, build_synthocc

NAME = re.compile(r"([-\d]+)_c(\d+)")
NETWORK_SEEDS = range(5)
RESULTS = Path(__file__).parent / "results" / "synthocc_baselines.json"

Row = dict[str, Any]
Split = tuple[np.ndarray, np.ndarray, np.ndarray]  # (N, 128, 64, 3) uint8, pids, camids


def main() -> None:
    """Print one table per drawing, and write all scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="small", choices=list(SIZES))
    parser.add_argument("--drawings", type=int, nargs="+", default=[0], help="seeds to draw")
    parser.add_argument("--folder", type=Path, help="where to keep the drawings")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default: {RESULTS.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in args.drawings:
            folder = (args.folder or Path(scratch)) / f"{args.size}_{seed}"
            rows += report(build_synthocc(folder, args.size, seed), seed)
    words = f"--size {args.size} --drawings {' '.join(map(str, args.drawings))}"
    about = {
        "size": args.size,
        "drawings": args.drawings,
        "network_seeds": len(NETWORK_SEEDS),
        "torch": torch.__version__,
        "command": f"python benchmarks/synthocc_baselines.py {words}",
    }
    args.out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(f"\n{args.out}")


def report(folder: Path, seed: int) -> list[Row]:
    """Print and return Rank-1 and mAP in per cent of every baseline on one drawing."""
    query, gallery = read(folder / "query"), read(folder / "bounding_box_test")
    print(
        f"\n{folder.name} (seed {seed}): {len(query[1])} queries, {len(gallery[1])} gallery images"
    )
    print(f"{'descriptor':34s} {'Rank-1 %':>18s} {'mAP %':>18s}")
    rows = []
    for name, describers in baselines():
        scores = [score(describe, query, gallery) for describe in describers]
        rank1, mean_ap = (100 * np.asarray(column) for column in zip(*scores, strict=True))
        print(f"{name:34s} {spread(rank1):>18s} {spread(mean_ap):>18s}", flush=True)
        values = {"rank1": rank1.round(3).tolist(), "mAP": mean_ap.round(3).tolist()}
        rows.append({"descriptor": name, "drawing": seed, **values})
    return rows


def spread(values: np.ndarray) -> str:
    """Return the mean and, of several values, the range."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{values.mean():.1f} ({values.min():.1f}-{values.max():.1f})"


def read(folder: Path) -> Split:
    """Read a split into arrays."""
    paths = sorted(folder.glob("*.jpg"))
    pixels = np.stack([read_rgb(path) for path in paths])
    keys = [NAME.match(path.name).groups() for path in paths]
    return pixels, np.array([int(k[0]) for k in keys]), np.array([int(k[1]) for k in keys])


Describe = Callable[[np.ndarray], np.ndarray]


def baselines() -> Iterator[tuple[str, list[Describe]]]:
    """Yield the name of each baseline and its descriptors, one per network seed."""
    yield "chance", [_noise(seed) for seed in NETWORK_SEEDS]
    yield "colour histogram 8x8x8", [lambda x: histogram(x, 1)]
    yield "colour histogram 8x8x8, 3 stripes", [lambda x: histogram(x, 3)]
    yield "colour means, 4 stripes", [lambda x: means(x, 4, 1)]
    yield "colour means, 8 x 4 cells", [lambda x: means(x, 8, 4)]
    yield "colour means, grey world", [lambda x: means(grey_world(x), 8, 4)]
    yield "ResNet-18, random weights", [_random(_resnet, seed) for seed in NETWORK_SEEDS]
    yield "tiny ViT, random weights", [_random(TinyViT, seed) for seed in NETWORK_SEEDS]


def score(describe: Describe, query: Split, gallery: Split) -> tuple[float, float]:
    """Return Rank-1 and mAP under the same-identity-and-camera rule, by cosine."""
    distances = cosine_distance(describe(query[0]), describe(gallery[0]))
    result = rank(distances, query[1], gallery[1], query[2], gallery[2])
    return result.rank1, result.mAP


def histogram(pixels: np.ndarray, stripes: int) -> np.ndarray:
    """Return (N, stripes * 512) shares of colours, square-rooted as usual for histograms."""
    bins = pixels.astype(int) // 32
    codes = bins[..., 0] * 64 + bins[..., 1] * 8 + bins[..., 2]
    parts = np.array_split(codes, stripes, axis=1)
    rows = [
        [np.bincount(part[i].ravel(), minlength=512) for part in parts] for i in range(len(codes))
    ]
    return np.sqrt(np.asarray(rows, dtype=np.float32).reshape(len(codes), -1))


def means(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return (N, rows * columns * 3) mean colours, centred."""
    n, height, width, _ = pixels.shape
    cells = pixels.reshape(n, rows, height // rows, columns, width // columns, 3)
    return cells.mean(axis=(2, 4)).reshape(n, -1).astype(np.float32) / 255 - 0.5


def grey_world(pixels: np.ndarray) -> np.ndarray:
    """Return images whose colour channels have equal means and spreads: casts taken out."""
    values = pixels.astype(np.float32)
    values = values - values.mean(axis=(1, 2), keepdims=True)
    return values / values.std(axis=(1, 2), keepdims=True) * 64 + 128


def _noise(seed: int) -> Describe:
    rng = np.random.default_rng(seed)
    return lambda x: rng.normal(size=(len(x), 16)).astype(np.float32)


def _random(make: Callable[[], nn.Module], seed: int) -> Describe:
    torch.manual_seed(seed)
    network = make().eval()

    def describe(pixels: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            return torch.cat([network(part) for part in images.split(64)]).numpy()

    return describe


def _resnet() -> nn.Module:
    network = resnet18(weights=None)
    network.fc = nn.Identity()
    return network


class TinyViT(nn.Module):
    """A plain ViT: 16 x 16 patches, 4 layers of 192 channels, mean of the patch tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 192, 16, 16)
        self.position = nn.Parameter(torch.randn(1, 32, 192) * 0.02)
        layer = nn.TransformerEncoderLayer(
            192, 3, 768, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 128, 64) images to (B, 192) features."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.position
        return self.layers(tokens).mean(dim=1)


if __name__ == "__main__":
    main()

"""Draw descriptors of many people as a trained model would give them, to a file.

A feature dump of a trained model says how its descriptors spread: ``spread_of`` measures, along the
axes of their covariance, the variance between and within identities, and the mean. A person is then
drawn from the first, every image of the person from the second, both Gaussian, and brought to
length 1. A model of ``D`` numbers is repeated side by side, independently, up to the width asked
for, so that ``n`` repetitions have ``n`` times as many directions that matter: harder to compress
than the same spectrum padded with zeros. The axes are not rotated back: no method here looks at
single numbers of a descriptor, a rotation changes no inner product.

    python benchmarks/speed/drawn_people.py spread DUMP.npz "what it is of"   # writes the JSON
    python benchmarks/speed/drawn_people.py draw FOLDER --images 1000000 --queries 10000
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.distances import unit_rows
from fed_plugin.retrieval.feature_dump import FeatureDump

SPREAD = Path(__file__).parents[1] / "results" / "speed" / "spread_of_descriptors.json"
WIDTH = 3072
IMAGES_PER_PERSON = 10
CAMERAS = 6
_BLOCK = 8192


def main() -> None:
    """Measure a spread, or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    spread = commands.add_parser("spread")
    spread.add_argument("dump", type=Path)
    spread.add_argument("words", help="whose descriptors they are")
    drawing = commands.add_parser("draw")
    drawing.add_argument("folder", type=Path)
    drawing.add_argument("--images", type=int, required=True)
    drawing.add_argument("--queries", type=int, default=10_000)
    args = parser.parse_args()
    if args.command == "spread":
        found = {"of": args.words, **spread_of(FeatureDump.load(args.dump))}
        SPREAD.write_text(json.dumps(found) + "\n")
        print(SPREAD)
    else:
        draw(args.folder, args.images, args.queries)


def spread_of(dump: FeatureDump) -> dict[str, Any]:
    """Return ``mean``, ``between`` and ``within``, a number per axis, the widest axis first."""
    units = unit_rows(dump.features.astype(np.float32)).astype(np.float64)
    _, person, counts = np.unique(dump.pids, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), units.shape[1]))
    np.add.at(means, person, units)
    means /= counts[:, None]
    axes = np.linalg.eigh(np.cov(units.T))[1][:, ::-1]
    within = (((units - means[person]) @ axes) ** 2).sum(axis=0) / (len(units) - len(counts))
    between = ((means - means.mean(axis=0)) @ axes).var(axis=0, ddof=1)
    between = np.maximum(between - within * np.mean(1 / counts), 0)
    found = {"mean": units.mean(axis=0) @ axes, "between": between, "within": within}
    return {name: [float(f"{x:.4g}") for x in values] for name, values in found.items()}


def draw(folder: Path, images: int, queries: int, seed: int = 0) -> None:
    """Write ``gallery.npy`` (images, WIDTH), ``query.npy`` and ``labels.npz`` to a folder.

    Identities stand in any order in the gallery; queries are further images of its people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    people = -(-images // IMAGES_PER_PERSON)
    g_pids = rng.permutation(np.repeat(np.arange(people), IMAGES_PER_PERSON)[:images])
    q_pids = rng.permutation(people)[:queries]
    g_camids, q_camids = (rng.integers(0, CAMERAS, n) for n in (images, len(q_pids)))
    labels = {"q_pids": q_pids, "g_pids": g_pids, "q_camids": q_camids, "g_camids": g_camids}
    np.savez(folder / "labels.npz", **labels)
    crowd = Crowd(people, seed)
    for name, pids in (("query", q_pids), ("gallery", g_pids)):
        file = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(len(pids), WIDTH)
        )
        for top in range(0, len(pids), _BLOCK):
            file[top : top + _BLOCK] = crowd.images(pids[top : top + _BLOCK], rng)
            print(f"{name} {top}/{len(pids)}", end="\r", file=sys.stderr, flush=True)
        file.flush()


class Crowd:
    """Hold people, each with the mean of their descriptors.

    Args:
        people: how many.
        seed: of the drawing.
        width: numbers of a descriptor.
    """

    def __init__(self, people: int, seed: int = 0, width: int = WIDTH) -> None:
        said = json.loads(SPREAD.read_text())
        times = width // len(said["mean"])
        mean, between, within = (
            np.repeat(said[name], times) / np.sqrt(times) ** (1 if name == "mean" else 2)
            for name in ("mean", "between", "within")
        )
        self.between, self.within = (np.sqrt(x).astype(np.float32) for x in (between, within))
        self.mean, self.seed, self.people = mean.astype(np.float32), seed, people

    def images(self, pids: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw an image's descriptor of each of (N,) people: (N, width) of length 1."""
        drawn = rng.standard_normal((len(pids), len(self.mean)), dtype=np.float32) * self.within
        for row, pid in enumerate(pids):  # a person is drawn anew each time, always the same
            person = np.random.Generator(np.random.SFC64([self.seed + 1, pid]))
            drawn[row] += person.standard_normal(len(self.mean), np.float32) * self.between
        return unit_rows(drawn + self.mean)


if __name__ == "__main__":
    main()

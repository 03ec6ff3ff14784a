"""Quality of an occluder set: the supervision that it gives the OEM, and its leaks.

The module joins `transforms`, `modeling` and `datasets`, which do not import each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.datasets.check import find_targets
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.occluder_sets import Crop, LeftOut, alike, look_of, no_progress
from fed_plugin.datasets.splits import Item, Layout
from fed_plugin.photos import read_rgb

DRAWS = 2000
_BATCH = 100
_BASE = 127.5  # no whole grey level: every pasted pixel differs from it


def measure_supervision(
    folder: str | Path,
    draws: int = DRAWS,
    size: tuple[int, int] = (256, 128),
    num_parts: int = 4,
    seed: int = 0,
    alpha: bool = False,
) -> dict[str, Any]:
    """Place crops by the reference's rules and count the parts that the targets mark.

    Every covered pixel counts alike. The rule "reference" weighs a pixel by its difference from the
    person; on drawn people the weights move under two images of a hundred between one part and two.

    Returns:
        The arguments, ready for JSON, and for "all", "tall" (h/w > 2) and "wide" crops the number
        of draws, ``informative`` (share whose target by the rule "reference" is not all ones),
        ``marked_parts`` (share of draws with 0, 1, .. P parts marked as covered) and ``hidden``
        (mean covered share of a part, from the rule "coverage").

    Raises:
        ValueError: ``draws`` is below 1, or the parts do not divide the height.
    """
    import torch

    from fed_plugin.modeling import visibility_target
    from fed_plugin.transforms import OccluderSet, draw_placement, occlusion_mask, paste

    check_words(draws, size, num_parts)
    height, width = size
    occluders = OccluderSet.from_folder(folder, alpha=alpha)
    generator = torch.Generator().manual_seed(seed)
    base = torch.full((3, height, width), _BASE)
    marked, hidden, tall = [], [], []
    for start in range(0, draws, _BATCH):
        count = min(_BATCH, draws - start)
        places = [draw_placement(occluders.sizes, height, width, generator) for _ in range(count)]
        covered = [
            occlusion_mask(place, height, width)
            if occluders.alpha(place.occluder) is None
            else (paste(base, occluders, place) != base).any(dim=0)
            for place in places
        ]
        views = torch.stack(covered).unsqueeze(1).float()  # (B, 1, H, W): one colour is enough
        blank = torch.zeros_like(views)
        target = visibility_target(blank, views, num_parts, "reference")
        marked.append((target < 1).sum(dim=1))
        hidden.append(1 - visibility_target(blank, views, num_parts, "coverage").mean(dim=1))
        shapes = [occluders.sizes[place.occluder] for place in places]
        tall.append(torch.tensor([rows > 2 * columns for rows, columns in shapes]))
    parts, shares, is_tall = torch.cat(marked), torch.cat(hidden), torch.cat(tall)
    about = {"draws": draws, "image": list(size), "parts": num_parts, "seed": seed, "alpha": alpha}
    groups = {"all": torch.ones_like(is_tall), "tall": is_tall, "wide": ~is_tall}
    return {**about, **{n: _summary(parts[g], shares[g], num_parts) for n, g in groups.items()}}


def check_words(draws: int, size: tuple[int, int], num_parts: int = 4) -> None:
    """Refuse numbers without a measurement by a ValueError, before any long work."""
    height, width = size
    if draws < 1 or num_parts < 1 or height % num_parts or min(size) < 4:
        raise ValueError(
            f"--draws {draws} --image-size {height} {width}: expected at least one draw, and an "
            f"image of 4 x 4 or more whose height {num_parts} parts divide"
        )


def _summary(parts: Any, shares: Any, num_parts: int) -> dict[str, Any]:
    count = len(parts)
    if not count:
        return {"draws": 0}
    histogram = parts.bincount(minlength=num_parts + 1).double() / count
    return {
        "draws": count,
        "informative": round(1 - float(histogram[0]), 4),
        "marked_parts": [round(share, 4) for share in histogram.tolist()],
        "hidden": round(float(shares.double().mean()), 4),
    }


def supervision_sentences(measured: Mapping[str, Any], tall: int, count: int) -> list[str]:
    """Return what `measure_supervision` measured in sentences, for ``tall`` crops of ``count``."""
    height, width = measured["image"]
    every = measured["all"]
    detail = ", ".join(
        f"{_percent(share)} {parts} part{'s' * (parts > 1)}"
        for parts, share in enumerate(every["marked_parts"])
        if parts and share
    )
    groups = {kind: measured[kind] for kind in ("tall", "wide") if measured[kind]["draws"]}
    hidden = ", ".join(f"{kind} crops {_percent(of['hidden'])}" for kind, of in groups.items())
    lines = [
        f"what it teaches the OEM, by {measured['draws']} placements of the reference's rules on "
        f"{height} x {width} images (seed {measured['seed']}"
        f"{', transparency kept' if measured['alpha'] else ''}):",
        f"  {_percent(tall / count)} of the crops are tall (h/w > 2): {_of_tall(measured['tall'])}",
        f"  {_percent(every['informative'])} of the images get a target with an occluded part"
        + (f" ({detail})" if detail else ""),
        f"  with MODEL.FED.OEM.TARGET coverage all of them do: {_percent(every['hidden'])} of an "
        f"image is covered on average ({hidden})",
    ]
    if every["informative"] < 0.5:
        lines.append(
            "  under half of the images teach anything: add crops with h/w <= 2, or set "
            "MODEL.FED.OEM.TARGET coverage"
        )
    return lines


def _of_tall(tall: Mapping[str, Any]) -> str:
    if not tall["draws"]:
        return "none to place"
    if not tall["informative"]:
        return "they cover the full height, and give no supervision by the rule reference"
    return f"{_percent(tall['informative'])} of their images get a target with an occluded part"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# Leaks: crops of an occluder set that are cut out of a data set's query images.


@dataclass(frozen=True)
class LeakReport:
    """Outcome of a search for leaks."""

    dataset: str
    images: int
    leaks: dict[int, str]
    unsearchable: list[int]
    unreadable: list[str]

    def left_out(self, crops: Sequence[Crop]) -> list[LeftOut]:
        """Return the leaking crops as crops that are left out."""
        return [LeftOut(crops[i].origin, "leak", place) for i, place in sorted(self.leaks.items())]

    def to_json(self, crops: Sequence[Crop]) -> dict[str, Any]:
        """Describe the search for a manifest, which lists leaking crops among those left out."""
        return {
            "data set": self.dataset,
            "query images": self.images,
            "leaking crops": len(self.leaks),
            "too small or flat to be found": [crops[index].origin for index in self.unsearchable],
            "unreadable query images": self.unreadable,
        }


def named_split(words: str, split: str) -> tuple[Layout, list[Item]]:
    """Return the row and the images of a data set that a user named, as for ``data check``.

    The split is "train" or "query".

    Raises:
        FileNotFoundError: the data set is not there.
        ValueError: the data set has no such split, or cannot be read, or the words mean several.
    """
    targets = find_targets(words, os.environ.get("FASTREID_DATASETS", "datasets"))
    if len(targets) != 1:
        names = ", ".join(target.name for target in targets)
        raise ValueError(f"{words}: expected one data set; it holds {names}; name one of them")
    target = targets[0]
    listing = next((one for one in target.list_files() if one.split == split), None)
    if listing is None:
        raise ValueError(f"{target.name} has no {split} split; expected a data set with one")
    if listing.problem or not listing.items:
        raise ValueError(f"{target.name}, {split}: {listing.problem or 'holds no image'}")
    return target.layout, listing.items


def search_leaks(
    crops: Sequence[Crop],
    dataset: str,
    queries: Sequence[Item],
    progress: Callable[[int, int], None] = no_progress,
) -> LeakReport:
    """Search crops inside query images, at native scale, and as whole pictures at any scale.

    No piece of the queries may be trained on. ``progress`` gets images done and images in all.
    """
    from fed_plugin.transforms.leaks import LeakSearch

    search = LeakSearch([crop.pixels for crop in crops])
    leaks: dict[int, str] = {}
    looks, names, unreadable = [], [], []
    for done, (path, _, _) in enumerate(queries, start=1):
        name = printable(os.path.basename(path))
        try:
            image = read_rgb(Path(path))
        except Exception as error:  # every decoder raises its own kinds
            unreadable.append(f"{name}: {error}")
        else:
            for leak in search.in_image(image):
                place = f"row {leak.top}, column {leak.left}, correlation {leak.correlation:.2f}"
                leaks.setdefault(leak.crop, f"inside query image {name} ({place})")
            looks.append(look_of(image))
            names.append(name)
        progress(done, len(queries))
    for crop, image_index in alike([look_of(crop.pixels) for crop in crops], looks):
        leaks.setdefault(crop, f"the same picture as query image {names[image_index]}")
    return LeakReport(dataset, len(queries), leaks, search.unsearchable, unreadable)

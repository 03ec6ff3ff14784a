"""How much an occluder set teaches the OEM: placements drawn, targets counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

DRAWS = 2000
_BATCH = 100
_BASE = 127.5  # no whole grey level: whatever is pasted differs from it


def measure_supervision(
    folder: str | Path,
    draws: int = DRAWS,
    size: tuple[int, int] = (256, 128),
    num_parts: int = 4,
    seed: int = 0,
    alpha: bool = False,
) -> dict[str, Any]:
    """Place crops by the reference's rules and count what the visibility targets say.

    Every covered pixel counts alike, where the rule "reference" weighs it by how unlike the person
    it is; on drawn people that moves under two images of a hundred between one part and two.

    Args:
        folder: a set, or any folder of crops.
        draws: placements, at least 1.
        size: (height, width) of a training image.
        num_parts: stripes.
        seed: of the placements.
        alpha: whether transparency is kept (INPUT.NPO.ALPHA).

    Returns:
        Ready for JSON: the arguments, then for "all", "tall" (h/w > 2) and "wide" crops the number
        of draws, ``informative`` (share whose target by the rule "reference" is not all ones),
        ``marked_parts`` (share of draws with 0, 1, .. P parts marked as covered) and ``hidden``
        (mean covered share of a part, from the rule "coverage").

    Raises:
        ValueError: fewer than one draw, or parts that do not divide the height.
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
        views = torch.stack(covered).unsqueeze(1).float()  # (B, 1, H, W): a colour is enough
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
    """Refuse what cannot be measured, before any long work.

    Raises:
        ValueError: fewer than one draw, or parts that do not divide the height.
    """
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


def say_supervision(found: Mapping[str, Any], tall: int, count: int) -> list[str]:
    """Put a measurement into sentences.

    Args:
        found: what ``measure_supervision`` returned.
        tall: crops of the set with h/w > 2.
        count: crops of the set.
    """
    height, width = found["image"]
    every = found["all"]
    marked = every["marked_parts"]
    detail = ", ".join(
        f"{_percent(share)} {parts} part{'s' * (parts > 1)}"
        for parts, share in enumerate(marked)
        if parts and share
    )
    lines = [
        f"what it teaches the OEM, by {found['draws']} placements of the reference's rules on "
        f"{height} x {width} images (seed {found['seed']}"
        f"{', transparency kept' if found['alpha'] else ''}):",
        f"  {_percent(tall / count)} of the crops are tall (h/w > 2): {_of_tall(found['tall'])}",
        f"  {_percent(every['informative'])} of the images get a target with an occluded part"
        + (f" ({detail})" if detail else ""),
        f"  with MODEL.FED.OEM.TARGET coverage all of them do: {_percent(every['hidden'])} of an "
        f"image is covered on average ({_hidden(found)})",
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


def _hidden(found: Mapping[str, Any]) -> str:
    groups = [kind for kind in ("tall", "wide") if found[kind]["draws"]]
    return ", ".join(f"{kind} crops {_percent(found[kind]['hidden'])}" for kind in groups)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

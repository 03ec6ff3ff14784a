"""Write the table of docs/backbones.md from its record; with ``--measure`` make the record first.

    python benchmarks/backbones_page.py --measure     # some minutes; writes both
    python benchmarks/backbones_page.py --export      # exports each; adds the differences
    python benchmarks/backbones_page.py               # the page alone, --check compares

Every backbone carries FED at 256 x 128: the model is built, takes training steps and describes
images. A step of the bare backbone is its forward and backward pass on the same images.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "backbones.md"
RECORD = ROOT / "benchmarks" / "results" / "backbones.json"
START, END = "<!-- backbones -->\n", "<!-- /backbones -->"
CONFIG = "Base-FED-any"
EXPORTS = ("torchscript", "onnx")
SIZE = (256, 128)
IDENTITIES, BATCH, VIEWS, ROUNDS, THREADS = 702, 4, 2, 2, 1
# MODEL.BACKBONE.NAME, and for the host's backbones DEPTH and FEAT_DIM
BACKBONES: tuple[tuple[Any, ...], ...] = (
    ("timm:vit_tiny_patch16_224",),
    ("timm:vit_small_patch16_224",),
    ("timm:deit_tiny_distilled_patch16_224",),
    ("timm:deit3_small_patch16_224",),
    ("timm:vit_small_patch14_dinov2",),
    ("timm:vit_small_patch14_reg4_dinov2",),
    ("timm:vit_small_patch16_dinov3",),
    ("timm:eva02_tiny_patch14_224",),
    ("timm:vit_pe_core_tiny_patch16_384",),
    ("timm:vit_small_patch16_ics",),
    ("timm:vit_small_patch16_parts",),
    ("timm:solider_swin_tiny",),
    ("timm:swin_tiny_patch4_window7_224",),
    ("timm:convnext_atto",),
    ("timm:resnet18",),
    ("timm:tf_efficientnet_lite0",),
    ("timm:efficientnet_b0",),
    ("timm:mobilenetv3_small_100",),
    ("timm:mobilenetv4_conv_small",),
    ("timm:regnety_008",),
    ("timm:tiny_vit_5m_224",),
    ("build_resnet_backbone", "18x", 512, "MODEL.BACKBONE.WITH_IBN", True),
    ("build_osnet_backbone", "x1_0", 512),
    ("build_repvgg_backbone", "A0", 1280),
    ("build_mobilenetv2_backbone", "1.0x", 1280),
    ("build_shufflenetv2_backbone", "1.0x", 1024),
    ("timm:vit_base_patch16_224",),
    ("timm:vit_base_patch16_clip_quickgelu_224",),
    ("timm:vit_base_patch16_siglip_224",),
)


def configured(name: str, *depth: Any) -> Any:
    """Return the config of FED on a backbone."""
    from fastreid.config import get_cfg

    from fed_plugin.fastreid_adapter.config_files import find_config

    cfg = get_cfg()
    cfg.merge_from_file(find_config(CONFIG))
    words = ["MODEL.DEVICE", "cpu", "MODEL.BACKBONE.NAME", name]
    if depth:
        words += ["MODEL.BACKBONE.DEPTH", depth[0], "MODEL.BACKBONE.FEAT_DIM", depth[1], *depth[2:]]
    cfg.merge_from_list(words)
    return cfg


def bare_step(backbone: Any, images: Any) -> Callable[[], None]:
    """Return forward and backward of a backbone alone; its gradients are FED's buffers, and add."""
    from fed_plugin.modeling.backbones import as_features

    def step() -> None:
        backbone.train()
        grid, vector = as_features(backbone(images))
        (grid.square().mean() + vector.square().mean()).backward()

    return step


def measured(backbone: tuple[Any, ...], rounds: int) -> dict[str, Any]:
    """Build FED on a backbone, step it, describe images with it; return its row."""
    import torch

    from fed_plugin.costs.measure import count_macs, ratios, spread, time_in_turns
    from fed_plugin.fastreid_adapter.running_method import RunningMethod
    from fed_plugin.modeling.backbones import measure

    fed = RunningMethod(configured(*backbone), IDENTITIES, BATCH, VIEWS)
    model = fed.model.backbone
    facts = measure(model, SIZE)
    tokens = getattr(model, "prefix_tokens", ())
    # With gradients: the fast path of an attention pool is one operation, which nothing counts.
    macs = count_macs(lambda: model.eval()(torch.zeros(1, 3, *SIZE)))
    assert torch.isfinite(fed.test_step()).all()
    images = torch.randn(VIEWS * BATCH, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    steps = {"bare": bare_step(model, images), "FED": fed.train_step}
    time_in_turns(steps, 1)
    seconds = time_in_turns(steps, rounds)
    return {
        "name": " ".join(str(word) for word in backbone[:2]),
        "grid": facts.grid,
        "channels": facts.channels,
        "vector": facts.vector_channels,
        "prefix_tokens": list(tokens),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "macs": macs,
        "seconds": {name: [round(value, 4) for value in row] for name, row in seconds.items()},
        "step": {name: spread(row)["median"] for name, row in seconds.items()},
        "ratio": ratios(seconds["FED"], seconds["bare"]),
    }


def measure_all(rounds: int, seconds: float) -> None:
    """Measure the backbones and write the record after each, with one round where time is short."""
    sys.path.insert(0, str(ROOT / "benchmarks" / "speed"))
    import torch
    from interleaved import about

    import projects_registry

    projects_registry.arm()
    torch.set_num_threads(THREADS)  # a second thread waits for a core where others work
    start = time.monotonic()
    settings = {"batch": BATCH, "views": VIEWS, "identities": IDENTITIES, "size": SIZE}
    record: dict[str, Any] = {"format": "fed_plugin.backbones/1", "about": about()}
    record |= {"settings": settings, "backbones": []}
    for number, backbone in enumerate(BACKBONES, start=1):
        late = time.monotonic() - start > seconds * (number - 1) / len(BACKBONES)
        record["backbones"].append(measured(backbone, 1 if late else rounds))
        record["seconds"] = round(time.monotonic() - start)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{number}/{len(BACKBONES)}  {record['seconds']} s  {backbone[0]}", file=sys.stderr)


def exported(backbone: tuple[Any, ...]) -> dict[str, float | None]:
    """Export FED on a backbone; return the largest difference by format, None if refused."""
    from tempfile import TemporaryDirectory

    from fed_plugin.fastreid_adapter.exporting import export_model

    cfg, gaps = configured(*backbone), {}
    with TemporaryDirectory() as folder:
        for format in EXPORTS:
            try:
                file = export_model(cfg, format, Path(folder) / "model", {})
            except ValueError as error:
                print(f"{backbone[0]}: {error}", file=sys.stderr)
                gaps[format] = None
                continue
            gaps[format] = max(gap.greatest for gap in file.float32)
    return gaps


def export_all() -> None:
    """Export the backbones of the record that were not, and write the record after each."""
    import projects_registry

    projects_registry.arm()
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in record["backbones"]}
    for number, backbone in enumerate(BACKBONES, start=1):
        name = " ".join(str(word) for word in backbone[:2])
        if "exported" in rows[name]:
            continue
        rows[name]["exported"] = exported(backbone)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{number}/{len(BACKBONES)}  {name} {rows[name]['exported']}", file=sys.stderr)


def table(record: dict[str, Any]) -> str:
    """Render a row per backbone, and what it was measured with."""
    heads = ["name", "grid", "channels", "prefix tokens", "parameters, M", "MACs, G"]
    heads += ["FED step, s", "over bare [least, most]", *(f"{name}, off by" for name in EXPORTS)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in record["backbones"]:
        tokens, ratio = row["prefix_tokens"], row["ratio"]
        words = [f"{n} {t}" if (n := tokens.count(t)) > 1 else t for t in dict.fromkeys(tokens)]
        cells = [
            f"`{row['name']}`",
            "{} x {}".format(*row["grid"]),
            str(row["channels"]),
            ", ".join(words) or "none",
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['macs'] / 1e9:.2f}",
            f"{row['step']['FED']:.2f}",
            f"{ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]",
            *(
                "refused" if (gap := row["exported"][name]) is None else f"{gap:.0e}"
                for name in EXPORTS
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    about, settings = record["about"], record["settings"]
    lines += [
        "",
        f"*Images of 256 x 128. A step: {settings['batch']} photos of {settings['views']} views, "
        f"{settings['identities']} identities, fp32, one thread; medians of at most {ROUNDS} "
        "rounds, FED and the bare backbone in turns. The machine was shared with other work: "
        f"{about['machine']}, load {about['load_average'][0]:.1f}, PyTorch {about['torch']}, "
        f"{about['day']}.*",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure if asked to; write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure first")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=400, help="for all, about")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--export", action="store_true", help="export first")
    args = parser.parse_args()
    if args.measure:
        measure_all(args.rounds, args.seconds)
    if args.export or args.measure:
        export_all()
    old = PAGE.read_text(encoding="utf-8")
    before, rest = old.split(START)
    rows = table(json.loads(RECORD.read_text(encoding="utf-8")))
    new = before + START + rows + END + rest.split(END)[1]
    if not args.check:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print("docs/backbones.md: the record differs; run python benchmarks/backbones_page.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

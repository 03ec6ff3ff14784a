"""Steps of training and of testing on a batch in memory, without a data set.

Shape shorthand: ``B`` images, ``V`` views, ``D`` numbers of a descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from fastreid.data.transforms import build_transforms
from fastreid.engine import DefaultTrainer
from fastreid.engine.train_loop import AMPTrainer, SimpleTrainer
from fastreid.utils.events import EventStorage
from PIL import Image
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from fed_plugin.fastreid_adapter.extract import checked_descriptors
from fed_plugin.fastreid_adapter.meta_arch import FED

LEARNING_RATE_FACTOR = 0.01
"""Many steps on one batch of noise at the full learning rate could overflow."""


class RunningMethod:
    """Model of a config in the steps of the host's trainer and evaluation.

    Images are noise with the size and the views of the config's own transforms.

    Args:
        cfg: any config of the host; weights, data sets and occluders are not read.
        num_classes: training identities.
        train_batch: images of a training step, at least 2.
        test_batch: images of a test step.

    Raises:
        ValueError: the config cannot be run.
    """

    def __init__(self, cfg: Any, num_classes: int, train_batch: int, test_batch: int) -> None:
        cfg = _without_files(cfg)
        cfg.MODEL.HEADS.NUM_CLASSES = num_classes
        cfg.SOLVER.IMS_PER_BATCH = train_batch
        torch.manual_seed(0)
        self.model = DefaultTrainer.build_model(cfg)
        if isinstance(self.model, FED):  # of a memory of zeros the FDM would learn nothing
            for memory in self.model.heads.memories.values():
                memory.fill(torch.randn_like(memory.features))
        self.device = torch.device(self.model.device)
        if self.device.type not in ("cpu", "cuda"):
            raise ValueError(f"MODEL.DEVICE={cfg.MODEL.DEVICE!r}: expected cpu or cuda")
        self.flip = bool(cfg.TEST.FLIP.ENABLED)
        self.tunes_convolutions = bool(cfg.CUDNN_BENCHMARK)
        self.num_classes = num_classes
        self.on_training = _MemoryBatch(cfg, train_batch, num_classes, self.device, training=True)
        self.on_test = _MemoryBatch(cfg, test_batch, num_classes, self.device, training=False)
        self.optimizer, params = DefaultTrainer.build_optimizer(cfg, self.model)
        for group in self.optimizer.param_groups:
            group["lr"] *= LEARNING_RATE_FACTOR
        trainer = AMPTrainer if cfg.SOLVER.AMP.ENABLED else SimpleTrainer
        self.trainer = trainer(self.model, self.on_training, self.optimizer, params)
        self.storage = EventStorage(0)
        self.precision = _precision(cfg, self.device)

    def train_step(self) -> None:
        """Take one step: forward, losses, backward, optimizer, and updates of the model itself."""
        self._begin(training=True)
        with self.storage:
            self.trainer.run_step()
        self._wait()

    def losses(self) -> dict[str, Tensor]:
        """Run the forward part of a training step and return its losses by name."""
        self._begin(training=True)
        with self.storage:
            return self.model(next(self.on_training))

    @torch.no_grad()
    def test_step(self, count: int | None = None) -> Tensor:
        """Describe images as the host's evaluation does, with ``TEST.FLIP.ENABLED`` mirrored too.

        Args:
            count: images of the test batch; None takes all.

        Returns:
            (B, D) descriptors.

        Raises:
            ValueError: the model yields something else.
        """
        self._begin(training=False)
        batch = next(self.on_test)
        images = batch["images"][:count]
        passes = [images, images.flip(dims=[3])] if self.flip else [images]
        outputs = [self.model({**batch, "images": images}) for images in passes]
        descriptors = sum(checked_descriptors(self.model, out) for out in outputs) / len(outputs)
        self._wait()
        return descriptors

    def training_state(self) -> list[Tensor]:
        """Return all tensors that stay between two training steps."""
        state = [
            value
            for entry in self.optimizer.state.values()
            for value in entry.values()
            if torch.is_tensor(value)
        ]
        parameters = list(self.model.parameters())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        return [*parameters, *gradients, *self.model.buffers(), *state, self.on_training.images]

    def _begin(self, training: bool) -> None:
        self.model.train(training)
        torch.backends.cudnn.benchmark = self.tunes_convolutions

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class _MemoryBatch:
    """Endless iterator over copies of one batch; stock models write into their input."""

    def __init__(
        self, cfg: Any, size: int, num_classes: int, device: torch.device, training: bool
    ) -> None:
        shape = _image_shape(cfg, training)
        noise = torch.Generator().manual_seed(0)
        self.images = (255 * torch.rand(size, *shape, generator=noise)).to(device)
        identities = torch.arange(size) // max(1, cfg.DATALOADER.NUM_INSTANCE)
        self.targets = (identities % num_classes).to(device)

    def __iter__(self) -> _MemoryBatch:
        return self

    def __next__(self) -> dict[str, Tensor]:
        return {
            "images": self.images.clone(),
            "targets": self.targets.clone(),
            "camids": torch.zeros_like(self.targets),
        }


def _precision(cfg: Any, device: torch.device) -> str:
    if cfg.MODEL.META_ARCHITECTURE == "FED" and cfg.MODEL.FED.PRECISION != "fp32":
        return str(cfg.MODEL.FED.PRECISION)
    return "fp16 (AMP)" if cfg.SOLVER.AMP.ENABLED and device.type == "cuda" else "fp32"


def _image_shape(cfg: Any, training: bool) -> tuple[int, ...]:
    # (3, H, W) or (V, 3, H, W)
    image = Image.fromarray(np.full((256, 128, 3), 127, np.uint8))
    return tuple(build_transforms(cfg, is_train=training)(image).shape)


def _without_files(cfg: Any) -> Any:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.BACKBONE.PRETRAIN = False
    cfg.MODEL.FED.MEMORY.INIT = "zeros"
    cfg.INPUT.NPO.OCCLUDERS = ""
    cfg.INPUT.NPO.PEOPLE.PROB = 0.0
    return cfg


class _Reading(TorchDispatchMode):
    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.known = {id(tensor): tensor for tensor in tensors}
        self.read: dict[int, Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for value in tree_iter((args, kwargs or {})):
            if id(value) in self.known:
                self.read[id(value)] = value
        return func(*args, **(kwargs or {}))


def tensors_read(model: nn.Module, function: Callable[[], Any]) -> list[Tensor]:
    """Run a function once, and return the parameters and buffers of a model that it reads."""
    with _Reading([*model.parameters(), *model.buffers()]) as reading:
        function()
    return list(reading.read.values())

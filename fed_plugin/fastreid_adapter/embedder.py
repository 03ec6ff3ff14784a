"""Photos to descriptors in three lines, with the transforms and the model of the evaluation.

Shape shorthand: ``N`` images, ``D`` numbers, ``P`` parts, ``H, W`` height and width in pixels.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from fastreid.config import CfgNode, get_cfg
from fastreid.data import data_utils
from fastreid.data.transforms import build_transforms
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fed_plugin.arguments import check_file, find_config, key_value_pairs
from fed_plugin.fastreid_adapter.config import without_keys
from fed_plugin.fastreid_adapter.config_files import keys_of_other_projects, read_config
from fed_plugin.fastreid_adapter.extract import describe_images, load_trained
from fed_plugin.files import flatten, load_yaml
from fed_plugin.photos import pixels_of

PRECISIONS = ("fp32", "bf16")

Photo: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[np.uint8]"
FIRST = 5
"""Number of broken photos that an error message names."""


def checked_device(device: str | torch.device | None) -> torch.device:
    """Return a device that models run on; None takes CUDA where there is one.

    Raises:
        ValueError: this PyTorch cannot use the device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        checked = torch.device(device)
        if checked.type != "cuda":  # without CUDA the host takes the CPU, and logs a warning
            torch.zeros(1, device=checked).cpu()
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        raise ValueError(
            f"device {device!r}: expected one that this PyTorch can use, such as cpu or cuda:0 "
            f"({str(error).splitlines()[0]})"
        ) from error
    return checked


_DECIDE = re.compile(r"MODEL\.|INPUT\.(SIZE_TEST|CROP\.(ENABLED|SIZE))$|TEST\.FLIP\.ENABLED$")
_DECIDE_NOT = re.compile(
    r"MODEL\.(WEIGHTS|DEVICE|BACKBONE\.PRETRAIN(_PATH)?|HEADS\.NUM_CLASSES|FED\.PRECISION)$"
)
_OF_TRAINING = re.compile(
    r"MODEL\.(LOSSES\.|FREEZE_LAYERS|FED\.(CONTRAST|FDM|MEMORY)\.|"
    r"FED\.(OEM\.(TARGET|LOSS_WEIGHT)|VIT\.(RECOMPUTE|PRETRAIN_GRID))$)"
)
_KNOWN_CODE = {"torch", "torchvision", "timm", "fastreid", "fed_plugin"}


def _config_hash(cfg: Any) -> str:
    """Return the hash of the keys that change a descriptor, and have another value than usual.

    A key that nobody sets therefore changes no hash, whichever project declares the key.
    """
    usual, drawn = flatten(get_cfg()), not cfg.MODEL.WEIGHTS
    content = {
        key: value
        for key, value in flatten(cfg).items()
        if value != usual.get(key)
        and (_DECIDE.match(key) or (drawn and key == "SEED"))
        and not _DECIDE_NOT.match(key)
        and (drawn or not _OF_TRAINING.match(key))  # parts that are built change what is drawn
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without_unused_keys(cfg: Any, model: nn.Module) -> Any:
    """Leave out the keys of other projects if all code of a model is from elsewhere."""
    packages = {type(module).__module__.partition(".")[0] for module in model.modules()}
    return without_keys(cfg, keys_of_other_projects(cfg)) if packages <= _KNOWN_CODE else cfg


def former_config_hash(cfg: Any) -> str:
    """Return the hash of a config as version 0.1.0 computed the hash: of all keys of the model."""
    decides = cfg.clone()
    decides.defrost()
    decides.MODEL.WEIGHTS = decides.MODEL.DEVICE = decides.MODEL.BACKBONE.PRETRAIN_PATH = ""
    decides.MODEL.HEADS.NUM_CLASSES = 0
    decides.MODEL.setdefault("FED", get_cfg().MODEL.FED).PRECISION = "fp32"
    size, crop = cfg.INPUT.SIZE_TEST, cfg.INPUT.CROP
    seed = "" if cfg.MODEL.WEIGHTS else cfg.get("SEED", -1)
    text = f"{decides.MODEL.dump()}\n{list(size)} {crop.dump()} {cfg.TEST.FLIP.ENABLED} {seed}"
    return hashlib.sha256(text.encode()).hexdigest()


def config_of_former_hash(text: str, sha256: str) -> str | None:
    """Return a config with the hash of version 0.1.0, without keys that nobody declares any more.

    Args:
        text: the config, as YAML.
        sha256: hash that was stored beside the text.

    Returns:
        The config as YAML; None if the text has another hash, or is no config.
    """
    try:
        cfg = CfgNode(load_yaml(text))
        if former_config_hash(cfg) != sha256:
            return None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return None
    unknown = flatten(cfg).keys() - flatten(get_cfg()).keys()
    return str(without_keys(cfg, unknown).dump())


class BrokenPhotoError(ValueError):
    """Photos that cannot be read.

    Args:
        reasons: reason by the index of the photo.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        first = [f"photo {index}: {why}" for index, why in list(reasons.items())[:FIRST]]
        more = f"; and {len(reasons) - FIRST} more" if len(reasons) > FIRST else ""
        super().__init__("; ".join(first) + more)
        self.reasons = dict(reasons)


def one_by_one(photos: Photo | Iterable[Photo]) -> tuple[Iterator[Photo], int | None]:
    """Return an iterator over one or many photos, and their number, None if it is not known."""
    one = isinstance(photos, (str, os.PathLike, Image.Image))
    if one or (isinstance(photos, np.ndarray) and photos.ndim < 4):
        return iter([photos]), 1  # type: ignore[list-item]
    # an iteration would turn a file into lines and bytes into numbers
    if not isinstance(photos, Iterable) or isinstance(photos, (bytes, Mapping, io.IOBase)):
        raise TypeError(
            f"photos are {type(photos).__name__}: expected a path, an array, a PIL image, or an "
            "iterable of them; try PIL.Image.open(...) for files and bytes"
        )
    return iter(photos), len(photos) if hasattr(photos, "__len__") else None


def as_rgb(photo: Any) -> Image.Image:
    """Return a photo as an RGB image, as the host's data sets read photos.

    Args:
        photo: a path, a PIL image of any mode, or an array (H, W, 3) or (H, W) uint8, RGB or grey.

    Raises:
        ValueError: an array of another shape or type, or an image without pixels.
        RuntimeError: a file that cannot be read.
    """
    if isinstance(photo, (str, os.PathLike)):
        image: Image.Image = data_utils.read_image(os.fspath(photo))
        return image
    pixels = pixels_of(photo) if isinstance(photo, Image.Image) else photo
    if not isinstance(pixels, np.ndarray):
        raise ValueError(
            f"expected a path, an array or a PIL image, got {type(photo).__name__}; try "
            "numpy.asarray(photo)"
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(
            f"expected an array (H, W, 3) uint8 in RGB, or (H, W) in grey, got {pixels.shape} "
            f"{pixels.dtype}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Descriptors and visibility of photos.

    Attributes:
        descriptors: (N, D) float32 of unit length; NaN in the rows of ``failures``.
        visibility: (N, P) float32 in [0, 1], 1 = visible; None for a model without an OEM.
        failures: reason by the index of a photo that cannot be read; empty unless errors are
            skipped.
    """

    descriptors: NDArray[np.float32]
    visibility: NDArray[np.float32] | None
    failures: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.descriptors)

    def visibility_means(self) -> list[float | None]:
        """Return the mean visibility of each photo's parts; None for a model without an OEM."""
        if self.visibility is None:
            return [None] * len(self)
        means: list[float | None] = self.visibility.mean(axis=1).tolist()
        return means


class Embedder:
    """Model of any fast-reid config as a function from photos to :class:`Embeddings`.

    A call resizes as the stock evaluation does. ``N`` photos take ``N * D * 4`` bytes; nothing else
    grows with ``N``.

    Args:
        config: a config file, or the name of an installed one such as ``"synthocc_vit_tiny"``.
        weights: checkpoint of that config; an empty string takes random weights, drawn from
            ``SEED``.
        device: such as ``"cuda:0"``; None takes CUDA where there is one.
        overrides: ``[KEY, VALUE, ...]`` on top of the config, such as ``["TEST.FLIP.ENABLED",
            True]``.
        precision: ``"fp32"`` or ``"bf16"`` for the network's arithmetic; None takes the config's.
        batch_size: photos in one forward pass; None takes ``TEST.IMS_PER_BATCH``.

    Attributes:
        model_identity: hashes of the weights and of the keys that decide the descriptors, the
            latter also as version 0.1.0 computed the hash.

    Raises:
        FileNotFoundError: no such config or checkpoint.
        KeyError: an unknown key in ``overrides``.
        ValueError: the checkpoint is of another model, or an argument is none of the above.
    """

    def __init__(
        self,
        config: str | os.PathLike[str],
        weights: str | os.PathLike[str],
        device: str | torch.device | None = None,
        *,
        overrides: Sequence[Any] = (),
        precision: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        weights = os.fspath(weights)
        if weights:
            check_file(weights, "a checkpoint", f"weights {weights!r}")
        if precision not in (None, *PRECISIONS):
            raise ValueError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
        try:
            pairs = key_value_pairs([] if isinstance(overrides, (str, Mapping)) else overrides)
        except ValueError:
            pairs = []
        if overrides and not pairs:
            raise ValueError(
                f"overrides {overrides!r}: expected [KEY, VALUE, ...], such as "
                '["TEST.FLIP.ENABLED", True]'
            )
        own = ["MODEL.WEIGHTS", weights, "MODEL.DEVICE", str(checked_device(device))]
        self.cfg = read_config(find_config(os.fspath(config)), [*pairs, *own])
        if precision == "fp32" and "FED" in self.cfg.MODEL:
            self.cfg.merge_from_list(["MODEL.FED.PRECISION", "fp32"])
        self.batch_size = self.cfg.TEST.IMS_PER_BATCH if batch_size is None else batch_size
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ValueError(f"batch_size {self.batch_size!r}: expected a whole number, 1 or more")
        self.precision = precision
        trained = load_trained(self.cfg)
        self.model = trained.model
        self.cfg = _without_unused_keys(self.cfg, self.model)
        self.model_identity = {
            "weights_sha256": trained.weights_sha256 or "",
            "config_sha256": _config_hash(self.cfg),
            "former_config_sha256": former_config_hash(self.cfg),
        }
        self.device = torch.device(self.model.device)  # the CPU, where there is no CUDA
        self._prepare = build_transforms(self.cfg, is_train=False)

    def __call__(
        self,
        photos: Photo | Iterable[Photo],
        *,
        skip_errors: bool = False,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Embeddings:
        """Describe photos, in their order.

        Args:
            photos: one photo, or any iterable of photos, which is read batch by batch. A photo is a
                path, a PIL image, or an array (H, W, 3) or (H, W) of uint8, RGB or grey (OpenCV
                reads BGR: pass ``image[..., ::-1]``). An array (N, H, W, 3) is ``N`` photos.
            skip_errors: whether a photo that cannot be read becomes a row of NaN and an entry of
                ``failures``, instead of an error.
            progress: called after each batch with photos done and photos in all, None if not known.

        Raises:
            BrokenPhotoError: a photo cannot be read; a ValueError with its index and the reason.
            TypeError: ``photos`` are something else.
            ValueError: the outputs of the model are not finite, or the config leaves photos of
                several sizes.
        """
        singles, total = one_by_one(photos)
        blocks: list[dict[str, NDArray[np.float32]]] = []
        failures: dict[int, str] = {}
        done = 0
        for batch in self._batches(singles):
            broken = {done + i: x for i, x in enumerate(batch) if isinstance(x, str)}
            if broken and not skip_errors:
                raise BrokenPhotoError(broken)
            failures |= broken
            blocks.append(self._describe(batch))
            done += len(batch)
            if progress is not None:
                progress(done, total)
        if not blocks:
            blocks.append(self._describe([]))
        joined = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        return Embeddings(joined["descriptors"], joined.get("visibility"), failures)

    def _batches(self, photos: Iterator[Photo]) -> Iterator[list[Tensor | str]]:
        """Yield prepared images, or reasons for a missing one; read the next batch meanwhile."""
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as readers:

            def start() -> list[Any]:
                return [readers.submit(self._read, x) for x in islice(photos, self.batch_size)]

            ahead = start()
            while ahead:
                current, ahead = ahead, start()
                yield [future.result() for future in current]

    def _read(self, photo: Photo) -> Tensor | str:
        try:
            prepared: Tensor = self._prepare(as_rgb(photo))
        except Exception as error:
            return str(error) or type(error).__name__
        return prepared

    @torch.no_grad()
    def _describe(self, batch: Sequence[Tensor | str]) -> dict[str, NDArray[np.float32]]:
        good = [i for i, image in enumerate(batch) if torch.is_tensor(image)]
        images = [image for image in batch if torch.is_tensor(image)]
        if len({image.shape for image in images}) > 1:
            raise ValueError(
                f"INPUT.SIZE_TEST={list(self.cfg.INPUT.SIZE_TEST)}: leaves photos of several "
                "sizes, which make no batch; expected [height, width], or try batch_size=1"
            )
        # one grey image for a batch without images: the rows need their number of columns
        stacked = torch.stack(images or [self._prepare(Image.new("RGB", (64, 128)))])
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        ):
            outputs = describe_images(self.model, stacked, self.cfg.TEST.FLIP.ENABLED)
        wanted = {"descriptors": F.normalize(outputs.descriptors.float())}
        if outputs.visibility is not None:
            wanted["visibility"] = outputs.visibility.float()
        rows = {}
        for name, tensor in wanted.items():
            values = tensor.cpu().numpy()
            if not np.isfinite(values).all():
                raise ValueError(
                    f"MODEL.WEIGHTS={self.cfg.MODEL.WEIGHTS}: the model's {name} are not finite; "
                    "expected numbers, try a checkpoint of a training that did not diverge, or "
                    "precision='fp32'"
                )
            rows[name] = np.full((len(batch), *values.shape[1:]), np.nan, np.float32)
            rows[name][good] = values[: len(good)]
        return rows

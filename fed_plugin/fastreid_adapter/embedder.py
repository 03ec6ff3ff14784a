"""From photos to descriptors in three lines, prepared and computed as the evaluation does it.

Shape shorthand: ``N`` images, ``D`` numbers, ``P`` parts, ``H, W`` height and width in pixels.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from fastreid.data import data_utils
from fastreid.data.transforms import build_transforms
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fed_plugin.fastreid_adapter.config_files import find_config, read_config
from fed_plugin.fastreid_adapter.extract import describe_images, load_trained
from fed_plugin.transforms.occluders import pixels_of

# Arguments of ``Embedder``, refused in words before a model is built.


def checked_batch_size(batch_size: int) -> int:
    """Return how many photos are described at once.

    Raises:
        ValueError: No whole number of 1 or more.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size {batch_size!r}: expected a whole number, 1 or more")
    return batch_size


def checked_overrides(overrides: Sequence[Any]) -> list[Any]:
    """Return ``[KEY, VALUE, ...]`` as a list of its own.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(overrides, (str, Mapping)) or len(overrides) % 2:
        raise ValueError(
            f"overrides {overrides!r}: expected [KEY, VALUE, ...], such as "
            '["TEST.FLIP.ENABLED", True]'
        )
    return list(overrides)


def checked_device(device: str | torch.device | None) -> torch.device:
    """Return a device that models run on; None takes CUDA where there is one.

    Raises:
        ValueError: This PyTorch cannot use it.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        checked = torch.device(device)
        if checked.type != "cuda":  # without CUDA the host goes to the CPU, and says so
            torch.zeros(1, device=checked).cpu()
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        raise ValueError(
            f"device {device!r}: expected one that this PyTorch can use, such as cpu or cuda:0 "
            f"({str(error).splitlines()[0]})"
        ) from error
    return checked


# What makes descriptors comparable: the weights, and the config's keys that decide them.


def _deciding_keys(cfg: Any) -> str:
    """Return the keys that can change a descriptor; not where it is computed and how exactly."""
    decides = cfg.clone()
    decides.defrost()
    decides.MODEL.WEIGHTS = decides.MODEL.DEVICE = decides.MODEL.BACKBONE.PRETRAIN_PATH = ""
    decides.MODEL.HEADS.NUM_CLASSES = 0  # of the classifier, which evaluation leaves out
    if "FED" in decides.MODEL:
        decides.MODEL.FED.PRECISION = "fp32"
    size, crop = cfg.INPUT.SIZE_TEST, cfg.INPUT.CROP
    seed = "" if cfg.MODEL.WEIGHTS else cfg.get("SEED", -1)
    return f"{decides.MODEL.dump()}\n{list(size)} {crop.dump()} {cfg.TEST.FLIP.ENABLED} {seed}"


# Photos as people hold them: paths, arrays, PIL images, one or many.

Photo: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[np.uint8]"
FIRST = 5


class BrokenPhotoError(ValueError):
    """Photos that cannot be read.

    Args:
        reasons: why, by the index of the photo.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        shown = [f"photo {index}: {why}" for index, why in list(reasons.items())[:FIRST]]
        more = f"; and {len(reasons) - FIRST} more" if len(reasons) > FIRST else ""
        super().__init__("; ".join(shown) + more)
        self.reasons = dict(reasons)


def one_by_one(photos: Photo | Iterable[Photo]) -> tuple[Iterator[Photo], int | None]:
    """Return the photos of one or many, and how many they are, None where only the end tells."""
    one = isinstance(photos, (str, os.PathLike, Image.Image))
    if one or (isinstance(photos, np.ndarray) and photos.ndim < 4):
        return iter([photos]), 1  # type: ignore[list-item]
    # what is no photo would come in as many: a file as lines, bytes as numbers
    if not isinstance(photos, Iterable) or isinstance(photos, (bytes, Mapping, io.IOBase)):
        raise TypeError(
            f"photos are {type(photos).__name__}: expected a path, an array, a PIL image, or an "
            "iterable of them; try PIL.Image.open(...) for files and bytes"
        )
    return iter(photos), len(photos) if hasattr(photos, "__len__") else None


def as_rgb(photo: Any) -> Image.Image:
    """Return a photo as the host's data sets read it.

    Args:
        photo: a path, a PIL image of any mode, or an array (H, W, 3) or (H, W) uint8, RGB or grey.

    Returns:
        An image of mode RGB.

    Raises:
        ValueError: An array of another shape or type, or an image without pixels.
        RuntimeError: A file that cannot be read.
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


PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a model says of photos.

    Attributes:
        descriptors: (N, D) float32 of unit length; NaN in the rows of ``failures``.
        visibility: (N, P) float32 in [0, 1], 1 = visible; None if the model estimates none.
        failures: why a photo could not be read, by its index; empty unless errors are skipped.
    """

    descriptors: NDArray[np.float32]
    visibility: NDArray[np.float32] | None
    failures: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.descriptors)

    def visibility_means(self) -> list[float | None]:
        """Return how visible the parts of each photo are in the mean; None if nobody knows."""
        if self.visibility is None:
            return [None] * len(self)
        means: list[float | None] = self.visibility.mean(axis=1).tolist()
        return means


class Embedder:
    """Describe photos of people with the model of any fast-reid config.

    A call resizes as the stock evaluation does and returns :class:`Embeddings`. ``N`` photos take
    ``N * D * 4`` bytes; nothing else grows with ``N``.

    Args:
        config: a config file, or the name of an installed one such as ``"synthocc_vit_tiny"``.
        weights: checkpoint of that config; an empty string takes random weights, drawn from
            ``SEED``.
        device: such as ``"cuda:0"``; None takes CUDA where there is one.
        overrides: ``[KEY, VALUE, ...]`` on top of the config, such as ``["TEST.FLIP.ENABLED",
            True]``.
        precision: ``"fp32"`` or ``"bf16"`` for the network's arithmetic; None as the config says.
        batch_size: photos in one forward pass; None takes ``TEST.IMS_PER_BATCH``.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        KeyError: An override's key that nobody declares.
        ValueError: The checkpoint is of another model, or an argument is none of the above.
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
        if weights and not Path(weights).is_file():
            raise FileNotFoundError(f"weights {weights!r}: no such file; expected a checkpoint")
        if precision not in (None, *PRECISIONS):
            raise ValueError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
        words = checked_overrides(overrides)
        words += ["MODEL.WEIGHTS", weights, "MODEL.DEVICE", str(checked_device(device))]
        self.cfg = read_config(find_config(os.fspath(config)), words)
        if precision == "fp32" and "FED" in self.cfg.MODEL:
            self.cfg.merge_from_list(["MODEL.FED.PRECISION", "fp32"])
        self.batch_size = checked_batch_size(
            self.cfg.TEST.IMS_PER_BATCH if batch_size is None else batch_size
        )
        self.precision = precision
        trained = load_trained(self.cfg)
        self.model = trained.model
        self.model_identity = {
            "weights_sha256": trained.weights_sha256 or "",
            "config_sha256": hashlib.sha256(_deciding_keys(self.cfg).encode()).hexdigest(),
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
            photos: one photo or any iterable of them, which is read batch by batch. A photo is a
                path, a PIL image, or an array (H, W, 3) or (H, W) of uint8, RGB or grey (OpenCV
                reads BGR: hand on ``image[..., ::-1]``). An array (N, H, W, 3) is ``N`` photos.
            skip_errors: whether a photo that cannot be read becomes a row of NaN and an entry of
                ``failures``, instead of ending the call.
            progress: called with photos done, and in all if that is known, after each batch.

        Raises:
            BrokenPhotoError: A photo cannot be read; a ValueError that says its index and why.
            TypeError: ``photos`` are none.
            ValueError: The model's own numbers are not finite, or the config leaves photos of
                several sizes.
        """
        singles, total = one_by_one(photos)
        said: list[dict[str, NDArray[np.float32]]] = []
        failures: dict[int, str] = {}
        done = 0
        for batch in self._batches(singles):
            broken = {done + i: x for i, x in enumerate(batch) if isinstance(x, str)}
            if broken and not skip_errors:
                raise BrokenPhotoError(broken)
            failures |= broken
            said.append(self._describe(batch))
            done += len(batch)
            if progress is not None:
                progress(done, total)
        if not said:
            said.append(self._describe([self._prepare(Image.new("RGB", (64, 128)))], keep=0))
        joined = {name: np.concatenate([part[name] for part in said]) for name in said[0]}
        return Embeddings(joined["descriptors"], joined.get("visibility"), failures)

    def _batches(self, photos: Iterator[Photo]) -> Iterator[list[Tensor | str]]:
        """Yield prepared images, or why there is none; the next batch is read meanwhile."""
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
    def _describe(
        self, batch: Sequence[Tensor | str], keep: int | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe what could be read; the other rows are NaN."""
        good = [i for i, image in enumerate(batch) if torch.is_tensor(image)]
        images = [image for image in batch if torch.is_tensor(image)]
        if len({image.shape for image in images}) > 1:
            raise ValueError(
                f"INPUT.SIZE_TEST={list(self.cfg.INPUT.SIZE_TEST)}: leaves photos of several "
                "sizes, which make no batch; expected [height, width], or try batch_size=1"
            )
        # a batch of nothing still has to say how many numbers its rows have
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
        return {name: values[:keep] for name, values in rows.items()}

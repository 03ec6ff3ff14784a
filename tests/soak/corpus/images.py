"""Images that cannot be read, or look as if they could not, wherever an image is read."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from corpus.cases import EITHER, REFUSED, RUNS, Case, Put, change, write
from corpus.material import CHECKPOINT, CONFIG, QUERY, TRAIN

CATEGORY = "images"
FLIPS = 24  # files with a few wrong bytes

_WEIGHTS = ("MODEL.WEIGHTS", CHECKPOINT)
_TRAIN = ("train", "--config-file", CONFIG)
COMMANDS = {
    "training": (TRAIN, _TRAIN),
    "training with a worker": (TRAIN, (*_TRAIN, "DATALOADER.NUM_WORKERS", "1")),
    "evaluation with a worker": (
        QUERY,
        (*_TRAIN, "--eval-only", *_WEIGHTS, "DATALOADER.NUM_WORKERS", "1"),
    ),
    "evaluation": (QUERY, (*_TRAIN, "--eval-only", *_WEIGHTS)),
    "dump": (QUERY, ("dump", "--config-file", CONFIG, "--weights", CHECKPOINT, "-o", "new.npz")),
    "show augment": (TRAIN, ("show", "augment", "--config-file", CONFIG, "--out", "new.png")),
    "robustness": (
        QUERY,
        ("robustness", "--config-file", CONFIG, "--queries-from", "query", *_WEIGHTS),
    ),
    "data check": (QUERY, ("data", "check", "people", "--no-cache", "--workers", "1")),
}


def picture(height: int = 64, width: int = 32, mode: str = "RGB") -> Image.Image:
    """Draw a picture of noise."""
    noise = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """Return the bytes of an image file."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def _png(width: int, height: int, rows: bytes) -> bytes:
    """Write a PNG whose header says what it likes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def broken_files() -> dict[str, bytes]:
    """Return files of image names that no decoder reads to the end."""
    jpeg, png = encoded(picture()), encoded(picture(), "PNG")
    flipped = bytearray(png)
    flipped[40] ^= 0xFF
    return {
        "empty": b"",
        "one byte": b"\xff",
        "text": b"this is no picture\n",
        "an error page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "zeros": bytes(4096),
        "random bytes": random.Random(1).randbytes(4096),
        "a JPEG's first 100 bytes": jpeg[:100],
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "half a PNG": png[: len(png) // 2],
        "a PNG with a wrong byte in its data": bytes(flipped),
        "a PNG of 0 x 0": _png(0, 0, b""),
        "a PNG of 60000 x 60000": _png(60_000, 60_000, b"\0"),
        "a PNG without its rows": _png(32, 64, b"\0"),
        "a drawing in SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "a cut TIFF": encoded(picture(), "TIFF")[:2000],
        "half a WebP": encoded(picture(), "WEBP")[:300],
        "a BMP's header": encoded(picture(), "BMP")[:60],
    }


def odd_files() -> dict[str, bytes]:
    """Return files that are read, though they are not what their name says, or not in RGB."""
    levels = np.linspace(0, 65535, 64 * 32).reshape(64, 32).astype(np.uint16)
    return {
        "a palette": encoded(picture().quantize(16), "PNG"),
        "transparency": encoded(picture(mode="RGBA"), "PNG"),
        "CMYK": encoded(picture(mode="CMYK")),
        "16 bits": encoded(Image.fromarray(levels), "PNG"),
        "1 bit": encoded(picture(mode="1"), "PNG"),
        "grey and alpha": encoded(picture(mode="LA"), "PNG"),
        "a BMP called .jpg": encoded(picture(), "BMP"),
        "one pixel": encoded(picture(1, 1)),
        "a ribbon": encoded(picture(2, 3000)),
    }


def make_cases() -> Iterator[Case]:
    """Yield every broken file under training, evaluation, dump and check."""
    for where, (file, words) in COMMANDS.items():
        for what, content in broken_files().items():
            yield _case(f"{what}, {where}", write(file, content), words, file, REFUSED)
    for what, content in odd_files().items():
        file, words = COMMANDS["training"]
        yield _case(f"{what}, training", write(file, content), words, file, RUNS)
        file, words = COMMANDS["dump"]
        yield _case(f"{what}, dump", write(file, content), words, file, RUNS)
    for number in range(FLIPS):
        where = ("dump", "data check", "training")[number % 3]
        file, words = COMMANDS[where]
        put = change(file, lambda data, seed=number: flip(data, seed))
        yield _case(f"wrong bytes {number}, {where}", put, words, file, EITHER)
    for where in ("evaluation", "dump", "data check"):
        file, words = COMMANDS[where]
        yield _case(f"a dangling link, {where}", _dangling(file), words, file, EITHER)


def flip(data: bytes, seed: int, most: int = 8) -> bytes:
    """Return a file with a few random bytes in random places."""
    chance, changed = random.Random(seed), bytearray(data)
    for _ in range(chance.randint(1, most)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _case(what: str, put: Put, words: tuple[str, ...], file: str, ends: str) -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (Path(file).name,), ends)


def _dangling(file: str) -> Put:
    def put(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).symlink_to("nowhere.jpg")

    return put

"""One image file, read to its last byte: what it is, or why nobody can read it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import warnings
from dataclasses import asdict, dataclass

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from fed_plugin.datasets.fingerprints import content_hash, mean_colors, perceptual_hash

# What an image of a person may come in, whatever its suffix says. All others are refused: some of
# PIL's readers start other programs.
_READERS = (
    *(JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, TiffImagePlugin.TiffImageFile),
    *(BmpImagePlugin.BmpImageFile, GifImagePlugin.GifImageFile, WebPImagePlugin.WebPImageFile),
)
_FORMATS = tuple(reader.format for reader in _READERS if reader.format in Image.OPEN)
_MAX_BYTES = 256 << 20  # a file beyond is hashed, not decoded


@dataclass(frozen=True)
class Facts:
    """Hold what one file turned out to be.

    Attributes:
        sha256: of its bytes, in hex; empty where they could not be read.
        look: perceptual hash; None where the picture was not decoded.
        colors: mean colours in hex; empty where the picture was not decoded.
        width: in pixels; 0 where unknown.
        height: in pixels; 0 where unknown.
        kinds: what is unusual about it: ``"palette"``, ``"CMYK"``, ``"16-bit"``, ``"grey"``,
            ``"transparent"``, ``"several frames"``.
        problem: why it cannot be read; empty for a sound file.
        decoded: whether every pixel was asked for.
    """

    sha256: str = ""
    look: int | None = None
    colors: str = ""
    width: int = 0
    height: int = 0
    kinds: tuple[str, ...] = ()
    problem: str = ""
    decoded: bool = True

    def to_json(self) -> str:
        """Return the facts as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Facts:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            fields = json.loads(line)
            return cls(**{**fields, "kinds": tuple(fields["kinds"])})
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"expected the facts of a file, got {line!r}") from error


def inspect(path: str, *, decode: bool = True) -> Facts:
    """Read one file and say what it is; never raises for what is wrong with the file.

    Args:
        path: of anything: a broken link, a folder or a pipe is a file with a problem.
        decode: decode every pixel; otherwise the header alone is believed.
    """
    try:
        data = _read(path)
    except OSError as error:
        return Facts(problem=_reason(path, error), decoded=decode)
    if data is None:
        return Facts(content_hash(path), problem=f"over {_MAX_BYTES >> 20} MiB", decoded=decode)
    sha256 = hashlib.sha256(data).hexdigest()
    if not data.strip(b"\0"):
        nothing = "only zero bytes" if data else "empty file"
        return Facts(sha256, problem=nothing, decoded=decode)
    size, kinds = (0, 0), ()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that nothing here reads
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                size, kinds = image.size, _kinds(image)
                look, colors = _decode(image) if decode else (None, "")
        problem = "cut off: its end is missing" if decode and _lacks_end(data) else ""
    except UnidentifiedImageError:
        return Facts(sha256, problem=f"no image in {', '.join(_FORMATS)}", decoded=decode)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        problem = f"over {Image.MAX_IMAGE_PIXELS} pixels, which PIL takes for a bomb"
    except Exception as error:  # every decoder raises its own kinds
        problem = f"{error or type(error).__name__}"
    else:
        return Facts(sha256, look, colors, *size, kinds, problem, decode)
    return Facts(sha256, None, "", *size, kinds, problem, decode)


def _read(path: str) -> bytes | None:
    """Return the bytes of a regular file; None for one that is too large."""
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise OSError("a folder")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise OSError("no regular file")
    if found.st_size > _MAX_BYTES:
        return None
    with open(path, "rb") as file:
        return file.read()


def _reason(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return f"broken link to {os.readlink(path)}"
    return error.strerror or str(error)


def _kinds(image: Image.Image) -> tuple[str, ...]:
    """Name what is unusual about an image that is not decoded yet."""
    sixteen = image.mode.startswith("I") or any("16" in str(tile[3]) for tile in image.tile)
    return tuple(
        kind
        for kind, present in (
            ("palette", image.mode in ("P", "PA")),
            ("CMYK", image.mode == "CMYK"),
            ("16-bit", sixteen),
            ("grey", image.mode in ("1", "L", "LA")),
            ("transparent", "A" in image.getbands() or "transparency" in image.info),
            ("several frames", getattr(image, "is_animated", False)),
        )
        if present
    )


def _decode(image: Image.Image) -> tuple[int, str]:
    """Decode every pixel, as training will; return what the picture shows and its colours."""
    image.load()
    return perceptual_hash(image), mean_colors(image).hex()


def _lacks_end(data: bytes) -> bool:
    """Tell whether a JPEG or a PNG has no end, though it decodes: what is missing becomes grey."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # end of image, start of scan
    return data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data

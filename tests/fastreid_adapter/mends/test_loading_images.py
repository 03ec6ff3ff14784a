"""Images are RGB, and one that fails is named."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from PIL import Image, ImageOps

from fed_plugin.fastreid_adapter.mends import loading as images


@pytest.fixture
def broken_image(tmp_path):
    path = tmp_path / "0001_c1s1_000001_00.jpg"
    path.write_bytes(b"no image")
    return str(path)


def test_the_stock_reader_does_not_name_a_truncated_file(stock, tmp_path):
    path = tmp_path / "half.jpg"
    Image.new("RGB", (64, 128), "red").save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(OSError, match=r"(?i)truncated") as stock_error:
        stock("fastreid.data.data_utils").read_image(str(path))
    assert "half.jpg" not in str(stock_error.value)
    module = stock("fastreid.data.data_utils")
    assert images.unreadable_image_names_its_file(module)
    with pytest.raises(RuntimeError, match=r"(?i)cannot read image .*half\.jpg: .*truncated"):
        module.read_image(str(path))


def test_a_missing_file_is_named_too_and_a_good_one_is_read(stock, market):
    module = stock("fastreid.data.data_utils")
    assert images.unreadable_image_names_its_file(module)
    with pytest.raises(
        RuntimeError, match=r"^cannot read image /no/where\.jpg: FileNotFoundError$"
    ):
        module.read_image("/no/where.jpg")
    path = next((market / "Market-1501-v15.09.15" / "query").iterdir())
    assert module.read_image(str(path)).size == (32, 64)


def test_a_reader_that_names_its_file_is_left_alone(stock):
    module = stock("fastreid.data.data_utils")
    module.read_image = lambda path: f"cannot read image {path}"
    assert images.unreadable_image_names_its_file(module) is False


def test_a_failing_transform_names_the_image(stock, market):
    def fail(image):
        raise ValueError("4 channels")

    module = stock("fastreid.data.common")
    path = str(next((market / "Market-1501-v15.09.15" / "query").iterdir()))
    with pytest.raises(ValueError, match=r"^4 channels$"):
        module.CommDataset([(path, 1, 1)], fail)[0]
    assert images.failing_transform_names_its_file(module)
    with pytest.raises(RuntimeError, match=r"cannot prepare image .*jpg: ValueError: 4"):
        module.CommDataset([(path, 1, 1)], fail)[0]
    assert module.CommDataset([(path, 1, 1)])[0]["targets"] == 0
    with pytest.raises(IndexError):
        module.CommDataset([(path, 1, 1)])[1]


def test_a_dataset_that_names_its_file_is_left_alone(stock):
    module = stock("fastreid.data.common")
    module.CommDataset.__getitem__ = lambda self, index: f"cannot prepare image {index}"
    assert images.failing_transform_names_its_file(module) is False


@pytest.mark.parametrize("workers", [0, 2])
def test_one_unreadable_image_stops_the_stock_loader_with_its_name(
    market_root, tiny_cfg, in_time, broken_image, workers
):
    from fastreid.data import CommDataset, build_reid_test_loader
    from fastreid.data.transforms import build_transforms

    cfg = tiny_cfg()
    dataset = CommDataset([(broken_image, 1, 1)] * 3, build_transforms(cfg, False), False)
    loader, _ = build_reid_test_loader(dataset, 2, 1, num_workers=workers)
    how, error = in_time(lambda: list(loader))
    assert how == "raised"
    assert f"cannot read image {broken_image}" in str(error)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)


RED = Image.new("RGB", (8, 16), (255, 0, 0))
SEE_THROUGH = Image.new("RGBA", (8, 16), (255, 0, 0, 0))


def transparent_colour(path):
    RED.save(path, transparency=(255, 0, 0))


def transparent_grey(path):
    Image.new("L", (8, 16), 7).save(path, transparency=7)


def sixteen_bits(path):
    Image.fromarray(np.full((16, 8), 0x8000, dtype=np.uint16)).save(path)


MID_GREY = (128, 128, 128)
STORED = {
    "palette.png": (RED.quantize(4).save, (255, 0, 0)),
    "palette.bmp": (RED.quantize(4).save, (255, 0, 0)),
    "rgba.png": (RED.convert("RGBA").save, (255, 0, 0)),
    "transparent.png": (SEE_THROUGH.save, MID_GREY),
    "transparent_palette.png": (SEE_THROUGH.quantize(4).save, MID_GREY),
    "transparent_grey_and_alpha.png": (SEE_THROUGH.convert("LA").save, MID_GREY),
    "transparent_colour.png": (transparent_colour, MID_GREY),
    "transparent_grey.png": (transparent_grey, MID_GREY),
    "cmyk.jpg": (RED.convert("CMYK").save, (255, 0, 0)),
    "cmyk.tif": (RED.convert("CMYK").save, (255, 0, 0)),
    "rgb.tif": (RED.save, (255, 0, 0)),
    "one_bit.png": (Image.new("1", (8, 16), 1).save, (255, 255, 255)),
    "sixteen_bits.png": (sixteen_bits, MID_GREY),
    "sixteen_bits.tif": (sixteen_bits, MID_GREY),
}


@pytest.fixture
def reader(stock):
    """The host's module with its reader mended and nothing else."""
    module = stock("fastreid.data.data_utils")
    assert images.images_are_read_as_rgb(module)
    return module


@pytest.mark.parametrize("name", STORED)
def test_every_way_to_store_an_image_is_read_as_rgb(reader, tmp_path, name):
    save, colour = STORED[name]
    save(tmp_path / name)
    image = reader.read_image(str(tmp_path / name))
    pixels = np.asarray(image)
    assert image.mode == "RGB" and pixels.shape == (16, 8, 3) and pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, np.broadcast_to(colour, pixels.shape), atol=2)


def test_the_stock_reader_takes_a_palette_for_grey_levels(stock, tmp_path):
    save, colour = STORED["palette.png"]
    save(tmp_path / "palette.png")
    stock_image = stock("fastreid.data.data_utils").read_image(str(tmp_path / "palette.png"))
    assert stock_image.getpixel((0, 0)) != colour


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("shape", [(16, 8, 3), (16, 8)])
def test_colour_and_grey_images_keep_every_bit_of_the_stock_reader(
    stock, reader, tmp_path, shape, orientation
):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    for suffix in ("jpg", "png"):
        path = str(tmp_path / f"image.{suffix}")
        Image.fromarray(noise(*shape)).save(path, exif=exif)
        expected = stock("fastreid.data.data_utils").read_image(path)
        image = reader.read_image(path)
        assert image.mode == expected.mode == "RGB" and image.size == expected.size
        assert image.tobytes() == expected.tobytes()


def test_broken_exif_data_spoil_no_image(stock, reader, tmp_path, monkeypatch):
    def refuse(image):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(ImageOps, "exif_transpose", refuse)
    path = str(tmp_path / "image.jpg")
    Image.fromarray(noise(16, 8, 3)).save(path)
    expected = stock("fastreid.data.data_utils").read_image(path)
    assert reader.read_image(path).tobytes() == expected.tobytes()


def test_a_format_that_is_asked_for_is_the_stock_readers_business(stock, reader, tmp_path):
    path = str(tmp_path / "image.png")
    Image.fromarray(noise(16, 8, 3)).save(path)
    expected = np.asarray(stock("fastreid.data.data_utils").read_image(path, "BGR"))
    assert (np.asarray(reader.read_image(path, "BGR")) == expected).all()


def test_the_first_frame_of_several_is_taken(reader, tmp_path):
    path = tmp_path / "frames.tif"
    RED.save(path, save_all=True, append_images=[Image.new("RGB", (8, 16), "blue")])
    assert reader.read_image(str(path)).getpixel((0, 0)) == (255, 0, 0)


def test_a_reader_that_knows_palettes_is_left_alone(stock):
    module = stock("fastreid.data.data_utils")
    module.read_image = lambda path: Image.open(path).convert("RGB")
    assert images.images_are_read_as_rgb(module) is False


def test_where_nothing_can_be_written_the_reader_is_mended_unseen(stock, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("read-only")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert images.images_are_read_as_rgb(stock("fastreid.data.data_utils"))


@pytest.mark.parametrize("name", ["half.jpg", "half.png", "empty.jpg", "half_cmyk.jpg"])
def test_a_broken_file_of_any_mode_is_named(stock, tmp_path, name):
    module = stock("fastreid.data.data_utils")
    assert images.images_are_read_as_rgb(module)
    assert images.unreadable_image_names_its_file(module)
    path = tmp_path / name
    Image.fromarray(noise(64, 32, 3)).convert("CMYK" if "cmyk" in name else "RGB").save(path)
    path.write_bytes(
        path.read_bytes()[: 0 if name.startswith("empty") else path.stat().st_size // 2]
    )
    with pytest.raises(RuntimeError, match=rf"^cannot read image .*{name}: "):
        module.read_image(str(path))


def test_the_stock_dataset_hands_out_rgb_of_every_file(tmp_path):
    from fastreid.data.common import CommDataset

    for save, _ in (STORED["cmyk.jpg"], STORED["palette.png"]):
        save(tmp_path / "0001_c1s1_000001_00.png", format="TIFF")
        item = CommDataset([(str(tmp_path / "0001_c1s1_000001_00.png"), 1, 1)])[0]
        assert item["images"].mode == "RGB" and item["images"].getpixel((3, 3)) == (255, 0, 0)

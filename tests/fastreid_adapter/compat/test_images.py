"""Row 4, images that cannot be read or prepared."""

from __future__ import annotations

import pytest
from PIL import Image

from fed_plugin.fastreid_adapter.compat import images


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

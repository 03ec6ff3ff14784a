"""The warning of to_tensor's storage class, and nothing else, is silenced."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

from fed_plugin.fastreid_adapter.mends.engine import deprecated_storage_warns_nobody


def loud_storage(data):
    warnings.warn("TypedStorage is deprecated. It will be removed.", UserWarning, stacklevel=2)
    return data


def fake_torch(from_buffer):
    return SimpleNamespace(
        torch=SimpleNamespace(
            ByteTensor=lambda storage: storage,
            ByteStorage=SimpleNamespace(from_buffer=from_buffer),
        )
    )


def test_the_warning_is_silenced_and_others_are_not():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert deprecated_storage_warns_nobody(fake_torch(loud_storage))
        loud_storage(b"0")
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["something else"]


def test_a_torch_that_does_not_warn_is_left_alone():
    assert not deprecated_storage_warns_nobody(fake_torch(lambda data: data))

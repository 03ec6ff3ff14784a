"""ONNX export by the exporter that the script was written for."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from fed_plugin.fastreid_adapter.mends import engine as mends


@pytest.fixture
def calls(monkeypatch):
    """Stand a function in for PyTorch's exporter; return what it is called with."""
    seen = []

    def export(model, args=(), f=None, *, dynamo=True, **kwargs):
        seen.append({"dynamo": dynamo, **kwargs})

    monkeypatch.setattr(torch.onnx, "export", export)
    return seen


HOST = ModuleType("fastreid.modeling.meta_arch.build")


def test_the_scripts_call_takes_the_exporter_that_needs_no_onnxscript(calls):
    torch.onnx.export(None, operator_export_type=3)
    assert calls.pop() == {"dynamo": True, "operator_export_type": 3}
    mends.onnx_export_takes_the_exporter_it_was_written_for.__wrapped__(HOST)
    torch.onnx.export(None, operator_export_type=3)
    assert calls.pop() == {"dynamo": False, "operator_export_type": 3}


def test_other_calls_and_a_chosen_exporter_go_through_unchanged(calls):
    assert mends.onnx_export_takes_the_exporter_it_was_written_for.__wrapped__(HOST)
    torch.onnx.export(None, opset_version=18)
    assert calls.pop() == {"dynamo": True, "opset_version": 18}
    torch.onnx.export(None, operator_export_type=3, dynamo=True)
    assert calls.pop()["dynamo"] is True


def test_it_applies_once_and_not_to_a_torch_whose_exporter_fits(calls, monkeypatch):
    mend = mends.onnx_export_takes_the_exporter_it_was_written_for.__wrapped__
    assert mend(HOST)
    assert mend(HOST) is False
    monkeypatch.setattr(torch.onnx, "export", lambda model, args, f, dynamo=False: None)
    assert mend(HOST) is False


def test_this_torch_knows_the_words_that_the_script_uses():
    import inspect

    from torch.onnx import OperatorExportTypes

    assert OperatorExportTypes.ONNX_ATEN_FALLBACK
    assert "operator_export_type" in inspect.signature(torch.onnx.export).parameters

"""Names that Python and PyTorch have taken away."""

from __future__ import annotations

import collections
import collections.abc
import importlib
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from fed_plugin.fastreid_adapter.mends import imports


def host_module(source):
    module = ModuleType("fastreid.data.build")
    module.__spec__ = SimpleNamespace(loader=SimpleNamespace(get_source=lambda name: source))
    return module


WITH_MAPPING = host_module("import sys\nfrom collections import OrderedDict, Mapping")
WITH_SIX = host_module("from torch._six import string_classes")
GUARDED = "if OLD:\n    from torch._six import string_classes\nelse:\n    string_classes = str"
WITHOUT = host_module(f"from collections.abc import Mapping\n{GUARDED}")


def test_collections_mapping_exists_while_the_host_module_runs_and_not_after():
    assert not hasattr(collections, "Mapping")
    take_back = imports.collections_mapping_exists(WITH_MAPPING)
    assert collections.Mapping is collections.abc.Mapping
    take_back(WITH_MAPPING)
    assert not hasattr(collections, "Mapping")


def test_a_host_module_that_needs_no_mapping_gets_none():
    assert not imports.collections_mapping_exists(WITHOUT)


def test_a_python_that_has_mapping_keeps_it(monkeypatch):
    monkeypatch.setattr(collections, "Mapping", collections.abc.Mapping, raising=False)
    assert not imports.collections_mapping_exists(WITH_MAPPING)
    assert collections.Mapping is collections.abc.Mapping


def test_nested_borrowers_keep_a_lent_name_until_the_last_one_is_done():
    outer = imports.collections_mapping_exists(WITH_MAPPING)
    inner = imports.collections_mapping_exists(WITH_MAPPING)
    inner()
    assert hasattr(collections, "Mapping")
    outer()
    assert not hasattr(collections, "Mapping")


def test_torch_six_exists_while_the_host_module_runs_and_not_after():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("torch._six")
    take_back = imports.torch_six_exists(WITH_SIX)
    from torch._six import string_classes

    assert isinstance("a path", string_classes)
    take_back(WITH_SIX)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("torch._six")


def test_a_host_module_that_guards_its_import_gets_no_torch_six():
    assert not imports.torch_six_exists(WITHOUT)


def test_somebody_else_s_stand_in_for_six_stays(monkeypatch):
    theirs = ModuleType("torch._six")
    monkeypatch.setitem(sys.modules, "torch._six", theirs)
    assert not imports.torch_six_exists(WITH_SIX)
    assert sys.modules["torch._six"] is theirs


WITH_METRICS = host_module("from sklearn import metrics\nauc = metrics.auc")


def test_scikit_learn_is_imported_when_its_metrics_are_asked(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    take_back = imports.sklearn_waits_until_it_is_asked(WITH_METRICS)
    from sklearn import metrics

    take_back(WITH_METRICS)
    assert "sklearn" not in sys.modules and not hasattr(metrics, "__path__")
    assert metrics.auc([0, 1], [0, 1]) == 0.5 and "sklearn" in sys.modules
    assert not imports.sklearn_waits_until_it_is_asked(WITH_METRICS)


def test_importing_the_evaluation_imports_no_scikit_learn():
    code = "import projects_registry, sys; projects_registry.arm(); import fastreid.evaluation"
    code += "; import fastreid.evaluation.reid_evaluation as e; assert 'sklearn' not in sys.modules"
    code += "; assert e.metrics.auc([0, 1], [0, 1]) == 0.5"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stock_modules_cannot_be_imported_without_the_lent_names(stock):
    for name in ("fastreid.data.build", "fastreid.evaluation.testing"):
        with pytest.raises(ImportError):
            stock(name)


def test_the_collator_of_the_mended_host_still_takes_mappings_and_strings():
    from fastreid.data.build import fast_batch_collator

    batch = fast_batch_collator(
        [{"img_paths": "a", "targets": 1}, {"img_paths": "b", "targets": 2}]
    )
    assert batch["img_paths"] == ["a", "b"]
    assert batch["targets"].tolist() == [1, 2]


def test_evaluate_rank_is_exported_by_the_evaluation_package_when_it_is_asked_for():
    package = ModuleType("fastreid.evaluation")
    assert not hasattr(package, "evaluate_rank")
    assert imports.evaluation_exports_evaluate_rank(package)
    from fastreid.evaluation.rank import evaluate_rank

    assert package.evaluate_rank is evaluate_rank
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


def test_a_package_that_exports_evaluate_rank_keeps_its_own():
    package = ModuleType("fastreid.evaluation")
    package.evaluate_rank = len
    assert imports.evaluation_exports_evaluate_rank(package) is False
    assert package.evaluate_rank is len

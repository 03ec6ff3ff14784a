"""Progress lines of a training of a few steps."""

from __future__ import annotations

import pytest

from fed_plugin.fastreid_adapter.mends import engine as trainer


def writes_twice(module):
    with module.EventStorage(0) as storage:
        printer = module.CommonMetricPrinter(10)
        storage.epoch = 0
        storage.put_scalar("lr", 0.1)
        printer.write()
        printer.write()


def test_the_stock_writer_divides_by_no_steps(stock):
    with pytest.raises(ZeroDivisionError):
        writes_twice(stock("fastreid.utils.events"))


def test_the_mended_writer_says_what_it_knows(stock, caplog):
    module = stock("fastreid.utils.events")
    assert trainer.short_trainings_write_their_progress(module)
    writes_twice(module)


def test_a_writer_that_estimates_nothing_is_left_alone(stock):
    module = stock("fastreid.utils.events")
    module.CommonMetricPrinter.write = lambda self: None
    assert trainer.short_trainings_write_their_progress(module) is False

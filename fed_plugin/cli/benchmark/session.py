"""One call of ``benchmark``: what is finished stays, what is not is run, everything is joined."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fed_plugin.cli.benchmark.board import Board
from fed_plugin.cli.benchmark.cells import Cell, CellState, look
from fed_plugin.cli.benchmark.devices import cuda_devices
from fed_plugin.cli.benchmark.plan import Plan
from fed_plugin.cli.benchmark.runner import Command, cell_command, run_cells
from fed_plugin.cli.benchmark.summary import (
    COLUMNS,
    NUMBERS,
    failures_table,
    join_results,
    results_tables,
)

NAMED = 3  # changed cells in a message


def run_plan(
    plan: Plan,
    cells: Sequence[Cell],
    *,
    others: Sequence[Cell] = (),
    jobs: int = 1,
    resume: bool = False,
    lock: int | None = None,
    command: Command = cell_command,
) -> int:
    """Run the cells that are not finished, then print a table of all.

    Args:
        plan: they belong to.
        cells: wanted.
        others: the plan's other cells; what is finished of them is joined and shown as well.
        jobs: how many at a time.
        resume: whether half trainings go on from their newest checkpoint.
        lock: file descriptor that cells inherit.
        command: makes the command of a cell.

    Returns:
        Exit status: 1 if a cell failed.

    Raises:
        ValueError: a finished cell is not what the plan asks for.
    """
    states = [look(cell) for cell in cells]
    refuse_changed(plan, cells, states)
    waiting = [cell for cell, at in zip(cells, states, strict=True) if at.kind != "finished"]
    seconds: dict[str, list[float]] = {}
    for cell, state in zip(cells, states, strict=True):
        if state.kind == "finished" and state.seconds:
            seconds.setdefault(cell.method, []).append(state.seconds)
    shown = [*cells, *(cell for cell in others if look(cell).kind == "finished")]
    board = Board(len(cells), len(cells) - len(waiting), seconds)

    def join(_: Cell | None = None) -> str:
        return str(join_results(plan, shown))

    try:
        failures = run_cells(
            waiting,
            board,
            jobs=jobs,
            resume=resume,
            lock=lock,
            devices=cuda_devices() if jobs > 1 else (),
            command=command,
            finished=join,
        )
    finally:
        board.close()
    joined = join()  # before anything is printed: a pipe to `head` may be closed
    print(f"\n{plan.name}\n\n{results_tables(shown)}")
    print(f"\n{', '.join(COLUMNS)} {NUMBERS}\n")
    print(f"numbers: {joined}")
    if failures:
        print(f"\n{failures_table(failures)}\nlogs: {plan.out / '*/*/seed*/train.log'}")
        print("The same command tries failed cells again.")
    return 1 if failures else 0


def refuse_changed(plan: Plan, cells: Sequence[Cell], states: Sequence[CellState]) -> None:
    """Refuse to go on where finished cells are not what the plan asks for.

    Raises:
        ValueError: it names them, and what is different.
    """
    changed = [
        (cell, state) for cell, state in zip(cells, states, strict=True) if state.kind == "changed"
    ]
    if not changed:
        return
    named = "; ".join(
        f"{cell.name}: {', '.join(state.differences)}" for cell, state in changed[:NAMED]
    )
    more = f"; and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    folders = os.path.commonpath([cell.folder for cell, _ in changed])
    raise ValueError(
        f"{plan.path}: not what the plan asks for now, though finished: {named}{more}; try the old "
        f"values, --out with another folder, or removing what changed below {folders}"
    )

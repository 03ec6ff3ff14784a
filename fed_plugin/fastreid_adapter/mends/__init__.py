"""Mend the host, one guarded function per defect; nothing of it is imported here.

`MENDS` lists every mend by name: its row in the table of host defects, the host modules it works
on, what goes wrong without it, and whether it was applied. The import hook of `projects_registry`
calls them around the execution of those modules; where a defect is absent, the mend is a no-op.
"""

from __future__ import annotations

from fed_plugin.fastreid_adapter.mends import (  # noqa: F401 - importing a file registers its mends
    checkpointer,
    evaluator,
    images,
    imports,
    launch,
    optimizer,
    resumption,
    samplers,
    trainer,
)
from fed_plugin.fastreid_adapter.mends.mending import MENDS, SKIP, Mend, arm, rebind

__all__ = ["MENDS", "SKIP", "Mend", "rebind"]

arm()

"""Mend the host, one guarded function per defect; importing this package imports nothing of it.

`MENDS` lists every mend by name: its defect, the host modules that it changes, and whether it was
applied. The import hook of `projects_registry` calls the mends around the execution of these
modules. Where a defect is absent, its mend does nothing. ``docs/host_defects.md`` describes them.
"""

from __future__ import annotations

from fed_plugin.fastreid_adapter.mends import (  # noqa: F401 - importing a file registers its mends
    checkpointer,
    engine,
    evaluator,
    imports,
    loading,
    optimizer,
    resumption,
)
from fed_plugin.fastreid_adapter.mends.mending import MENDS, SKIP, Mend, arm

__all__ = ["MENDS", "SKIP", "Mend"]

arm()

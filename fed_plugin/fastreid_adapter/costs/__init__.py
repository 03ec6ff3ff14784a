"""What methods cost: parameters, multiplications, time, memory, bytes of a descriptor.

Counted and timed on batches that lie in memory, so that neither the disk nor the hour has a part.
"""

from __future__ import annotations

from fed_plugin.fastreid_adapter.costs.identities import count_identities
from fed_plugin.fastreid_adapter.costs.measuring import (
    FLOAT32,
    MEASURED,
    SETTINGS,
    CostedMethod,
    measure_costs,
)

__all__ = ["FLOAT32", "MEASURED", "SETTINGS", "CostedMethod", "count_identities", "measure_costs"]

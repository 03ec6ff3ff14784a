"""A data set checked: what is there, what is missing, broken, or there twice.

``find_targets`` finds what a name or a path means, ``check`` reads its files and reports.
"""

from fed_plugin.datasets.checking.cache import FactsCache, default_cache
from fed_plugin.datasets.checking.counts import SplitCounts, list_hash
from fed_plugin.datasets.checking.findings import SEVERITIES, Finding, Listing
from fed_plugin.datasets.checking.inspection import Facts, inspect
from fed_plugin.datasets.checking.report import Report, check
from fed_plugin.datasets.checking.targets import Target, find_targets

__all__ = [
    "SEVERITIES",
    "Facts",
    "FactsCache",
    "Finding",
    "Listing",
    "Report",
    "SplitCounts",
    "Target",
    "check",
    "default_cache",
    "find_targets",
    "inspect",
    "list_hash",
]

"""Which of P-DukeMTMC-reID's two protocols a config follows.

Papers test on it either after training on its own training images (supervised) or after training
on another set, usually Market-1501 (transfer). Numbers of the two do not compare.
"""

from __future__ import annotations

from typing import Any

NAME = "P_DukeMTMC"
KEY = "DATASETS.P_DUKEMTMC.PROTOCOL"
PROTOCOLS = ("auto", "supervised", "transfer")


def check_p_dukemtmc(cfg: Any, tested: bool = False) -> None:
    """Refuse a config that says one protocol and follows the other.

    Args:
        cfg: a host config.
        tested: whether the set is tested on, also where DATASETS.TESTS does not name it.

    Raises:
        ValueError: The key is unknown; it is "supervised" and the tested set is not trained on; or
            it is "transfer" and the set is trained on.
    """
    protocol = cfg.DATASETS.get("P_DUKEMTMC", {}).get("PROTOCOL", "auto")
    names, tests = tuple(cfg.DATASETS.NAMES), tuple(cfg.DATASETS.TESTS)
    if protocol not in PROTOCOLS:
        raise ValueError(f"{KEY}={protocol!r}: expected one of {', '.join(map(repr, PROTOCOLS))}")
    if protocol == "supervised" and (tested or NAME in tests) and NAME not in names:
        raise ValueError(
            f"{KEY}='supervised': expected {NAME} in DATASETS.NAMES, as it is tested, got {names}; "
            f"try adding it there, or {KEY} 'transfer'"
        )
    if protocol == "transfer" and NAME in names:
        raise ValueError(
            f"{KEY}='transfer': expected DATASETS.NAMES without {NAME}, got {names}; try training "
            f"on another set, such as Market1501, or {KEY} 'supervised'"
        )


def p_dukemtmc_protocol(cfg: Any) -> str:
    """Say in a sentence which protocol a config follows."""
    names = tuple(cfg.DATASETS.NAMES)
    name, other = ("supervised", "transfer") if NAME in names else ("transfer", "supervised")
    return (
        f"{name} protocol, trained on {', '.join(names)}; its numbers do not compare with those of "
        f"the {other} one"
    )

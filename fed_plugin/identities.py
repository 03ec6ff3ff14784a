"""Who somebody is: one parser of identities, and Market-1501's mark for nobody.

Folders, tables, dumps and arrays follow the same rule. A whole number is one identity in every
spelling: ``9``, ``09``, ``9.0`` and `` 9 `` are one person. Identity -1 is junk: a detection that
shows nobody. Junk in a gallery is neither right nor wrong, and no query is junk.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import ArrayLike, NDArray

JUNK_PID = -1
"""Market-1501's mark for a detection that shows nobody."""
NOBODY = str(JUNK_PID)

_WHOLE_NUMBER = re.compile(r"-?[0-9]+(\.0*)?")


def canonical(name: str) -> str:
    """Return the name of a person or a camera in the form that is the same everywhere.

    Accents are composed (macOS stores them decomposed). Whole numbers lose space around them,
    leading zeros and an empty fraction, which tables with gaps add: ``0001``, ``1`` and ``1.0`` are
    one identity, and ``-1.0`` is nobody.
    """
    number = name.strip()
    if not _WHOLE_NUMBER.fullmatch(number):
        return unicodedata.normalize("NFC", name)
    digits = number.partition(".")[0].lstrip("-0")
    return ("-" if digits and number[0] == "-" else "") + (digits or "0")


def identity_arrays(*labels: ArrayLike) -> list[NDArray]:
    """Return identities or cameras as arrays that compare: numbers, or :func:`canonical` names.

    Raises:
        ValueError: A label is NaN or infinite.
    """
    arrays = [np.asarray(one) for one in labels]
    for array in arrays:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(
                "an identity or a camera is NaN or infinite: expected numbers or names; try -1 for "
                "the identity of nobody"
            )
    if not all(array.dtype.kind in "biuf" for array in arrays):
        for k, array in enumerate(arrays):
            names, places = np.unique(array.astype(str), return_inverse=True)
            spelled = np.array([canonical(str(name)) for name in names], dtype=str)
            arrays[k] = spelled[places].reshape(array.shape)
    return arrays


def is_junk(pids: ArrayLike) -> NDArray[np.bool_]:
    """Return which identities of an array mark a detection that shows nobody."""
    (array,) = identity_arrays(pids)
    return np.asarray(array == (JUNK_PID if array.dtype.kind in "biuf" else NOBODY))

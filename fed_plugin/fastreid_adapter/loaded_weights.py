"""Whether a file's weights are those of a model: the host only logs what did not fit."""

from __future__ import annotations

from typing import Any

TRAINING_ONLY = ("heads.memories.", "heads.fdm.", "heads.diffused_bottleneck.")


def check_loaded(result: Any, estimates_visibility: bool) -> None:
    """Refuse weights with which FED would evaluate as noise, or otherwise than it was trained.

    Args:
        result: what ``load_state_dict`` returned: the names of missing and of unexpected weights.
        estimates_visibility: whether the model has an OEM.

    Raises:
        ValueError: weights that evaluation needs are missing, or would be left out.
    """
    missing = [
        name
        for name in result.missing_keys
        if not name.startswith(TRAINING_ONLY) and "_classifier." not in name
    ]
    if missing:
        raise ValueError(
            f"MODEL.WEIGHTS: not a checkpoint of this FED model: {len(missing)} of its weights "
            f"are missing or have another shape, first {missing[0]!r}; expected a file that "
            "this config trained, or one made by `python -m fed_plugin convert`"
        )
    if not estimates_visibility and any(
        name.startswith("heads.oem.") for name in result.unexpected_keys
    ):
        raise ValueError(
            "MODEL.WEIGHTS: the checkpoint was trained with an OEM that MODEL.FED.OEM.ENABLED "
            "False leaves out, so its descriptors would be others; try MODEL.FED.OEM.ENABLED "
            "True"
        )

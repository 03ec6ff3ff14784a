"""A training that was killed goes on as if it had not been: what that takes beyond the host.

``run_state.py`` is what a checkpoint holds of a run beyond weights, optimizer and schedule,
``training_loop.py`` starts at any iteration, ``progress_checkpoints.py`` writes checkpoints within
an epoch, ``bad_losses.py`` leaves one of the last good state. The mends of ``compat/resuming.py``
put them into the host's trainer.
"""

from __future__ import annotations

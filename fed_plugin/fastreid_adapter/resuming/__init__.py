"""A killed training goes on as if it had never stopped: what this needs beyond the host.

``run_state.py`` is the state of a run beyond weights, optimizer and schedule. ``training_loop.py``
holds the parts of a loop that starts at any iteration, and the checkpoints within an epoch.
``checkpoint_file.py`` writes a checkpoint atomically. ``mends/resumption.py`` puts these into the
host's trainer.
"""

from __future__ import annotations

"""Runs any cell over a sequence, and back through time."""

from companion.engine.checkpoint import backward_checkpointed, forward_checkpointed
from companion.engine.compiled import cache_folder, compiled
from companion.engine.unroll import Tape, backward, forward, history

__all__ = [
    "Tape",
    "backward",
    "backward_checkpointed",
    "cache_folder",
    "compiled",
    "forward",
    "forward_checkpointed",
    "history",
]

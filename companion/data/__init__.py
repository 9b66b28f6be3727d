"""Real data for the book's pages, and what its long experiments and benchmarks measured."""

from companion.data.batches import draws, streams, stretches
from companion.data.stored import Event, load_benchmark, load_events, load_result
from companion.data.text import encode, shakespeare

__all__ = [
    "Event",
    "draws",
    "encode",
    "load_benchmark",
    "load_events",
    "load_result",
    "shakespeare",
    "streams",
    "stretches",
]

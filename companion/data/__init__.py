"""Real data for the book's pages, and what its long experiments and benchmarks measured."""

from companion.data.stored import Event, load_benchmark, load_events, load_result
from companion.data.text import encode, shakespeare, streams

__all__ = [
    "Event",
    "encode",
    "load_benchmark",
    "load_events",
    "load_result",
    "shakespeare",
    "streams",
]

"""Real data for the book's pages."""

from companion.data.text import encode, shakespeare, streams

__all__ = ["encode", "shakespeare", "streams"]

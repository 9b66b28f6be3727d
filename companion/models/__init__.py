"""Whole networks that several pages and experiments use, and what they are compared with."""

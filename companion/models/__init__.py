"""Whole networks that several pages and experiments use."""

"""The long experiments of the book: each script writes one file of `companion/data/results`.

    python -m book.experiments.<name> [--seeds 0 1 2]

Run it again to go on where it stopped.
"""

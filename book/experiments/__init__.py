"""The long experiments of the book: each script writes one file of `companion/data/results`.

    python -m book.experiments.<name> [--seeds 0 1 2]

Run it again to go on where it stopped.
"""

import os

# Before NumPy is imported: these networks are too small for more than one thread.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

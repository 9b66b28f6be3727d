"""How fast a training step is: forward and backward to all parameters and inputs, on one thread."""

import os

# All are read once, while the libraries are loaded. NPROC sizes the thread pools of JAX.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
    os.environ[threads] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["KERAS_BACKEND"] = "torch"

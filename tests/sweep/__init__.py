"""Random configurations of every family of kernels against float64; `python -m tests.sweep --help`."""

import os

# OpenMP's waiting threads would spin on the cores that the others need; read when lamina is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

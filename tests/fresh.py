"""Code in an interpreter of its own."""

import os
import subprocess
import sys


def run(code, **env):
    """Runs code with warnings as errors and more environment variables; returns the CompletedProcess."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
    )

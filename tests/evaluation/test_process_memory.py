"""Tests of the release of freed memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

_PROGRAM = """
import resource
import sys
import numpy as np
from ecg_study.evaluation.baselines.process_memory import release_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

if sys.argv[1] == "released":
    assert release_freed_memory()
np.ones(500_000)  # from here on, the C library keeps blocks of this size by default
before = resident()
pairs = [(np.ones(500_000), bytearray(100_000)) for _ in range(60)]
kept = [small for _, small in pairs]
del pairs
print(resident() - before)
"""


def _kept(how: str) -> int:
    """Return the bytes that a process still holds after freeing 240 MB in large blocks with small ones in between."""
    # Without variables that set the same from outside.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", _PROGRAM, how]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_large_blocks_are_returned_to_the_system() -> None:
    assert _kept("left alone") > 100e6  # otherwise this test shows nothing
    assert _kept("released") < 20e6

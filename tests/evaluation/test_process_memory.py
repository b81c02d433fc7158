"""What a report does with memory that it has freed."""

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

if sys.argv[1] == "given back":
    assert release_freed_memory()
np.ones(500_000)  # from here on, unless told, the C library keeps blocks of this size
before = resident()
pairs = [(np.ones(500_000), bytearray(100_000)) for _ in range(60)]
kept = [small for _, small in pairs]
del pairs
print(resident() - before)
"""


def _kept(how: str) -> int:
    """Bytes that a process of its own still has of 240 MB in large blocks, freed but for small ones between them."""
    # Without what would tell the C library the same from outside.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", _PROGRAM, how]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is for glibc alone")
def test_large_blocks_go_back_to_the_system() -> None:
    assert _kept("left alone") > 100e6  # else there is nothing to mend, and this test says nothing
    assert _kept("given back") < 20e6

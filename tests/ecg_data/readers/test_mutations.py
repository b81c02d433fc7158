"""Sound files that are cut and altered at random give a recording or one line, in seconds and in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ecg_data.readers.mutations import FORMATS, MUTATIONS
from tests.tiny import ROOT

_FILES = {"wfdb": 3}
"""Files of a recording, if there are several."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_altered_files_give_a_recording_or_one_line(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.ecg_data.readers.mutations", name, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-2000:]


def test_there_are_two_thousand_mutations() -> None:
    assert sum(MUTATIONS * _FILES.get(name, 1) for name in FORMATS) >= 2000

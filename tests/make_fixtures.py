"""Make the finished study in tests/fixtures/tiny_study again: ``python -m tests.make_fixtures``.

Run it when a stored format or a number changes. A slow test compares a new study with the stored one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ecg_study.ecg_data.databases.synthetic import write_synthetic
from tests.tiny import PROGRAM, ROOT, SECONDS, write_noise, write_preset

TINY_STUDY_DIR = ROOT / "tests" / "fixtures" / "tiny_study"

OPTIONS = (
    "--database folder --raw-dir raw --noise-dir noise --preset tiny.toml "
    "--data-dir data --out outputs --segment-samples 720 --workers 0"
)

KEPT = (
    "report.json",
    "report.md",
    "settings.toml",
    "search/*/search.json",
    "search/*/trials.csv",
    "models/*/*",
)
"""What the fixture holds: plots, tables of samples and weights would take several MB."""


def make_tiny_study(work: Path) -> Path:
    """Run the tiny study in an empty folder, and return its outputs."""
    write_synthetic(work / "raw", seed=1, subjects=16, duration=SECONDS)
    write_preset(work)
    (work / "noise").mkdir()
    write_noise(work / "noise")
    # Relative paths: the fixture stores them, and must not depend on where it was made.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", PROGRAM, "run", *OPTIONS.split()], cwd=work, env=environment, check=True)
    return work / "outputs"


def copy_kept(outputs: Path, directory: Path) -> None:
    """Copy what the fixture holds into an empty folder."""
    for pattern in KEPT:
        for file in sorted(outputs.glob(pattern)):
            target = directory / file.relative_to(outputs)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def main() -> None:
    """Replace the fixture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=TINY_STUDY_DIR, help="folder to replace (default: the fixture)")
    directory = parser.parse_args().out
    with tempfile.TemporaryDirectory() as work:
        outputs = make_tiny_study(Path(work))
        shutil.rmtree(directory, ignore_errors=True)
        copy_kept(outputs, directory)
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    print(f"{directory}: {size:,} bytes")


if __name__ == "__main__":
    main()

"""Fixtures that tests share: a small database, its cache, a stored study and a study that is run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import study
from ecg_study.ecg_data.databases.catalog import Database, open_database, split_database
from ecg_study.ecg_data.databases.splits import Split
from ecg_study.ecg_data.databases.synthetic import write_synthetic
from ecg_study.ecg_data.noise_records import open_noise_records
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache, open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.search_spaces.preset_files import save_preset
from tests.make_fixtures import TINY_STUDY_DIR
from tests.tiny import ONE_CONFIGURATION, SECONDS, write_noise, write_preset

# No deadlines: examples take longer on a busy machine, which is not a failure.
_PATIENT = [HealthCheck.too_slow]
settings.register_profile("fast", max_examples=25, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=_PATIENT,
)
settings.load_profile("fast")

_MARKED_FIXTURES = {"small_study": "slow", "real_data": "real_data"}
"""Fixtures that mark each test that uses them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use, before ``-m`` selects."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARKED_FIXTURES:
                item.add_marker(_MARKED_FIXTURES[fixture])


SMALL = SegmentSettings(segment_samples=720, window_samples=144)
AUGMENTED = replace(SMALL, augmented=True)

UNCHANGED = Augmentation(
    noise_probability=0,
    gaussian_sigma_range_mv=(0, 0),
    hum_probability=0,
    time_stretch_probability=0,
    inversion_probability=0,
    lead_mix_probability=0,
)
"""Augmentation that cuts segments anew, and nothing else."""


@pytest.fixture(scope="session")
def raw_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen synthetic records of 30 s. Shared: copy before changing anything."""
    directory = tmp_path_factory.mktemp("raw") / "records"
    write_synthetic(directory, seed=1, subjects=16, duration=SECONDS)
    return directory


@pytest.fixture
def own_raw_dir(raw_dir: Path, tmp_path: Path) -> Path:
    """Five of the records, without a list of checksums, for the test to damage."""
    directory = tmp_path / "own"
    directory.mkdir()
    for record in ("s01", "s02", "s03", "s04", "s05"):
        for file in raw_dir.glob(f"{record}.*"):
            shutil.copy(file, directory)
    return directory


@dataclass(frozen=True)
class SmallData:
    """The small database with its cache and split."""

    database: Database
    cache: SegmentCache
    split: Split


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the caches of the small database."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def small_data(raw_dir: Path, data_dir: Path) -> SmallData:
    """Segments of 720 samples of the small database."""
    database = open_database("folder", data_dir=data_dir, raw_dir=raw_dir)
    cache = open_cache(database, SMALL, data_dir=data_dir)
    return SmallData(database, cache, split_database(database, cache.records, seed=1))


@pytest.fixture(scope="session")
def noise_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise records of eight minutes: ``em`` has its test part from the fifth to the seventh."""
    directory = tmp_path_factory.mktemp("nstdb")
    write_noise(directory)
    return directory


@pytest.fixture(scope="session")
def augmented_cache(small_data: SmallData, noise_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SegmentCache:
    """The small database with what augmentation needs."""
    data_dir = tmp_path_factory.mktemp("augmented")
    return open_cache(small_data.database, AUGMENTED, data_dir=data_dir, noise=open_noise_records(noise_dir))


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the outputs of a finished study, without plots and tables of samples. Shared: change nothing."""
    directory = tmp_path_factory.mktemp("tiny") / "outputs"
    shutil.copytree(TINY_STUDY_DIR, directory)
    return directory


@pytest.fixture(scope="session")
def tiny_preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preset `TINY` as a file for ``--preset``."""
    return write_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="session")
def one_configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preset `ONE_CONFIGURATION` as a file for ``--preset``."""
    path = tmp_path_factory.mktemp("preset") / "one.toml"
    save_preset(ONE_CONFIGURATION, path)
    return path


@pytest.fixture(scope="session")
def small_options(raw_dir: Path, noise_dir: Path, data_dir: Path, tiny_preset: Path) -> list[str]:
    """Options of a study on the small database with the preset `TINY`."""
    options = (
        f"--database folder --raw-dir {raw_dir} --noise-dir {noise_dir} --data-dir {data_dir} --segment-samples 720"
    )
    return [*options.split(), "--preset", str(tiny_preset), "--workers", "0"]


@pytest.fixture(scope="session")
def small_study(small_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a study run here through the command line, in about a minute; prefer `tiny_study`."""
    out = tmp_path_factory.mktemp("study") / "outputs"
    assert study.main(["run", *small_options, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real databases. In CI it must exist."""
    named = os.environ.get("ECG_TEST_DATA")
    if not named:
        if os.environ.get("CI"):
            pytest.fail("ECG_TEST_DATA must name the folder with mitdb/ in CI")
        pytest.skip("set ECG_TEST_DATA to a folder with mitdb/ to run this on real records")
    directory = Path(named)
    if not (directory / "mitdb" / "100.hea").is_file():
        pytest.fail(f"ECG_TEST_DATA={named} does not contain mitdb/100.hea")
    return directory


WriteRecord = Callable[..., Path]


@pytest.fixture
def write_record(tmp_path: Path) -> WriteRecord:
    """A function that writes a WFDB record (samples in mV, beats, symbols) and returns its path."""

    def write(
        name: str = "r",
        signal: np.ndarray | None = None,
        beats: tuple[int, ...] = (100, 400, 700),
        symbols: str = "NNN",
        fs: float = 360,
        leads: tuple[str, ...] = ("II",),
    ) -> Path:
        import wfdb

        directory = tmp_path / "written"
        directory.mkdir(exist_ok=True)
        if signal is None:
            signal = np.random.default_rng(0).normal(0, 0.2, (3000, len(leads)))
        wfdb.wrsamp(
            name,
            fs=fs,
            units=["mV"] * len(leads),
            sig_name=list(leads),
            p_signal=signal.reshape(len(signal), -1),
            fmt=["16"] * len(leads),
            adc_gain=[1000] * len(leads),
            baseline=[0] * len(leads),
            write_dir=str(directory),
        )
        if beats:
            wfdb.wrann(name, "atr", np.array(beats), list(symbols), fs=fs, write_dir=str(directory))
        return directory / name

    return write

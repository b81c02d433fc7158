"""Training of DeepFilter's benchmark: losses, resuming, and the program from beginning to end."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.deepfilter import __main__ as program
from benchmarks.quality.deepfilter.beats import SAMPLES, BenchmarkBeats, read_beats
from benchmarks.quality.deepfilter.metrics import beat_errors
from benchmarks.quality.deepfilter.noise import VersionNoise, read_noise, version_noise
from benchmarks.quality.deepfilter.settings import ModelSettings, TrainingSettings
from benchmarks.quality.deepfilter.training import TrainedVersion, train_version, trained_beats
from ecg_study.errors import SettingsError, StateError
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.step_loop import StepCallback, StepProgress
from tests.benchmarks.qtdb_records import BEATS, TEST, VALIDATION, read_small, write_noise, write_qtdb

pytestmark = pytest.mark.slow

SMALL = TrainingSettings(ModelSettings(units=(4,), frame=64, dropout=0.1, weight_average=0.5, batch_size=16))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("deepfilter")
    return write_qtdb(root / "qtdb"), write_noise(root / "nstdb")


@pytest.fixture(scope="module")
def data(folders: tuple[Path, Path]) -> tuple[BenchmarkBeats, VersionNoise]:
    return read_small(folders[0]), version_noise(read_noise(folders[1]), 1)


class TestNetwork:
    clean, denoised = np.random.default_rng(0).normal(0, 1, (2, 3, SAMPLES, 1)).astype(np.float32)

    def test_losses_are_those_of_the_measures(self) -> None:
        from benchmarks.quality.deepfilter.network import measures_loss, mixture_loss, squared_loss

        errors = beat_errors(self.clean[..., 0], self.denoised[..., 0])
        expected = errors.ssd / 3.445 + errors.mad / 0.319 + errors.prd / 37.6 + (1 - errors.cosine) / 0.064
        np.testing.assert_allclose(measures_loss(self.clean, self.denoised), expected, rtol=1e-3)
        difference = np.abs(self.denoised - self.clean)[..., 0]
        mixture = difference.mean(1) + 5 * (difference**2).mean(1) + 0.02 * difference.max(1)
        np.testing.assert_allclose(mixture_loss(self.clean, self.denoised), mixture, rtol=1e-5)
        np.testing.assert_allclose(squared_loss(self.clean, self.denoised), errors.ssd / SAMPLES, rtol=1e-5)

    def test_a_perfect_output_has_a_finite_gradient(self) -> None:
        from benchmarks.quality.deepfilter.network import build_network

        model = build_network(SMALL.model)
        zeros = np.zeros((2, SAMPLES, 1), np.float32)
        assert np.isfinite(model.train_on_batch(zeros, zeros)).all()
        assert all(np.isfinite(weight).all() for weight in model.get_weights())

    def test_a_line_between_the_ends_is_removed(self) -> None:
        from benchmarks.quality.deepfilter.network import without_trend

        line = (3 + 0.01 * np.arange(SAMPLES, dtype=np.float32))[np.newaxis, :, np.newaxis]
        np.testing.assert_allclose(without_trend(line), 0 * line, atol=1e-4)

    def test_amplitude_does_not_matter(self) -> None:
        from benchmarks.quality.deepfilter.network import build_network, denoise

        model = build_network(SMALL.model)
        noisy = 5 * self.clean[..., 0]
        one, other = (denoise(model, factor * noisy, average_polarity=False) for factor in (1, 10))
        np.testing.assert_allclose(other, 10 * one, rtol=1e-3, atol=1e-3)

    def test_the_mean_of_both_polarities_changes_its_sign_with_the_input(self) -> None:
        from benchmarks.quality.deepfilter.network import build_network, denoise

        model = build_network(SMALL.model)
        noisy = self.clean[..., 0]
        one, other = (denoise(model, sign * noisy, average_polarity=True) for sign in (1, -1))
        np.testing.assert_allclose(one, -other, atol=1e-5)
        assert not np.allclose(denoise(model, noisy, average_polarity=False), one, atol=1e-4)

    def test_too_many_weights_are_refused(self) -> None:
        from benchmarks.quality.deepfilter.network import build_network

        assert build_network(ModelSettings()).count_params() < 200_000
        with pytest.raises(SettingsError, match=r"units: .* weights; the benchmark is for models under 200,000"):
            build_network(ModelSettings(units=(80, 80)))


class Killed(Exception):  # noqa: N818  # stands for the end of the process
    """Ends a training without a chance to save anything."""


def _train(
    data: tuple[BenchmarkBeats, VersionNoise],
    state: Path,
    *,
    settings: TrainingSettings = SMALL,
    epochs: int = 4,
    kill_after: int | None = None,
) -> TrainedVersion:
    def on_step(progress: StepProgress) -> None:
        if kill_after is not None and len(progress.history) >= kill_after:
            raise Killed

    beats, noise = data
    return train_version(
        1,
        beats,
        noise=noise,
        settings=settings,
        budget=TrainingBudget(epochs=epochs),
        state_path=state,
        on_step=on_step,
    )


class TestResuming:
    def test_a_killed_training_ends_like_one_that_was_not(
        self, data: tuple[BenchmarkBeats, VersionNoise], tmp_path: Path
    ) -> None:
        whole = _train(data, tmp_path / "whole.npz")
        with pytest.raises(Killed):
            _train(data, tmp_path / "killed.npz", kill_after=2)
        resumed = _train(data, tmp_path / "killed.npz")
        assert len(resumed.record.history) == len(whole.record.history) == 4
        assert resumed.beats == whole.beats == 4 * len(trained_beats(data[0], SMALL))
        for one, other in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)

    def test_a_finished_training_is_not_repeated(
        self, data: tuple[BenchmarkBeats, VersionNoise], tmp_path: Path
    ) -> None:
        first, again = (_train(data, tmp_path / "state.npz") for _ in range(2))
        assert again.beats == first.beats
        for one, other in zip(again.model.get_weights(), first.model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_other_settings_are_refused(self, data: tuple[BenchmarkBeats, VersionNoise], tmp_path: Path) -> None:
        _train(data, tmp_path / "state.npz", epochs=1)
        with pytest.raises(StateError, match="seed = 1, but seed = 2 was requested"):
            _train(data, tmp_path / "state.npz", epochs=1, settings=TrainingSettings(SMALL.model, seed=2))

    def test_refitting_takes_all_training_records_and_no_test_record(
        self, data: tuple[BenchmarkBeats, VersionNoise], tmp_path: Path
    ) -> None:
        refit = TrainingSettings(SMALL.model, refit=True)
        assert set(trained_beats(data[0], refit).records) == {"sel1", "sel2", *VALIDATION}
        assert set(trained_beats(data[0], SMALL).records) == {"sel1", "sel2"}
        trained = _train(data, tmp_path / "state.npz", settings=refit, epochs=1)
        assert (trained.record.averaged, trained.record.epoch) == (True, 1)


class TestProgram:
    def _run(self, folders: tuple[Path, Path], output: Path, *more: str, monkeypatch: pytest.MonkeyPatch) -> int:
        monkeypatch.setattr(program, "read_beats", partial(read_beats, test=TEST, validation=VALIDATION))
        small = ["--set", "units=[4]", "--set", "frame=64", "--set", "batch_size=16"]
        directories = ["--qtdb-dir", str(folders[0]), "--noise-dir", str(folders[1]), "--output-dir", str(output)]
        return program.main([*directories, *small, *more])

    def test_it_trains_both_versions_and_judges_them(
        self,
        folders: tuple[Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for _ in range(2):  # again from what is saved
            assert self._run(folders, tmp_path, "--epochs", "2", monkeypatch=monkeypatch) == 0
            result = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
            rows = {(row["method"], row["version"]): row["scores"] for row in result["rows"]}
            ours = [rows[program.OUR_METHOD, version] for version in ("both", "1", "2")]
            assert [scores["beats"] for scores in ours] == [2 * BEATS, BEATS, BEATS]
            assert ours[0]["ssd"] == pytest.approx((ours[1]["ssd"] + ours[2]["ssd"]) / 2)
            assert rows["noisy beats", "both"]["ssd"] > 0
            assert len(result["trainings"][0]["history"]) == 2
            table = (tmp_path / "results.md").read_text(encoding="utf-8")
            assert table in capsys.readouterr().out

    def test_ctrl_c_ends_it_and_the_same_command_resumes(
        self,
        folders: tuple[Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        steps: list[StepProgress] = []

        def log(_: object) -> StepCallback:
            def step(progress: StepProgress) -> None:
                steps.append(progress)
                if len(progress.history) == 1:
                    signal.raise_signal(signal.SIGINT)

            return step

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
        monkeypatch.setattr(program, "_log", log)
        more = ("--epochs", "3", "--versions", "1")
        assert self._run(folders, tmp_path, *more, monkeypatch=monkeypatch) == 130
        assert "stopped; the training is saved" in capsys.readouterr().err
        assert not (tmp_path / "results.json").exists()
        epoch = steps[-1].segments
        steps.clear()
        assert self._run(folders, tmp_path, *more, monkeypatch=monkeypatch) == 0
        assert steps[0].segments > epoch
        assert (steps[-1].segments, len(steps[-1].history)) == (3 * epoch, 3)

    def test_validation_does_not_need_the_test(
        self, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        more = ("--epochs", "1", "--versions", "1", "--judge", "validation")
        assert self._run(folders, tmp_path, *more, monkeypatch=monkeypatch) == 0
        assert "published |" not in (tmp_path / "results.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ((), "hours: give the hours or the epochs of a training"),
            (("--epochs", "1", "--refit", "--judge", "validation"), "refit: trains on the validation records"),
            (("--epochs", "1", "--set", "units=[99,99]"), "the benchmark is for models under 200,000"),
            (("--epochs", "1", "--noise-dir", "missing"), "missing"),
        ],
    )
    def test_a_mistake_is_one_line(
        self,
        folders: tuple[Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        more: tuple[str, ...],
        said: str,
    ) -> None:
        assert self._run(folders, tmp_path, *more, monkeypatch=monkeypatch) == 2
        error = capsys.readouterr().err
        assert error.startswith("deepfilter: error: ")
        assert said in error
        assert error.count("\n") == 1

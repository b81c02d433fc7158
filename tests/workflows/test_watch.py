"""The live page of searches: rendered from saved states, and served on this machine only."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import study
from ecg_study.cli.displays.live_server import open_server
from ecg_study.errors import InputError, StateError
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.preset_files import save_preset
from ecg_study.training.executors.base import Job, TrialFinished
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.state import search_directory
from ecg_study.workflows.settings import Settings, save_settings
from ecg_study.workflows.watch import LiveView
from tests.conftest import SmallData
from tests.tiny import TINY
from tests.tuning.fake_executor import PRESET, FakeExecutor, finish_at_once, search


def _answer(job: Job) -> TrialFinished:
    made = finish_at_once(job.spec)
    return TrialFinished(job.spec.id, replace(made, result=replace(made.result, parameters=100, seconds=2.0)))


@pytest.fixture
def started(small_data: SmallData, tmp_path: Path) -> tuple[Path, TrainingTask]:
    """Return an output folder in which a search of the denoiser was stopped after six of 23 trials.

    Its plan for a given time made the trials longer than those of the preset.
    """
    save_preset(TINY, tmp_path / "tiny.toml")
    out = tmp_path / "<out>"
    save_settings(Settings(preset=str(tmp_path / "tiny.toml")), out / "settings.toml")
    task = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, name=TINY.name))
    executor, left = FakeExecutor(1, random.Random(0)), [6]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    executor.before_each = count
    executor.answer = _answer
    with pytest.raises(KeyboardInterrupt):
        search(task, search_directory(out, DENOISER), executor=executor)
    return out, task


def test_the_page_shows_how_far_a_search_is(started: tuple[Path, TrainingTask]) -> None:
    out, _ = started
    page = LiveView(out).page()
    assert "<strong>6 of 23 trials</strong> are finished, after" in page
    assert "At this pace it takes" in page and "The best trial so far is" in page
    assert "Denoiser search: trials of each rung" in page and "Detector" not in page
    assert page.count("data:image/png") == 4, (
        "scores by epoch and time, all configurations, size and time against score"
    )
    assert "<script" not in page and "<out>" not in page and "&lt;out&gt;" in page


def test_the_page_is_rendered_again_when_a_search_has_gone_on(started: tuple[Path, TrainingTask]) -> None:
    out, task = started
    view = LiveView(out)
    first = view.page()
    assert view.page() is first
    executor = FakeExecutor(1, random.Random(0))
    executor.answer = _answer
    search(task, search_directory(out, DENOISER), executor=executor)
    last = view.page()
    assert "<strong>23 of 23 trials</strong>" in last and "The search has ended." in last
    assert "At this pace" not in last


def test_a_folder_without_a_study_is_refused_and_one_without_a_search_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no study has begun here; start one with search or run"):
        LiveView(tmp_path)
    assert study.main(["watch", "--output-dir", str(tmp_path)]) == 2
    save_settings(Settings(), tmp_path / "settings.toml")
    assert "No search has begun in this folder." in LiveView(tmp_path).page()


def test_a_damaged_search_is_one_line(started: tuple[Path, TrainingTask]) -> None:
    out, _ = started
    (search_directory(out, DENOISER) / "search.json").write_text("{")
    view = LiveView(out)
    with pytest.raises(StateError, match=r"search\.json"):
        view.page()
    with _served(view) as port:
        status, _, text = _get(port)
    assert status == 500 and "search.json" in text and "&lt;out&gt;" in text


@contextmanager
def _served(view: LiveView) -> Iterator[int]:
    with open_server(view.page, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _get(port: int, path: str = "/", host: str = "") -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def test_the_page_is_served_to_this_machine_alone(started: tuple[Path, TrainingTask]) -> None:
    with _served(LiveView(started[0])) as port:
        status, headers, text = _get(port)
        assert status == 200 and "6 of 23 trials" in text
        assert headers["Refresh"] == "10" and headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert _get(port, host=f"localhost:{port}")[0] == 200
        # A page of a stranger that has made its own host name point to this machine.
        assert _get(port, host=f"stranger.example:{port}")[0] == 403
        assert _get(port, path="/../settings.toml")[0] == 404
        with pytest.raises(InputError, match=f"port: {port} is in use; choose another, or 0 for a free one"):
            open_server(str, port=port)
    with pytest.raises(InputError, match="port: 99999 cannot be used"):
        open_server(str, port=99999)

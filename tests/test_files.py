"""Files, folders and locks: complete or absent, and free after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ecg_study.errors import InputError
from ecg_study.files import (
    locked,
    make_directory,
    new_directory,
    read_checksums,
    remove_abandoned,
    replacing,
    sha256_of_json,
    write_json,
    write_text,
    writing_together,
)
from tests.tiny import ROOT

_WITHOUT_FCNTL = """
    import sys, warnings
    sys.modules["fcntl"] = None  # as on Windows
    # filelock says once that it uses its other kind of lock.
    warnings.filterwarnings("ignore", "only soft file lock is available", UserWarning)
"""

_HOLD = """
    import os, sys, time
    from pathlib import Path
    from ecg_study.files import locked, new_directory
    with locked(Path(sys.argv[1])) as ours, new_directory(Path(sys.argv[2])) as directory:
        (directory / "half").write_text("x")
        print(ours, flush=True)
        time.sleep(60)
"""


def _python(code: str, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_lock_is_held_by_one_and_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / ".lock"
    with locked(lock) as first, locked(lock) as second:
        assert (first, second) == (True, False)
    with locked(lock) as again:
        assert again


@pytest.mark.slow
@pytest.mark.parametrize("prelude", ["", textwrap.dedent(_WITHOUT_FCNTL)], ids=["fcntl", "without-fcntl"])
def test_a_killed_process_leaves_no_lock_and_no_folder(tmp_path: Path, prelude: str) -> None:
    lock, directory = tmp_path / ".lock", tmp_path / "made"
    process = _python(prelude + textwrap.dedent(_HOLD), lock, directory)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    ask = """
        from pathlib import Path
        import sys
        from ecg_study.files import locked, new_directory
        with locked(Path(sys.argv[1])) as ours:
            print(ours)
        with new_directory(Path(sys.argv[2])) as directory:
            print(len(list(Path(sys.argv[2]).parent.glob(".ecg-*.made"))))
            (directory / "whole").write_text("x")
    """
    output, _ = _python(prelude + textwrap.dedent(ask), lock, tmp_path / "other").communicate()
    assert output.splitlines() == ["False", "1"]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    output, _ = _python(prelude + textwrap.dedent(ask), lock, directory).communicate()
    assert output.splitlines() == ["True", "1"], "only its own folder is left"
    assert [name for name in _names(tmp_path) if name != ".lock"] == ["made", "other"]
    assert _names(directory) == ["whole"]


def test_the_package_is_imported_without_fcntl() -> None:
    code = """
        import sys, warnings
        sys.modules["fcntl"] = None
        warnings.simplefilter("error")
        import ecg_study.files, ecg_study.ecg_data.segments.cache, ecg_study.models.folder
        print("imported")
    """
    assert _python(textwrap.dedent(code)).communicate()[0] == "imported\n"


def test_a_folder_is_complete_or_absent(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_directory(tmp_path / "a[1]") as directory:
        (directory / "file").write_text("x")
        raise RuntimeError
    assert _names(tmp_path) == []
    with new_directory(tmp_path / "a[1]") as directory:
        (directory / "file").write_text("first")
        with new_directory(tmp_path / "a[1]") as other:
            (other / "file").write_text("second")
    assert _names(tmp_path) == ["a[1]"]
    assert (tmp_path / "a[1]" / "file").read_text() == "second", "the faster one stays"


def test_a_file_is_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    (path.parent / ".ecg-0123abcd.a.txt").write_text("of a killed process")
    remove_abandoned(path.parent)
    assert _names(path.parent) == ["a.txt"]


def test_files_that_are_written_together_get_their_names_together(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writing_together(tmp_path):
        write_text(tmp_path / "a.txt", "half")
        raise RuntimeError
    assert _names(tmp_path) == []
    with writing_together(tmp_path):
        write_text(tmp_path / "a.txt", "1")
        write_text(tmp_path / "b.txt", "2")
        write_text(tmp_path / "other" / "c.txt", "3")
        assert [name for name in _names(tmp_path) if not name.startswith(".")] == ["other"]
    assert _names(tmp_path) == ["a.txt", "b.txt", "other"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_process_killed_while_files_get_their_names_leaves_all_of_them(renamed: int, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        write_text(tmp_path / name, "old")
    child = os.fork()
    if child == 0:
        replace = Path.replace
        calls: list[Path] = []

        def last_replace(path: Path, target: Path) -> None:
            if len(calls) == renamed:
                os.kill(os.getpid(), signal.SIGKILL)
            calls.append(path)
            replace(path, target)

        Path.replace = last_replace  # type: ignore[method-assign,assignment]
        with writing_together(tmp_path):
            for name in ("a.txt", "b.txt", "c.txt"):
                write_text(tmp_path / name, "new")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    remove_abandoned(tmp_path)
    assert [path.read_text() for path in sorted(tmp_path.glob("[a-z]*"))] == ["new", "new", "new"]
    write_text(tmp_path / "a.txt", "newer")  # the lock of the killed process is free
    with writing_together(tmp_path):
        pass
    assert _names(tmp_path) == ["a.txt", "b.txt", "c.txt"]


def test_a_journal_renames_only_what_its_process_wrote(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    for renames in ({"mine.txt": "b.txt"}, {".ecg-0123abcd.x": "../b.txt"}, ["x"], {"a": 1}):
        (tmp_path / "sub" / ".ecg-0123abcd.x").touch()
        (tmp_path / "sub" / ".ecg-0123abcd.renames").write_text(json.dumps(renames))
        remove_abandoned(tmp_path / "sub")
        assert _names(tmp_path / "sub") == []
        assert _names(tmp_path) == ["mine.txt", "sub"]


def test_hidden_files_of_others_stay(tmp_path: Path) -> None:
    for name in (".hidden", ".123-a.txt", ".ecg-study.lock", ".ecg-xyz.a", ".deadbeef.txt"):
        (tmp_path / name).touch()
    before = _names(tmp_path)
    remove_abandoned(tmp_path)
    assert _names(tmp_path) == before


def test_a_folder_that_cannot_hold_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="choose another output folder"):
            make_directory(path)
    make_directory(tmp_path / "new" / "folder")
    assert _names(tmp_path / "new" / "folder") == []


def test_long_names_are_written(tmp_path: Path) -> None:
    write_text(tmp_path / f"{'x' * 250}.csv", "")
    with writing_together(tmp_path):
        write_text(tmp_path / f"{'µ' * 120}.csv", "")
    assert len(_names(tmp_path)) == 2


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, 2.5]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, 2.5]}
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert sha256_of_json({"a": 1, "b": 2}) == sha256_of_json({"b": 2, "a": 1})


def test_lists_of_checksums_are_read(tmp_path: Path) -> None:
    assert read_checksums(tmp_path / "SHA256SUMS.txt") == {}
    (tmp_path / "SHA256SUMS.txt").write_text("AB  ./a.dat\ncd *b.dat\n\n")
    assert read_checksums(tmp_path / "SHA256SUMS.txt") == {"a.dat": "ab", "b.dat": "cd"}
    (tmp_path / "SHA256SUMS.txt").write_text("oneword\n")
    with pytest.raises(ValueError):
        read_checksums(tmp_path / "SHA256SUMS.txt")

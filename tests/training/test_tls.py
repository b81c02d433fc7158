"""Connections to Dask: only processes with a certificate of the cluster reach its workers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from distributed import Security

import study
from ecg_study.errors import SettingsError, TrainingError
from ecg_study.training.executors import dask_connection
from ecg_study.training.executors.dask_connection import open_dask_executor
from ecg_study.training.executors.tls import TlsFiles, check_scheduler
from ecg_study.workflows.settings import Settings
from tests.tiny import ROOT


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    made = Security.temporary()
    (folder / "ca.pem").write_text(made.tls_ca_file)
    (folder / "cert.pem").write_text(made.tls_client_cert)
    (folder / "key.pem").write_text(made.tls_client_key)
    return TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


_STRANGER = """
import sys
from distributed import Client, Security
security = Security.temporary() if sys.argv[2] == "own" else None
try:
    Client(sys.argv[1], timeout=2, set_as_default=False, security=security)
except (OSError, TimeoutError, ValueError, TypeError):
    print("refused")
"""
"""A program without the certificate of the cluster: it has none, or one of its own."""


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_only_the_process_that_started_the_local_workers_reaches_them() -> None:
    with open_dask_executor(1) as cluster:
        address = cluster.client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        (worker,) = cluster.client.scheduler_info()["workers"]
        assert worker.startswith("tls://127.0.0.1:")
        strangers = [
            subprocess.Popen([sys.executable, "-c", _STRANGER, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for words in ((address, "none"), (address.replace("tls", "tcp"), "none"), (address, "own"), (worker, "own"))
        ]
        assert [process.communicate()[0] for process in strangers] == ["refused\n"] * 4
        assert cluster.client.submit(abs, -7, pure=False).result(timeout=20) == 7


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_no_key_is_on_a_command_line_or_in_the_environment_of_a_worker() -> None:
    with open_dask_executor(1) as cluster:
        (pid,) = cluster.client.run(os.getpid).values()
        for name in ("cmdline", "environ"):
            assert b"PRIVATE KEY" not in Path(f"/proc/{pid}/{name}").read_bytes()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_scheduler_with_certificates_is_used(tls: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"tls://127.0.0.1:{_free_port()}"
    files = f"--tls-ca-file {tls.ca} --tls-cert {tls.certificate} --tls-key {tls.key}".split()
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard", *files]
    quiet = subprocess.DEVNULL
    scheduler = subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet)
    try:
        with open_dask_executor(None, address, tls=tls) as cluster:
            assert cluster.count == 1
        monkeypatch.setattr(dask_connection, "_CONNECT_SECONDS", 1.0)
        plain = address.replace("tls", "tcp")
        with pytest.raises(TrainingError, match="does not answer"), open_dask_executor(None, plain):
            pass
    finally:
        scheduler.kill()
        scheduler.wait()


def test_files_that_are_no_certificates_are_named(tls: TlsFiles, tmp_path: Path) -> None:
    check_scheduler("tls://host:1", tls)
    (tmp_path / "text").write_text("text")
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", str(tls.key), "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    for files, problem in (
        (TlsFiles(tmp_path / "none", tls.certificate, tls.key), "scheduler_ca: .*none: no such file"),
        (TlsFiles(tls.ca, tmp_path, tls.key), "scheduler_cert: .*: is not a file"),
        (TlsFiles(tls.ca, tls.certificate, tmp_path / "none"), "scheduler_key: .*none: no such file"),
        (TlsFiles(tmp_path / "text", tls.certificate, tls.key), "scheduler_ca: .*text: not a certificate in PEM"),
        (TlsFiles(tls.ca, tmp_path / "text", tls.key), "scheduler_cert: .* are not a certificate and its key"),
        (TlsFiles(tls.ca, tls.certificate, tls.certificate), "are not a certificate and its key"),
        (TlsFiles(tls.ca, tls.certificate, locked), "its key without password"),
    ):
        with pytest.raises(TrainingError, match=problem):
            check_scheduler("tls://host:1", files)
    with pytest.raises(TrainingError, match="needs a certificate; set scheduler_ca, scheduler_cert and scheduler_key"):
        check_scheduler("tls://host:1", None)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://localhost",
        "localhost",
        "tcp://:8786",
        "tcp://host:0",
        "tcp://host:70000",
        "tcp://host:port",
        "tcp://a b:1",
        "http://host:80",
        "tcp://host:1:2",
        "tcp://user@host:1",
        "8786",
        "::1:8786",
        "tcp://host:8786\n",
    ],
)
def test_an_address_that_cannot_be_one_is_refused_before_anything_is_read(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", "--scheduler", address, "--out", str(tmp_path / "o"), "--data-dir", str(tmp_path / "d")]
    assert study.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--scheduler: " in line
    assert "is not an address such as tcp://host:8786" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["host:1", "tcp://host:8786", "tls://10.0.0.1:65535", "tcp://[::1]:8786", "ws://host.example:80/"]
)
def test_addresses_are_accepted(address: str) -> None:
    assert Settings(scheduler=address).scheduler == address


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "--scheduler tls://h:1 --scheduler-ca a",
            "--scheduler-cert: is missing; --scheduler-ca needs all three files",
        ),
        ("--scheduler tls://h:1 --scheduler-key a", "--scheduler-ca: is missing; --scheduler-key needs all three"),
        (
            "--scheduler tcp://h:1 --scheduler-ca a --scheduler-cert b --scheduler-key c",
            "--scheduler: 'tcp://h:1' is not a tls:// address, so --scheduler-cert has no use",
        ),
        (
            "--scheduler tls://h:1 --scheduler-ca a --scheduler-cert b --scheduler-key c",
            "--scheduler-ca: a: no such file",
        ),
        ("--scheduler tls://h:1", "tls://h:1 needs a certificate; set --scheduler-ca"),
    ],
)
def test_wrong_combinations_are_one_line(
    options: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", *options.split(), "--out", str(tmp_path / "o"), "--data-dir", str(tmp_path / "d")]
    assert study.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert list(tmp_path.iterdir()) == []


def test_certificates_are_settings_of_a_file(tls: TlsFiles) -> None:
    made = Settings(
        scheduler="tls://h:1",
        scheduler_ca=str(tls.ca),
        scheduler_cert=str(tls.certificate),
        scheduler_key=str(tls.key),
    )
    assert made.tls_files == tls
    assert Settings().tls_files is None
    with pytest.raises(SettingsError):
        Settings(scheduler_ca=str(tls.ca))

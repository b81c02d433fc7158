"""Encryption and authentication of the connections to a Dask cluster."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.errors import TrainingError

if TYPE_CHECKING:
    from distributed import Security

_CA, _CERTIFICATE, _KEY = "scheduler_ca", "scheduler_cert", "scheduler_key"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for a scheduler that requires TLS.

    Attributes:
        ca: certificate of the authority that signed all certificates of the cluster.
        certificate: certificate of this program.
        key: its private key, without a password.
    """

    ca: Path
    certificate: Path
    key: Path

    def check(self) -> None:
        """Check that the files can be used.

        Raises:
            TrainingError: a file is missing, or is not what it should be.
        """
        for name, path in ((_CA, self.ca), (_CERTIFICATE, self.certificate), (_KEY, self.key)):
            if not path.is_file():
                problem = "is not a file" if path.exists() else "no such file"
                raise _refused(f"{name}: {path}: {problem}", [name])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.ca)
        except OSError as error:  # ssl.SSLError is one
            raise _refused(f"{_CA}: {self.ca}: not a certificate in PEM format", [_CA]) from error
        try:
            # With a password, so that none is asked for.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            problem = f"{self.certificate} and {self.key} are not a certificate and its key without password"
            raise _refused(f"{_CERTIFICATE}: {problem}", [_CERTIFICATE, _KEY]) from error

    def as_security(self) -> Security:
        """Return the credentials for Dask."""
        from distributed import Security

        return Security(
            tls_ca_file=str(self.ca),
            tls_client_cert=str(self.certificate),
            tls_client_key=str(self.key),
            require_encryption=True,
        )


def temporary_security() -> Security:
    """Return a new certificate that only this process and its workers have.

    It is passed to them through their standard pipes, never on a command line, and is in no file that lasts. Creating
    it takes 0.1 s.
    """
    from distributed import Security

    return Security.temporary()


def check_scheduler(address: str, tls: TlsFiles | None) -> None:
    """Check that the credentials suit the address of a scheduler, without connecting.

    Raises:
        TrainingError: they do not, or a file cannot be used.
    """
    if tls is not None:
        tls.check()
    elif address.startswith("tls://"):
        from distributed import Security

        # Dask's own configuration may name the files.
        if Security().get_connection_args("client").get("ssl_context") is None:
            problem = f"scheduler: {address} needs a certificate; set {_CA}, {_CERTIFICATE} and {_KEY}"
            raise _refused(problem, ["scheduler", _CA, _CERTIFICATE, _KEY])


def _refused(problem: str, parameters: Sequence[str]) -> TrainingError:
    return TrainingError(problem, parameters=parameters)

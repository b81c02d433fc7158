"""Databases of the user: a folder of WFDB records with annotations, and what is known about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ecg_study.ecg_data.databases.facts import DATABASES, OFF_R_PEAK
from ecg_study.errors import SettingsError

Use = Literal["split", "train", "test"]
"""``"split"`` divides the subjects of a database among the parts. ``"train"`` never tests them, ``"test"`` only tests
them."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class OwnDatabase:
    """A database of the user.

    Attributes:
        name: name of the database, with which the names of its records begin.
        folder: folder with the WFDB records.
        groups: table with the columns ``record`` and ``group``, the subject of each record; optional columns
            ``first_mark_s`` and ``last_mark_s`` say between which seconds all beats are annotated. A group with a
            slash, such as ``mitdb/100``, is that subject of another database. ``None`` if each record is of a subject
            of its own.
        symbols: annotation codes of beats; empty for those of WFDB.
        annotator: extension of the annotation files.
        part: use of its records, see `Use`.
        share: share of the training segments that come from this database, from 0 to 1; ``None`` for as many as it has.
        align: whether its marks are moved to the R peaks.

    Raises:
        SettingsError: the name is taken, or has other characters than letters, digits, hyphens and underscores.
    """

    name: str
    folder: Path
    groups: Path | None = None
    symbols: tuple[str, ...] = ()
    annotator: str = "atr"
    part: Use = "split"
    share: float | None = None
    align: bool = True

    def __post_init__(self) -> None:
        """Check the name."""
        if self.name in DATABASES:
            raise SettingsError("databases", f"{self.name!r} is a known database; choose another name", value=self.name)
        if not _NAME.fullmatch(self.name):
            problem = f"{self.name!r} is not a name of letters, digits, hyphens and underscores"
            raise SettingsError("databases", problem, value=self.name)

    def as_json(self) -> dict[str, Any]:
        """Return what decides about marks and parts, which caches and searches depend on, as JSON."""
        return {"symbols": sorted(self.symbols), "annotator": self.annotator, "part": self.part, "align": self.align}


OwnDatabases = Mapping[str, OwnDatabase]
"""Databases of the user by name."""

NO_OWN_DATABASES: OwnDatabases = MappingProxyType({})


def by_name(databases: Iterable[OwnDatabase]) -> OwnDatabases:
    """Return databases by their names."""
    return {database.name: database for database in databases}


def off_r_peak(names: Iterable[str], own: OwnDatabases) -> tuple[str, ...]:
    """Return the databases whose marks may lie off the R peaks.

    Args:
        names: the databases.
        own: databases of the user by name.
    """
    return tuple(name for name in names if (own[name].align if name in own else name in OFF_R_PEAK))

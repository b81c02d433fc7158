"""Facts about the known databases: version, terms, and whom to cite."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ecg_study.ecg_data.databases.physionet import MITDB
from ecg_study.ecg_data.databases.synthetic import VERSION
from ecg_study.errors import SettingsError

JOINABLE = ("mitdb", "qtdb", "cinc2014")
"""Databases that can be used together; a folder of a user has no known subjects, and synthetic records are no data."""

OFF_R_PEAK = ("qtdb", "cinc2014")
"""Databases whose marks lie off the R peak in some records: 20 to 70 ms before or after it in a third of ``qtdb``."""

DATABASES = ("synthetic", *JOINABLE, "folder")

_GOLDBERGER = "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220, 2000."

VERSIONS = {"synthetic": str(VERSION), "mitdb": MITDB.version, "qtdb": "1.0.0", "cinc2014": "1.0.0", "folder": ""}
"""Version of each database; empty for a folder, whose version is unknown."""

LICENSES = {
    "synthetic": "that of this program (MIT)",
    "mitdb": "Open Data Commons Attribution License 1.0",
    "qtdb": "Open Data Commons Attribution License 1.0",
    "cinc2014": "terms of PhysioNet, to be cited",
    "folder": "",
}

ATTRIBUTION = {
    "synthetic": "Synthetic ECG by the dynamical model of McSharry et al. (2003); made by this program.",
    "mitdb": (
        "MIT-BIH Arrhythmia Database, PhysioNet. Moody GB, Mark RG. "
        f"The impact of the MIT-BIH Arrhythmia Database. IEEE Eng Med Biol 20(3):45-50, 2001. {_GOLDBERGER}"
    ),
    "qtdb": (
        "QT Database, PhysioNet. Laguna P, Mark RG, Goldberger A, Moody GB. A database for evaluation of algorithms "
        "for measurement of QT and other waveform intervals in the ECG. Computers in Cardiology 24:673-676, 1997. "
        f"{_GOLDBERGER}"
    ),
    "cinc2014": (
        "PhysioNet/Computing in Cardiology Challenge 2014, ECG of the public training sets. Moody G, Moody B, Silva I. "
        "Robust detection of heart beats in multimodal data. Computing in Cardiology 41:549-552, 2014. "
        f"{_GOLDBERGER}"
    ),
    "folder": "Records of the user.",
}


def database_names(names: str, *, own: Collection[str] = ()) -> tuple[str, ...]:
    """Return the databases in a comma-separated list, in the order of `DATABASES`, and then of the user's own.

    Args:
        names: the list.
        own: names of the databases of the user.

    Raises:
        SettingsError: one is unknown or given twice, or cannot be used together with others.
    """
    given, joinable = names.split(","), (*JOINABLE, *own)
    for name in given:
        if name not in (*DATABASES, *own):
            problem = f"{name!r} is unknown; use one of {', '.join((*DATABASES, *own))}"
            raise SettingsError("database", problem, value=names)
        if len(given) > 1 and name not in joinable:
            problem = f"{name!r} cannot be used together with others; {', '.join(joinable)} can"
            raise SettingsError("database", problem, value=names)
        if given.count(name) > 1:
            raise SettingsError("database", f"{name!r} is given twice", value=names)
    return tuple(name for name in (*DATABASES, *own) if name in given)


def versions_of(names: Sequence[str]) -> str:
    """Return the version of a database, or name and version of each of several; a user's own has none."""
    if len(names) == 1:
        return VERSIONS.get(names[0], "")
    return ", ".join(f"{name} {VERSIONS.get(name, '')}".strip() for name in names)


def licenses_of(names: Sequence[str]) -> str:
    """Return the license of a database, or the license of each of several; a user's own has none."""
    if len(names) == 1:
        return LICENSES.get(names[0], "")
    return "; ".join(f"{name}: {LICENSES[name]}" for name in names if name in LICENSES)


def attribution_of(names: Sequence[str]) -> str:
    """Return whom to cite for one or several databases."""
    return " ".join(dict.fromkeys(ATTRIBUTION.get(name, ATTRIBUTION["folder"]) for name in names))

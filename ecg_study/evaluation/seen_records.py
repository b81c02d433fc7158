"""Records and subjects that a model was trained on: results on them say nothing about unseen people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION, Part
from ecg_study.ecg_data.databases.subjects import subject_of
from ecg_study.errors import ModelError
from ecg_study.models.card import LINEAGE, ModelCard

_WITHOUT_SUBJECTS = ("synthetic", "folder", "")
"""Databases whose subjects have no names."""


def seen_records(card: ModelCard, signals: Mapping[str, Sequence[str]], *, part: Part) -> list[str]:
    """Return the records of a part whose signals a model was trained on, under any name.

    A card lists the signals of training and validation records. Validation records of the model may be used for
    validation.

    Args:
        card: card of the model.
        signals: record → SHA-256 of each of its files.
        part: what the records are used for.
    """
    own: dict[str, Any] = card.data.get("records", {})
    allowed = set(own.get(VALIDATION, ())) if part == VALIDATION else set()
    trained = {
        digest
        for record, digests in card.data.get("signals", {}).items()
        if record not in allowed
        for digest in digests
    }
    return [record for record, digests in signals.items() if trained & set(digests)]


def records_of_seen_subjects(card: ModelCard, data: Database, *, records: Iterable[str], part: Part) -> list[str]:
    """Return the records of a part whose subjects a model, or the model it was made from, was trained on.

    Records of a folder have no known subjects.

    Args:
        card: card of the model.
        data: the database of the records, or several.
        records: records of the part.
        part: what the records are used for.

    Raises:
        ModelError: the card is damaged.
    """
    members = (data.member(record) for record in data.records)
    known = {f"{member.database}/{member.name}": member.subject for member in members}
    parts: tuple[Part, ...] = (TRAIN,) if part == VALIDATION else (TRAIN, VALIDATION)
    subjects = {
        known.get(record) or subject_of(record)
        for trained in _with_origins(card.data)
        for record in _unique_records(trained, parts)
    }
    return [record for record in records if data.member(record).subject in subjects]


def _with_origins(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the data of a card, of the model that it was made from, and so on."""
    while data:
        yield data
        origin = data.get(LINEAGE, {"data": {}})
        before: Any = origin.get("data") if isinstance(origin, dict) else None
        if not isinstance(before, dict) or not isinstance(before.get("records", {}), dict):
            raise ModelError(f"model card: {LINEAGE} does not say what that model was trained on; use another copy")
        data = before


def _unique_records(data: dict[str, Any], parts: Iterable[Part]) -> list[str]:
    """Return the records of some parts of a training, as in ``"mitdb/100"``."""
    database = str(data.get("database", ""))
    if database in _WITHOUT_SUBJECTS:
        return []
    listed: dict[str, Any] = data.get("records", {})
    names = [record for part in parts for record in listed.get(part, ())]
    return names if "," in database else [f"{database}/{record}" for record in names]

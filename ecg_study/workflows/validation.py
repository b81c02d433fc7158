"""Checked values: frozen pydantic models whose errors are one line that says what is expected."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ecg_study.errors import SettingsError


@dataclass(frozen=True)
class Expected:
    """Words for the values that a field accepts; an error reads ``<value> is not <words>``."""

    words: str


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


PositiveInt = Annotated[int, Field(gt=0), Expected("a positive integer")]
NonNegativeInt = Annotated[int, Field(ge=0), Expected("an integer of 0 or more")]
Number = Annotated[float, Field(allow_inf_nan=False), Expected("a number")]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False), Expected("a positive number")]
Hours = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False), Expected("a positive number of at most 10,000")]
Workers = Annotated[int, Field(ge=0, le=1000), Expected("an integer from 0 to 1,000")]
NonNegativeNumber = Annotated[float, Field(ge=0, allow_inf_nan=False), Expected("a number of 0 or more")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), Expected("a number from 0 to 1")]
Text = Annotated[str, BeforeValidator(_as_text), Expected("text")]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Expected("a list of names")]
Flag = Annotated[bool, Expected("true or false")]


def one_of(values: Iterable[str]) -> AfterValidator:
    """Return a validator that accepts these values and suggests one for a near miss."""
    known = tuple(values)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is not one of {', '.join(known)}{did_you_mean(value, known)}")
        return value

    return AfterValidator(check)


def each_of(values: Iterable[str]) -> AfterValidator:
    """Return a validator for a list that is not empty and holds these values only; repeated ones are dropped."""
    known = tuple(values)

    def check(given: tuple[str, ...]) -> tuple[str, ...]:
        if not given:
            raise ValueError(f"is empty; choose from {', '.join(known)}")
        for value in given:
            if value not in known:
                raise ValueError(f"{value!r} is not one of {', '.join(known)}{did_you_mean(value, known)}")
        return tuple(dict.fromkeys(given))

    return AfterValidator(check)


def matching(pattern: str, words: str) -> AfterValidator:
    """Return a validator for text that matches a pattern as a whole; ``words`` say what that is."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not {words}")
        return value

    return AfterValidator(check)


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for a near miss, else an empty string."""
    by_letters = {name.lower(): name for name in known}
    near = difflib.get_close_matches(value.lower(), list(by_letters), n=1)
    return f"; did you mean {by_letters[near[0]]!r}?" if near else ""


class CheckedModel(BaseModel):
    """A frozen value whose constructor raises `SettingsError` for an unknown field or a wrong value."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _raise_one_line(cls, values: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _settings_error(error, cls, values) from None

    @classmethod
    def parse_text(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Convert values that were given as text, as on a command line, and check them.

        Args:
            values: text by field name; lists of text and flags are accepted too.

        Returns:
            The converted values of the given fields.

        Raises:
            SettingsError: a field is unknown or its value is wrong.
        """
        made = cls.model_validate(dict(values), strict=False)
        return {name: getattr(made, name) for name in values}

    def changed(self, **values: Any) -> Self:
        """Return a checked copy with other values.

        Raises:
            SettingsError: a field is unknown or its value is wrong.
        """
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**(kept | values))


def _settings_error(error: ValidationError, model: type[BaseModel], values: Any) -> SettingsError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    field = model.model_fields.get(name)
    # The whole value: the error itself may be about one item of a list.
    value = values.get(name) if isinstance(values, Mapping) else first["input"]
    if field is None:
        known = list(model.model_fields)
        suggestion = did_you_mean(name, known) or f"; known are {', '.join(known)}"
        return SettingsError(name, f"unknown setting{suggestion}", value=value)
    if first["type"] == "value_error":
        return SettingsError(name, str(first["ctx"]["error"]), value=value)
    return SettingsError(name, f"{value!r} is not {_expected(field.annotation, field.metadata)}", value=value)


def _expected(annotation: Any, metadata: Iterable[Any]) -> str:
    """Return the words for what a field accepts; for an optional field, those of its values."""
    for item in metadata:
        if isinstance(item, Expected):
            return item.words
    for inner in get_args(annotation):
        found = _expected(inner, getattr(inner, "__metadata__", ()))
        if found:
            return found
    return ""

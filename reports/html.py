"""The page as one HTML file that one can mail: pictures and style inside, no script, nothing fetched from elsewhere."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_TEMPLATES = Path(__file__).parent / "templates"
_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}

_LONG = 40
"""Columns of text with more characters than this in a cell are broken into lines."""

_NAME = 14
"""First columns with more characters than this in a cell are broken into lines on a phone, where they stay in sight."""

_INTERVAL = re.compile(r"(\S+ \[[^\[\]]+\])")
"""A figure with its interval, which no line may break."""


@dataclass(frozen=True)
class _Section:
    """What stands under one heading of the second level, that heading included."""

    id: str
    title: str
    html: str


def to_html(markdown: str, folder: Path, title: str) -> str:
    """The page, whole in itself; the same arguments give the same text.

    HTML in the markdown is shown as text: names of records and leads come from files that others wrote.

    Args:
        markdown: the page as markdown.
        folder: where the pictures lie that the page names.
        title: the title of the file, for tabs and bookmarks.

    Raises:
        FileNotFoundError: a picture is missing.
        ValueError: a picture lies outside of the folder or is of an unknown kind.
    """
    parser = _parser()
    tokens = parser.parse(markdown)
    _name_headings(tokens)
    _embed_pictures(tokens, folder)
    tokens = _dress_tables(_dress_figures(tokens))
    starts = [place for place, token in enumerate(tokens) if _is_section(token)]
    lead = tokens[: starts[0]] if starts else tokens
    parts = [tokens[start:end] for start, end in pairwise([*starts, len(tokens)])]
    return _fill(
        title=title,
        lead=_render(parser, lead),
        sections=[_Section(str(part[0].attrGet("id")), _text(part[1]), _render(parser, part)) for part in parts],
    )


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")


def _render(parser: MarkdownIt, tokens: Sequence[Token]) -> str:
    return str(parser.renderer.render(tokens, parser.options, {}))


def _fill(title: str, lead: str, sections: Sequence[_Section]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    css = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(title=title, css=css, lead=lead, sections=sections)


def _is_section(token: Token) -> bool:
    return token.type == "heading_open" and token.tag == "h2" and token.level == 0


def _name_headings(tokens: Sequence[Token]) -> None:
    """Give every heading an id; one below the second level is named after its section too."""
    taken: set[str] = set()
    section = ""
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        name = re.sub(r"\W+", "-", _text(inline).lower()).strip("-") or "section"
        if token.tag in ("h1", "h2"):
            section = name
        elif section:
            name = f"{section}-{name}"
        token.attrSet("id", _free(name, taken))


def _free(name: str, taken: set[str]) -> str:
    """The name, or the name with a number behind it, as none may be given twice."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _text(inline: Token) -> str:
    """What a reader sees of a line, without its emphasis."""
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))


def _embed_pictures(tokens: Iterable[Token], folder: Path) -> None:
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                child.attrSet("src", _data_uri(str(child.attrGet("src")), folder))


def _data_uri(source: str, folder: Path) -> str:
    path = (folder / unquote(source)).resolve()
    if urlsplit(source).scheme or not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{source}: this picture of the page lies outside of {folder}.")
    if path.suffix.lower() not in _PICTURES:
        raise ValueError(f"{path}: a picture of the page must be one of {', '.join(_PICTURES)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this picture of the page is missing.")
    return f"data:{_PICTURES[path.suffix.lower()]};base64,{b64encode(path.read_bytes()).decode('ascii')}"


def _dress_figures(tokens: list[Token]) -> list[Token]:
    """Make a paragraph that is one picture a figure, its alternative text the caption."""
    for before, inline, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = inline.children or []
        alone = before.type == "paragraph_open" and not before.hidden
        if alone and [child.type for child in children] == ["image"]:
            before.tag = after.tag = "figure"
            inline.children = [*_scroller(children, ""), *_caption(_text(children[0]))]
    return tokens


def _caption(text: str) -> list[Token]:
    from markdown_it.token import Token

    return [
        Token("figcaption_open", "figcaption", 1),
        Token("text", "", 0, content=text),
        Token("figcaption_close", "figcaption", -1),
    ]


def _dress_tables(tokens: Sequence[Token]) -> list[Token]:
    """Let each table scroll by itself, and tell its kinds of columns apart."""
    dressed: list[Token] = []
    heading, start = "", 0
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = str(token.attrGet("id"))
        if token.type == "table_open":
            start = place
        elif token.type == "table_close":
            table = tokens[start : place + 1]
            _mark_columns(table)
            _mark_heads(table)
            dressed[-len(table) + 1 :] = _scroller(table, heading)
            continue
        dressed.append(token)
    return dressed


def _scroller(inner: Sequence[Token], heading: str) -> list[Token]:
    """What is too wide for a phone, in a box that scrolls, which keys reach as well."""
    from markdown_it.token import Token

    attributes: dict[str, str | int | float] = {"class": "scroll", "tabindex": "0"}
    if heading:
        attributes |= {"role": "group", "aria-labelledby": heading}
    return [
        Token("scroll_open", "div", 1, attrs=attributes, block=True),
        *inner,
        Token("scroll_close", "div", -1, block=True),
    ]


def _mark_columns(table: Sequence[Token]) -> None:
    rows: list[list[tuple[Token, Token]]] = []
    for token, inline in pairwise(table):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((token, inline))
    for place, column in enumerate(zip(*rows, strict=True)):
        kind = _kind([inline.content for _, inline in column], first=place == 0)
        for cell, inline in column:
            if cell.attrGet("style") == "text-align:right":
                del cell.attrs["style"]
                cell.attrSet("class", "figure")
            elif kind:
                cell.attrSet("class", kind)
                inline.children = [part for child in inline.children or [] for part in _keep_intervals(child)]


def _kind(column: Sequence[str], first: bool) -> str:
    """How a column of text may be broken: not at all unless it must."""
    longest = max(len(text) for text in column)
    if any(_INTERVAL.search(text) for text in column):
        return "mixed"
    return "long" if longest > _LONG else "name" if first and longest > _NAME else ""


def _keep_intervals(child: Token) -> list[Token]:
    from markdown_it.token import Token

    if child.type != "text" or not _INTERVAL.search(child.content):
        return [child]
    parts: list[Token] = []
    for place, text in enumerate(_INTERVAL.split(child.content)):
        token = Token("text", "", 0, content=text)
        whole = place % 2 == 1  # what the pattern caught stands between what it did not
        opening = Token("span_open", "span", 1, attrs={"class": "whole"})
        parts += [opening, token, Token("span_close", "span", -1)] if whole else [token]
    return parts


def _mark_heads(table: Sequence[Token]) -> None:
    """Say which cells head a column and which a row."""
    for before, cell, _, after in zip(table, table[1:], table[2:], table[3:], strict=False):
        if cell.type == "th_open":
            cell.attrSet("scope", "col")
        elif before.type == "tr_open" and cell.type == "td_open":
            cell.tag = after.tag = "th"
            cell.attrSet("scope", "row")

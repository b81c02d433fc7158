"""Renderer of a page as one HTML file: pictures and style inside, no script, nothing fetched."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.reports.page import TEMPLATES, Block, Page, Plot, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token


@dataclass(frozen=True)
class _Part:
    """A block of a section: its kind, its content, and the id of the element that names it."""

    kind: str
    content: str | Table | Plot
    id: str = ""
    picture: str = ""


@dataclass(frozen=True)
class _Section:
    """The blocks below one heading of the second level, which is the first of them."""

    id: str
    title: str
    parts: list[_Part] = field(default_factory=list)


def to_html(page: Page, folder: Path) -> str:
    """Return the page as a self-contained HTML file; the same arguments give the same text.

    HTML in the prose is shown as text, because names of records and leads come from files of others.

    Args:
        page: prose, tables and plots.
        folder: folder that has the pictures of the plots.

    Raises:
        FileNotFoundError: a picture is missing.
    """
    lead, *sections = _sections(page.blocks, folder)
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    template = environment.get_template("report.html.j2")
    return template.render(title=page.title, css=css, lead=lead, sections=sections)


def _sections(blocks: Sequence[Block], folder: Path) -> list[_Section]:
    """Return what precedes the first section, and the sections."""
    parser, names = _parser(), _Names()
    sections = [_Section("", "")]
    for block in blocks:
        if isinstance(block, Table):
            sections[-1].parts.append(_Part("table", block, names.free(block.caption, "table")))
        elif isinstance(block, Plot):
            sections[-1].parts.append(_Part("plot", block, picture=_data_uri(folder / block.path)))
        else:
            for heading, tokens in _split(parser.parse(block), names):
                if heading is not None:
                    sections.append(_Section(str(heading.attrGet("id")), _text(tokens[1])))
                html = str(parser.renderer.render(tokens, parser.options, {}))
                sections[-1].parts.append(_Part("prose", html))
    return sections


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).disable("image")


def _split(tokens: Sequence[Token], names: _Names) -> Iterator[tuple[Token | None, Sequence[Token]]]:
    """Give every heading an id, and split before each heading of the second level."""
    starts = [0]
    for place, (token, inline) in enumerate(pairwise(tokens)):
        if token.type == "heading_open":
            token.attrSet("id", names.of_heading(token.tag, _text(inline)))
            if token.tag == "h2" and token.level == 0:
                starts.append(place)
    for start, end in pairwise([*starts, len(tokens)]):
        if start < end:
            yield (tokens[start] if start in starts[1:] else None), tokens[start:end]


class _Names:
    """The ids of a page: each is given once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._section = ""

    def of_heading(self, tag: str, text: str) -> str:
        """Return the id of a heading; below the second level it begins with that of its section."""
        if tag in ("h1", "h2"):
            self._section = ""
        name = self.free(text, "section")
        if tag in ("h1", "h2"):
            self._section = name
        return name

    def free(self, text: str, otherwise: str) -> str:
        """Return an id made of a text, with a number if it is taken."""
        name = re.sub(r"\W+", "-", text.lower()).strip("-") or otherwise
        name = f"{self._section}-{name}" if self._section else name
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}-{number}"
        self._taken.add(free)
        return free


def _text(inline: Token) -> str:
    """Return the visible text of a line, without emphasis."""
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))


def _data_uri(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: a picture of the page is missing")
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode('ascii')}"

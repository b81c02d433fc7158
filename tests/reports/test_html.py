"""The HTML file of a page: self-contained, safe, and with the same content as the Markdown."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

import pytest

from ecg_study.evaluation.results.values import Estimate
from ecg_study.reports.html import to_html
from ecg_study.reports.markdown import to_markdown
from ecg_study.reports.page import Cell, Column, Page, Plot, Table, make_row, make_table, number, percent, signed
from ecg_study.reports.publish import report_page
from ecg_study.reports.schema import read_report
from tests.tiny import ROOT

PUBLISHED = sorted(ROOT.glob("docs/*/report.json"))
PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
VOID = {"meta", "link", "img", "br", "hr"}

Attributes = dict[str, str | None]


class Parsed(HTMLParser):
    """Every element of a page with its attributes and the text directly inside it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes, list[str]]] = []
        self._whole: list[list[str]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        self._whole.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag, "elements are closed in order"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.elements[self._open[-1]][2].append(data)
        for place in self._open:
            self._whole[place].append(data)

    def whole(self, *tags: str) -> list[str]:
        """Return the whole text of each element with one of these tags."""
        return ["".join(text) for text, (tag, *_) in zip(self._whole, self.elements, strict=True) if tag in tags]

    def all(self, *tags: str) -> list[tuple[Attributes, str]]:
        """Return attributes and own text of each element with one of these tags."""
        return [(attributes, "".join(text)) for tag, attributes, text in self.elements if tag in tags]


def parse(*blocks: str | Table | Plot, folder: Path = ROOT, title: str = "t") -> Parsed:
    """Return the HTML of some blocks."""
    return Parsed(to_html(Page(title, blocks), folder))


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda path: str(path.parent.name))
def folder(request: pytest.FixtureRequest) -> Path:
    """Return the folder of a published report."""
    assert isinstance(request.param, Path)
    return request.param.parent


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    """Return its page."""
    return report_page(read_report(folder / "report.json"), sorted(path.stem for path in (folder / "plots").iterdir()))


@pytest.fixture(scope="module")
def text(page: Page, folder: Path) -> str:
    """Return its HTML."""
    return to_html(page, folder)


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    """Return the elements of its HTML."""
    return Parsed(text)


def test_nothing_is_fetched_and_nothing_runs(parsed: Parsed, text: str) -> None:
    assert parsed.all("script", "iframe", "object", "embed", "base", "form") == []
    for tag, attributes, _ in parsed.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "srcset", "poster", "data", "action") or (name == "href" and tag != "a"):
                assert value is not None and value.startswith("data:"), (tag, name, value)
    (style,) = parsed.all("style")
    assert "url(" not in style[1] and "@import" not in style[1]
    policies = [
        item["content"] for item, _ in parsed.all("meta") if item.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1 and policies[0] is not None
    assert policies[0].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">\n')


def test_pictures_are_embedded_unchanged(parsed: Parsed, page: Page, folder: Path) -> None:
    plots = [block for block in page.blocks if isinstance(block, Plot)]
    assert plots
    shown = [item for item, _ in parsed.all("img")]
    assert [item["alt"] for item in shown] == [plot.caption for plot in plots]
    assert [caption for _, caption in parsed.all("figcaption")] == [plot.caption for plot in plots]
    for item, plot in zip(shown, plots, strict=True):
        kind, _, data = str(item["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert b64decode(data, validate=True) == (folder / plot.path).read_bytes()


def test_contents_link_to_every_section(parsed: Parsed) -> None:
    ids = [str(attributes["id"]) for _, attributes, _ in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    sections = dict(zip((f"#{item['id']}" for item, _ in parsed.all("h2")), parsed.whole("h2"), strict=True))
    links = dict(zip((str(item["href"]) for item, _ in parsed.all("a")), parsed.whole("a"), strict=True))
    assert {href: title for href, title in links.items() if href.startswith("#")} == sections
    assert "#summary" in sections
    labels = {item["aria-labelledby"] for item, _ in parsed.all("section", "div") if "aria-labelledby" in item}
    assert labels <= set(ids)


def test_headings_with_the_same_text_have_different_ids() -> None:
    found = parse("# ECG\n\n## Search\n\n### LSTM\n\n### LSTM", "## LSTM: `σ`\n\n## ?\n\n## Search")
    ids = [item["id"] for item, _ in found.all("h1", "h2", "h3")]
    assert ids == ["ecg", "search", "search-lstm", "search-lstm-2", "lstm-σ", "section", "search-2"]
    assert [item["href"] for item, _ in found.all("a")] == ["#search", "#lstm-σ", "#section", "#search-2"]
    assert len(found.all("section")) == 4


def test_both_renderers_show_every_cell(parsed: Parsed, page: Page) -> None:
    tables = [block for block in page.blocks if isinstance(block, Table)]
    rows = [[str(column) for column in table.columns] for table in tables]
    cells = [
        [[str(c) for c in table.columns], *([str(cell) for cell in row.cells] for row in table.rows)]
        for table in tables
    ]
    wanted = list(chain.from_iterable(cells))
    assert parsed.whole("th", "td") == list(chain.from_iterable(wanted))
    lines = [line for line in to_markdown(page).splitlines() if line.startswith("|")]
    shown = [line for line in lines if not re.fullmatch(r"[|\s:-]+", line)]
    read = [[re.sub(r"\\(.)|\*\*|`", r"\1", cell) for cell in line[2:-2].split(" | ")] for line in shown]
    assert read == wanted
    assert len(rows) == len(lines) - len(shown)


def test_cells_keep_their_kind() -> None:
    rows = [
        make_row(
            "100", number(2273), Cell("units 16, " * 8, kind="prose"), Cell("frame", kind="code"), percent(0.5, 1)
        ),
        make_row("101", number(None), "a", "b", signed(Estimate(1, -0.001, 3), 2), highlighted=True),
    ]
    found = parse(make_table("Beats", ("record", "beats", "note", "name", Column("share", "mV")), rows=rows))
    cells = found.all("th", "td")
    assert [item.get("class") for item, _ in cells[:5]] == [None, "number", None, None, "number"]
    assert [item.get("class") for item, _ in cells[5:10]] == ["text", "number", "prose", "code", "percent"]
    assert [item.get("scope") for item, _ in cells[5:10]] == ["row", None, None, None, None]
    assert {item.get("scope") for item, _ in cells[:5]} == {"col"}
    assert found.whole("th", "td")[4] == "share (mV)"
    assert found.whole("th", "td")[9] == "50.0 %"
    assert found.whole("th", "td")[-4:] == ["–", "a", "b", "+1.00 [+0.00, +3.00]"]
    assert [item.get("class") for item, _ in found.all("tr")] == [None, None, "ours"]
    assert found.all("p") == [({"class": "caption", "id": "beats"}, "Beats")]


def test_names_from_files_are_shown_as_text() -> None:
    bad = "<script>alert(1)</script>"
    worse = '<img src=x onerror="alert(1)">'
    link = "[click](javascript:alert(1))"
    table = make_table(bad, ("name", bad), rows=[make_row(worse, link)])
    found = parse(f'# {bad}\n\n## "><b onclick=x>\n\n{worse}\n\n{bad}', table, title="</title><script>")
    assert found.all("script", "img", "b") == []
    assert [item for item, _ in found.all("a")] == [{"href": "#b-onclick-x"}]
    assert found.whole("th", "td") == ["name", bad, worse, link]
    assert found.all("title") == [({}, "</title><script>")]
    assert found.all("h1")[0][1] == bad


def test_a_missing_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "plots" / "gone.png"))):
        parse(Plot("gone", "A plot"), folder=tmp_path)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "https://example.org/a.png"])
def test_prose_cannot_embed_pictures(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PIXEL)
    found = parse(f"![plot]({name})", folder=tmp_path)
    assert found.all("img") == []
    assert "data:image" not in str(found.elements)


def test_links_to_files_beside_the_page_stay() -> None:
    found = parse("[results](report.json) and [data](https://physionet.org)")
    assert [item["href"] for item, _ in found.all("a")] == ["report.json", "https://physionet.org"]


def test_same_input_same_page(text: str, page: Page, folder: Path) -> None:
    assert to_html(page, folder) == text

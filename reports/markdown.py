"""Renderer of a page as Markdown."""

from __future__ import annotations

from ecg_study.reports.page import Block, Cell, Page, Plot, Table, plain


def to_markdown(page: Page) -> str:
    """Return the page as CommonMark with pipe tables."""
    return "\n\n".join(_block(block) for block in page.blocks) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return f"**{plain(block.caption)}**\n\n{table_to_markdown(block)}"
    if isinstance(block, Plot):
        return f"![{plain(block.caption)}]({block.path})"
    return block


def table_to_markdown(table: Table) -> str:
    """Return the rows as a pipe table, numbers aligned to the right."""
    rules = ["---:" if table.numeric(place) else "---" for place in range(len(table.columns))]
    lines = [[plain(str(column)) for column in table.columns], rules]
    for row in table.rows:
        first, *others = (_cell(cell) for cell in row.cells)
        lines.append([f"**{first}**" if row.highlighted else first, *others])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(cell: Cell) -> str:
    text = str(cell)
    if cell.numeric:
        return text  # digits and brackets alone
    if cell.kind == "code":
        return f"`{text.replace('`', '').replace('|', chr(92) + '|')}`"
    return plain(text)

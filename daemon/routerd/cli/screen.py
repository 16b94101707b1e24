"""Text for a screen of some width: tables, paragraphs, a little colour. Lines break between words; nothing is cut.

On the standard library, and without dataclasses, because a command must start fast.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

T = TypeVar("T")

_UNBOUNDED = 240
"""Columns of a pipe: a row a line, for grep."""
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "bold": 1, "dim": 2}
_FOLDED = 24
"""Columns that a folding column has at least beside the others, if it has as much to say."""
_INDENT = 4


Cell = str | Sequence[str]
"""A text, or several that stand one under another."""


class Column(NamedTuple):
    """A column of a table. A `fold` one may break between words.

    Where the table is too wide, columns with `below` stand below their row, the last one first: as "text", as text
    "titled" with the column's title, or as "lines".
    """

    title: str
    right: bool = False
    fold: bool = False
    below: Literal["", "text", "titled", "lines"] = ""


class Screen(NamedTuple):
    """Where lines go: how wide it is, and whether it has colours."""

    width: int
    colours: bool

    @classmethod
    def of_stdout(cls) -> Screen:
        """Return the screen that standard output leads to. NO_COLOR is heeded, unless it is empty (no-color.org)."""
        if not sys.stdout.isatty():
            return cls(_UNBOUNDED, colours=False)
        width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
        return cls(max(width, 40), colours=not os.environ.get("NO_COLOR"))

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, if there are any."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colours and colour and text else text

    def paragraph(self, text: str, head: str = "", colour: str = "") -> list[str]:
        """Return lines with `head`, in a colour, before the first one, and the others under its text."""
        lines = _fold(text, self.width - len(head)) or [""]
        first = (self.paint(head, colour) + lines[0]).rstrip()
        return [first, *(" " * len(head) + line for line in lines[1:])]

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], colours: dict[str, str]) -> list[str]:
        """Return the lines of a table. `colours` are those of words that stand alone in a cell.

        If the columns that must stand beside each other are too wide still, a first cell that is to blame has a line
        of its own, as FRR does it.
        """
        layout = _arrange(columns, rows, self.width)
        lines = [self.paint(layout.join([column.title for column in layout.of(columns)]), "bold")]
        for row in rows:
            for texts in layout.lines(row):
                line = layout.join(texts)
                for text in texts:
                    if text in colours:
                        line = line.replace(text, self.paint(text, colours[text]), 1)
                lines.append(line)
            said = [(columns[i], _items(row[i])) for i in layout.below if any(_items(row[i]))]
            indent = " " * _INDENT
            for column, items in said:
                if column.below == "lines":
                    lines += [line for item in items for line in self.paragraph(item, indent)]
            texts = [
                f"{_inside(column.title)} {items[0]}" if column.below == "titled" else items[0]
                for column, items in said
                if column.below != "lines"
            ]
            if texts:
                lines += self.paragraph("; ".join(texts), indent)
        return lines


class _Layout(NamedTuple):
    """Which columns stand beside each other, how wide each is, and which stand below."""

    columns: list[Column]
    beside: list[int]
    below: list[int]
    widths: list[int]
    gap: int

    def of(self, row: Sequence[T]) -> list[T]:
        """Return the part of a row that stands beside each other."""
        return [row[i] for i in self.beside]

    def lines(self, row: Sequence[Cell]) -> Iterator[list[str]]:
        """Yield the texts of each line of a row."""
        stacks = [
            [line for item in _items(cell) for line in (_fold(item, width) if column.fold else [item])] or [""]
            for cell, width, column in zip(self.of(row), self.widths, self.of(self.columns), strict=True)
        ]
        if len(stacks[0][0]) > self.widths[0]:
            yield [stacks[0][0], *[""] * (len(stacks) - 1)]
            stacks[0] = [""]
        for number in range(max(map(len, stacks))):
            yield [stack[number] if number < len(stack) else "" for stack in stacks]

    def join(self, texts: Sequence[str]) -> str:
        """Return a line."""
        cells = [
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(texts, self.widths, self.of(self.columns), strict=True)
        ]
        return (" " * self.gap).join(cells).rstrip()


def _arrange(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> _Layout:
    beside, below = list(range(len(columns))), list[int]()
    natural = [_width(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    whole = [_width(column._replace(fold=False), [row[i] for row in rows]) for i, column in enumerate(columns)]
    if sum(whole) + 2 * (len(columns) - 1) <= width:
        return _Layout(list(columns), beside, below, whole, 2)

    def room(gap: int) -> int:
        return width - sum(natural[i] for i in beside) - gap * (len(beside) - 1)

    while room(2) < 0 and any(columns[i].below for i in beside):
        last = next(i for i in reversed(beside) if columns[i].below)
        beside.remove(last)
        below.insert(0, last)
    gap = 2 if room(2) >= 0 else 1
    widths = [natural[i] for i in beside]
    if room(gap) < 0:
        widths[0] = max(widths[0] + room(gap), len(columns[0].title))
    elif columns[beside[-1]].fold:
        widths[-1] += room(gap)
    return _Layout(list(columns), beside, below, widths, gap)


def _inside(title: str) -> str:
    """Return a title as it stands within a sentence."""
    return title if title[1].isupper() else title[0].lower() + title[1:]


def _items(cell: Cell) -> Sequence[str]:
    return [cell] if isinstance(cell, str) else cell


def _width(column: Column, cells: Iterable[Cell]) -> int:
    texts = [text for cell in cells for text in _items(cell)]
    if column.fold:
        word = max((len(word) for text in texts for word in text.split()), default=0)
        return max(len(column.title), min(max(map(len, texts), default=0), max(_FOLDED, word)))
    return max([len(column.title), *map(len, texts)])


def _fold(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)

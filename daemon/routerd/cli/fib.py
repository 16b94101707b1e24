"""`routerd fib`: what the kernel has otherwise than wanted, for a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerd.cli.render import count
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.inspection import DifferencesView


def lines(screen: Screen, view: DifferencesView) -> list[str]:
    """A row a difference."""
    numbers = (
        f"{count(view['routes'], 'route')}, {count(view['groups'], 'group')}, {count(view['nexthops'], 'nexthop')}"
    )
    waiting = f"; {view['unwritten']} being written" if view["unwritten"] else ""
    if view["same"]:
        return [f"the kernel has what is wanted: {numbers}{waiting}"]
    columns = [Column("Kind"), Column("Name"), Column("Wanted", fold=True, below="titled")]
    columns += [Column("Kernel", fold=True, below="titled"), Column("Why", fold=True, below="titled")]
    rows = [
        [row["kind"], row["name"], row["wanted"] or "nothing", row["kernel"] or "nothing", row["why"]]
        for row in view["differences"]
    ]
    shown = len(rows)
    more = [f"{shown} of {view['total']} differences"] if shown < view["total"] else []
    end = f"{count(view['total'], 'difference')}; wanted are {numbers}{waiting}"
    return [*(screen.table(columns, rows, {"nothing": "red"}) if rows else []), *more, screen.paint(end, "red")]

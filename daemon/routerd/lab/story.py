"""The story that `routerd lab` tells: steps in order, each checked in the kernel and with requests."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from routerd.lab.laboratory import Laboratory, bgp_route
from routerd.lab.traffic import requests, steady_requests
from routerd.lab.waiting import LabError
from routerd.lab.web import Tally

REQUESTS = 100
LEAVING, LOST = "k8s-w0", "k8s-w1"
"""The node that has no pod left, and the node that dies."""

Show = Callable[[RenderableType], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A chapter: what it is called, and what does it and returns a line about what was found."""

    title: str
    run: Callable[[Laboratory, Show], str]


def tell(console: Console, build: Callable[[], Laboratory], steps: Sequence[Step] | None = None) -> Laboratory:
    """Run all steps, or these, in the lab that `build` makes, and return the lab; LabError at the first step that
    fails."""
    steps = STEPS if steps is None else steps
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("Network namespaces", total=len(steps) + 1)

        def show(picture: RenderableType) -> None:
            console.print(picture, soft_wrap=True)

        def done(title: str, found: str, start: float) -> None:
            line = Text.assemble(("✔ ", "green"), (title, "bold"), f": {found}", (f"  {_since(start)}", "dim"))
            show(line)
            progress.advance(task)

        start = time.monotonic()
        lab = build()
        networks, nodes = len(lab.topology.networks), len(lab.topology.nodes)
        routers = "a router" if len(lab.topology.routers) == 1 else "two routers"
        done("Network namespaces", f"{routers}, {nodes} nodes and a client on {networks} networks", start)
        for step in steps:
            progress.update(task, description=step.title)
            start = time.monotonic()
            try:
                found = step.run(lab, show)
            except LabError as error:
                raise LabError(f"{step.title}: {error} ({_since(start)})") from error
            done(step.title, found, start)
    return lab


def _since(start: float) -> str:
    return f"{time.monotonic() - start:.1f} s"


def _names(lab: Laboratory, *without: str) -> list[str]:
    return [node.name for node in lab.topology.nodes if node.name not in without]


def _wait_for_nodes(lab: Laboratory, names: list[str], timeout: float) -> float:
    """Wait until these nodes are the next hops of both VIPs; return the seconds that it took."""
    return sum(lab.wait_for_next_hops(vip, names, timeout) for vip in lab.topology.vips)


def unharmed(tally: Tally) -> str:
    """Return a line about requests that all must have been answered; LabError if one was not."""
    answered = sum(tally["answers"].values())
    if tally["failed"] or not answered:
        raise LabError(f"{tally['failed']} of {answered + tally['failed']} requests failed: {tally['last_error']}")
    retried = f" ({tally['retried']} at the second try)" if tally["retried"] else ""
    return f"{answered} requests, none failed{retried}"


def _requests(lab: Laboratory, names: list[str], address: str) -> Tally:
    """Make the requests; LabError if one fails or another node than these answers."""
    tally = requests(lab.fabric.client, address, REQUESTS)
    unharmed(tally)
    if strangers := tally["answers"].keys() - set(names):
        raise LabError(f"{', '.join(sorted(strangers))} answered, which should get no request")
    return tally


def _start_daemon(lab: Laboratory, show: Show) -> str:
    lab.daemon.start()
    return f"process {lab.daemon.process.pid} answers on its socket"


def _boot_nodes(lab: Laboratory, show: Show) -> str:
    names = _names(lab)
    for name in names:
        lab.boot(name)
    waited = lab.wait_for_sessions(names, 30)
    return f"{len(names)} sessions established {waited:.1f} s after the last node booted"


def _converge(lab: Laboratory, show: Show) -> str:
    _wait_for_nodes(lab, _names(lab), 15)
    lab.wait_for_balance(30)
    for option, vip in zip(("-4", "-6"), lab.topology.vips, strict=True):
        command = ("ip", option, "route", "show", vip)
        show(Text(f"$ {' '.join(command)}\n{lab.fabric.router.run(*command).rstrip()}", style="cyan"))
    return f"{len(_names(lab))} next hops for each VIP in the kernel"


def _spread(lab: Laboratory, show: Show) -> str:
    names, (vip4, vip6) = _names(lab), lab.topology.vips
    tallies = {"l4, IPv4": _requests(lab, names, vip4), "l4, IPv6": _requests(lab, names, vip6)}
    # With IPv6, l3 spreads as well: the kernel takes the flow label for a part of the addresses.
    # routerd itself has to set it: it takes back what others set.
    before = lab.daemon.config.read_text()
    lab.daemon.reload(_hashing(before, "l3"))
    tallies["l3, IPv4"] = _requests(lab, names, vip4)
    lab.daemon.reload(before)
    table = Table("node", *tallies, title=f"{REQUESTS} requests from one client, by hash policy")
    for name in names:
        table.add_row(name, *(str(tally["answers"].get(name, 0)) for tally in tallies.values()))
    show(table)
    for title, tally in tallies.items():
        wanted = 1 if title.startswith("l3") else len(names)
        if len(tally["answers"]) != wanted:
            raise LabError(f"{title}: {len(tally['answers'])} nodes answered, not {wanted}")
    return "l4 spreads one client's requests over all nodes, l3 sends them to one"


def _hashing(config: str, policy: str) -> str:
    """Return a configuration with another hash policy."""
    key = f'hash_policy = "{policy}"'
    for pattern, text in ((r"^hash_policy\b.*", key), (r"^\[fib\].*", rf"\g<0>\n{key}")):
        config, found = re.subn(pattern, text, config, count=1, flags=re.MULTILINE)
        if found:
            return config
    return f"{config}\n[fib]\n{key}\n"


def _status(lab: Laboratory, show: Show) -> str:
    show(Text(lab.daemon.screen().rstrip(), style="cyan"))
    status = lab.daemon.status()
    if status is None:
        raise LabError("routerd does not answer")
    if not status["ok"]:
        raise LabError("; ".join(f"{problem['where']}: {problem['what']}" for problem in status["problems"]))
    return f"all is well, {status['prefixes']} prefixes"


def _pod_leaves(lab: Laboratory, show: Show) -> str:
    vips = lab.topology.vip_prefixes
    with steady_requests(lab.fabric.client, lab.topology.vips[0]) as finish:
        lab.speakers[LEAVING].withdraw(*vips)
        waited = _wait_for_nodes(lab, _names(lab, LEAVING), 10)
        _requests(lab, _names(lab, LEAVING), lab.topology.vips[0])
        lab.speakers[LEAVING].announce(*vips)
        _wait_for_nodes(lab, _names(lab), 10)
        tally = finish()
    return f"3 -> 2 next hops in {waited:.2f} s, and back; meanwhile {unharmed(tally)}"


def _node_lost(lab: Laboratory, show: Show) -> str:
    session = lab.speakers[LOST].session
    lab.lose(LOST)
    waited = _wait_for_nodes(lab, _names(lab, LOST), session.hold_time + session.restart_time + 6)
    found = unharmed(_requests(lab, _names(lab, LOST), lab.topology.vips[0]))
    return f"3 -> 2 next hops {waited:.1f} s after its silent death; then {found}"


def _node_back(lab: Laboratory, show: Show) -> str:
    lab.boot(LOST)
    _wait_for_nodes(lab, _names(lab), 30)
    found = unharmed(_requests(lab, _names(lab), lab.topology.vips[0]))
    return f"2 -> 3 next hops; {found}"


def _restart(lab: Laboratory, show: Show) -> str:
    names = _names(lab)
    before = bgp_route(lab.fabric.router, lab.topology.vips[0])
    with steady_requests(lab.fabric.client, lab.topology.vips[0]) as finish:
        lab.daemon.stop()
        stopped = bgp_route(lab.fabric.router, lab.topology.vips[0])
        if stopped != before:
            raise LabError(f"the stop changed the route from {before} to {stopped}")
        _requests(lab, names, lab.topology.vips[0])
        lab.daemon.start()
        waited = lab.wait_for_sessions(names, 40)
        _wait_for_nodes(lab, names, 10)
        tally = finish()
    return f"the routes stayed, sessions back {waited:.1f} s after the start; meanwhile {unharmed(tally)}"


STEPS = (
    Step("routerd starts", _start_daemon),
    Step("The nodes boot", _boot_nodes),
    Step("Convergence", _converge),
    Step("Hash policies", _spread),
    Step("routerd status", _status),
    Step(f"externalTrafficPolicy Local, the last pod leaves {LEAVING}", _pod_leaves),
    Step(f"{LOST} dies", _node_lost),
    Step(f"{LOST} returns", _node_back),
    Step("routerd stops and starts", _restart),
)

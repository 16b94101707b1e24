"""`routerd lab`: tell the story, and leave nothing behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.laboratory import Laboratory, laboratory
from routerd.lab.observers import observed
from routerd.lab.pairing import paired
from routerd.lab.process import tail
from routerd.lab.speakers import KINDS
from routerd.lab.story import STEPS, tell
from routerd.lab.story_of_two import STEPS as PAIR_STEPS
from routerd.lab.topology import doubled, standard
from routerd.lab.unprivileged import become_root, enter_options
from routerd.lab.waiting import LabError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks the lab to end; no handler of ordinary errors may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_lab(speaker: str, keep: bool, observe: bool, pair: bool) -> int:
    """Run the lab with this kind of speaker on its nodes, and with one router or two; return the exit status.

    0 when every step succeeded, 1 when one failed, 2 when the lab cannot run, 128 + N after signal N. With `keep`
    the lab stays until Enter or a signal; with `observe` too, with what is installed to look at its router.
    """
    console = Console(highlight=False)
    errors = Console(stderr=True, highlight=False)
    try:
        if speaker not in KINDS:
            raise LabError(f"no speaker {speaker!r}; there is: {', '.join(KINDS)}")
        if pair and observe:
            raise LabError("--observe looks at one router: leave out --pair, or --observe")
        KINDS[speaker].require()
        become_root()
    except LabError as error:
        errors.print(Text.assemble(("✘ ", "red"), str(error)), soft_wrap=True)
        return 2
    try:
        with ExitStack() as stack, _signals_raise():
            return _play(console, errors, speaker, stack, keep=keep, observe=observe, pair=pair)
    except Interrupted as interrupted:
        errors.print(f"The lab was ended by {signal.Signals(interrupted.number).name}; nothing is left of it.")
        return 128 + interrupted.number


def _play(
    console: Console, errors: Console, speaker: str, stack: ExitStack, *, keep: bool, observe: bool, pair: bool
) -> int:
    labs: list[Laboratory] = []
    observers: list[str] = []

    def build() -> Laboratory:
        if pair:
            labs.append(stack.enter_context(laboratory(doubled(speaker), paired)))
            return labs[0]
        config = LAB_CONFIG.read_text()
        labs.append(stack.enter_context(laboratory(standard(speaker), config)))
        if observe:
            observers.extend(stack.enter_context(observed(labs[0], config)))
            console.print("\n".join(observers), soft_wrap=True, markup=False)
        return labs[0]

    try:
        tell(console, build, PAIR_STEPS if pair else STEPS)
        status = 0
    except LabError as error:
        errors.print(Text.assemble(("✘ ", "red"), str(error)), soft_wrap=True)
        for lab in labs:
            _show_logs(errors, lab)
        status = 1
    if (keep or observe) and labs:
        _look_around(console, labs[0], observers)
    return status


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn signals into Interrupted inside the block. From its end on they are ignored: they must not interrupt
    the clearing away, which follows."""

    def raise_interrupted(number: int, frame: FrameType | None) -> NoReturn:
        _ignore_signals()
        raise Interrupted(number)

    for number in _SIGNALS:
        signal.signal(number, raise_interrupted)
    try:
        yield
    finally:
        _ignore_signals()


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _show_logs(errors: Console, lab: Laboratory) -> None:
    several = len(lab.daemons) > 1
    logs = {f"routerd of {name}" if several else "routerd": daemon.log for name, daemon in lab.daemons.items()}
    logs |= {name: speaker.log for name, speaker in lab.speakers.items()}
    for name, log in logs.items():
        if text := tail(log):
            errors.rule(f"the end of the log of {name}", align="left")
            errors.print(Text(text), soft_wrap=True)


def _look_around(console: Console, lab: Laboratory, observers: list[str]) -> None:
    """Say how to enter the lab, and wait for Enter, or without a terminal for a signal."""
    options, vip = enter_options(), lab.topology.vips[0]
    inside = lab.fabric.routers | {"client": lab.fabric.client} | lab.fabric.nodes
    lines = ["The lab is still there. From another terminal of this user:", ""]
    lines += [f"  {name:10}nsenter --target {ns.pid} {options}" for name, ns in inside.items()]
    lines += [
        "",
        f"  nsenter --target {lab.fabric.router.pid} {options} ip route show {vip}",
        f"  nsenter --target {lab.fabric.client.pid} {options} curl http://{vip}/",
        *(f"  {sys.executable} -m routerd status --socket {daemon.socket}" for daemon in lab.daemons.values()),
        *(f"  tail -f {daemon.log}" for daemon in lab.daemons.values()),
        "",
        *observers,
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False)
    if sys.stdin.isatty():
        console.input("Press Enter to end it. ")
    else:
        console.print("End it with Ctrl-C or SIGTERM.")
        signal.pause()

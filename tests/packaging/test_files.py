"""The example configuration is the reference, and what is written about the project holds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from routerd.config import model
from routerd.config.impact import costs
from routerd.config.load import load, parse
from routerd.config.metrics import MetricsSection
from routerd.config.mqtt import MqttSection
from routerd.config.pair import PairSection

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config" / "routerd.toml"
TEXT = EXAMPLE.read_text()
SECTIONS: dict[str, type[BaseModel]] = {
    "[router]": model.RouterSection,
    "[fib]": model.FibSection,
    "[api]": model.ApiSection,
    "[liveness]": model.LivenessSection,
    "[drain]": model.DrainSection,
    "[metrics]": MetricsSection,
    "[mqtt]": MqttSection,
    "[pair]": PairSection,
    "[mrt]": model.MrtSection,
    "[[bmp]]": model.BmpCollector,
    "[looking_glass]": model.LookingGlassSection,
    "[peer_groups.nodes]": model.PeerGroup,
    "[[peers]]": model.Peer,
    "[[dynamic_peers]]": model.DynamicPeers,
}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _keys() -> Iterator[tuple[str, str]]:
    for section, described in SECTIONS.items():
        yield from ((section, name) for name in described.model_fields)


def _section(header: str) -> str:
    found = re.search(rf"^#?{re.escape(header)}\n(.*?)(?=^#?\[|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, header
    return found[1]


def test_every_section_is_there() -> None:
    wanted = {header.strip("[]").removesuffix(".nodes") for header in SECTIONS}
    assert {*wanted, "include"} == set(model.Config.model_fields)
    assert '\n#include = "conf.d"' in TEXT.partition("\n[router]")[0]
    assert load(EXAMPLE).peers


@pytest.mark.parametrize(("header", "key"), tuple(_keys()))
def test_every_key_is_explained(header: str, key: str) -> None:
    assert re.search(rf"^#?{key} = ", _section(header), re.MULTILINE)


def test_comments_show_the_defaults() -> None:
    """A key in a comment shows its default; so the file means the same with the comments taken away."""
    for header, described in SECTIONS.items():
        for line in re.findall(r"^#(\w+ = .*)$", _section(header), re.MULTILINE):
            ((key, value),) = tomllib.loads(line).items()
            default = described.model_fields[key].default
            if described.model_fields[key].is_required():
                continue  # of a section that stands in a comment as a whole
            if key not in ("password", "nexthop_compat_mode", "local_address", "readers"):
                assert value == (list(default) if isinstance(default, tuple) else default), line
    opened = re.sub(r"^#(?!password|include|local_address|readers )(\w+ = |\[\[)", r"\1", TEXT, flags=re.MULTILINE)
    same = {"fib": model.FibSection(), "bmp": (model.BmpCollector(name="lab", address="192.168.10.9"),)}
    assert parse(opened).model_copy(update={"fib": same["fib"]}) == load(EXAMPLE).model_copy(update=same)


def _impacts() -> str:
    """Return the table of what a change of each key does, without the keys of which there is nothing to say."""
    rows = ["| key | a change | |", "|---|---|---|"]
    for header, described in SECTIONS.items():
        section = header.strip("[]").replace("nodes", "NAME")
        rows += [f"| `{section}.{key}` | {c.impact.words} | {c.why} |" for key, c in costs(described) if c.why]
    return "\n".join(rows)


def test_the_documents_say_what_a_change_of_each_key_does() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    mark = "<!-- impact: made of the models, tests/packaging/test_files.py -->\n"
    assert page.partition(mark)[2].strip() == _impacts(), f"write after the mark:\n{_impacts()}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*PAGES, EXAMPLE], ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"(?<![\w/])((?:daemon|docs|tests|config|systemd)/[\w./-]+\w)", page.read_text()):
        assert (ROOT / name).exists(), name


def test_the_steps_of_the_decision_process_are_all_documented() -> None:
    from routerd.core.rib.decision import Step

    text = (ROOT / "docs" / "decision-process.md").read_text()
    for step in Step:
        assert re.search(rf"^\| {step.value} \| ", text, re.MULTILINE), step.text


def test_the_reasons_of_rejection_are_all_documented() -> None:
    from routerd.core.rib.policy import Reject

    text = (ROOT / "docs" / "decision-process.md").read_text()
    for reason in Reject:
        assert reason is Reject.NONE or f"| {reason.value} | {reason.text.split(' ', 1)[1]} |" in text, reason.text


def test_the_endpoints_are_all_documented() -> None:
    from unittest.mock import Mock

    from routerd.api import inspecting, pairing
    from routerd.api.endpoints import endpoints

    text = (ROOT / "docs" / "api.md").read_text()
    for each in endpoints(Mock()) + inspecting.endpoints(Mock()) + pairing.endpoints(Mock()):
        assert f"`{each.method} {each.path}" in text, each


def test_a_dockerfile_that_grants_what_the_unit_grants() -> None:
    unit = (ROOT / "systemd" / "routerd.service").read_text()
    granted = re.search(r"^AmbientCapabilities=(.*)$", unit, re.MULTILINE)
    assert granted is not None
    capabilities = granted[1].lower().split()
    docker = (ROOT / "Dockerfile").read_text()
    assert f"setcap {','.join(capabilities)}+ep" in docker
    assert all(f"--cap-add {name.removeprefix('cap_').upper()}" in docker for name in capabilities)

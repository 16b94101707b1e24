"""What `make install` puts where, and the locked packages that it installs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from routerd import __version__
from tests.support.netns import needs_root

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXAMPLE = (ROOT / "config" / "routerd.toml").read_text()

needs_sysusers = pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")


def install(root: Path) -> None:
    """Install all but the Python packages below a directory."""
    (root / "etc").mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "systemd" / "files", root, "/opt/routerd"], check=True, capture_output=True)


@needs_root
@needs_sysusers
def test_links_of_installed_documents_lead_somewhere(tmp_path: Path) -> None:
    install(tmp_path)
    documents = tmp_path / "opt/routerd/share/doc/routerd"
    pages = [*documents.glob("*.md"), *documents.glob("docs/*.md")]
    assert len(pages) == len([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


@needs_root
@needs_sysusers
def test_completions_and_the_manual_are_installed_and_removed(tmp_path: Path) -> None:
    install(tmp_path)
    remove = (ROOT / "systemd" / "install").read_text()
    for source, place in {
        "completions/routerd.bash": "/usr/share/bash-completion/completions/routerd",
        "completions/_routerd": "/usr/share/zsh/vendor-completions/_routerd",
        "completions/routerd.fish": "/usr/share/fish/vendor_completions.d/routerd.fish",
        "man/routerd.8": "/usr/local/share/man/man8/routerd.8",
    }.items():
        assert (tmp_path / place[1:]).read_text() == (ROOT / "share" / source).read_text()
        assert place in remove


@needs_root
@needs_sysusers
def test_an_edited_configuration_stays_beside_a_pristine_one(tmp_path: Path) -> None:
    install(tmp_path)
    edited, pristine = (tmp_path / "etc/routerd" / name for name in ("routerd.toml", "routerd.toml.example"))
    assert edited.read_text() == pristine.read_text() == EXAMPLE
    edited.write_text("mine")
    pristine.write_text("of an older version")
    install(tmp_path)
    assert edited.read_text() == "mine"
    assert pristine.read_text() == EXAMPLE
    group = next(line for line in (tmp_path / "etc/group").read_text().splitlines() if line.startswith("routerd:"))
    for file in (edited, pristine):
        assert (file.stat().st_uid, file.stat().st_gid) == (0, int(group.split(":")[2]))
        assert file.stat().st_mode & 0o777 == 0o640


@needs_root
@needs_sysusers
def test_the_unit_runs_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run([ROOT / "systemd" / "files", tmp_path, "/srv/routerd"], check=True, capture_output=True)
    unit = (tmp_path / "etc/systemd/system/routerd.service").read_text()
    assert "/opt/routerd" not in unit
    assert "ExecStart=/srv/routerd/bin/routerd run" in unit
    assert (tmp_path / "usr/local/bin/routerd").readlink() == Path("/srv/routerd/bin/routerd")


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "routerd.__version__"}
    stands = [path for path in (ROOT / "daemon").rglob("*.py") if f'"{__version__}"' in path.read_text()]
    assert stands == [ROOT / "daemon" / "routerd" / "__init__.py"]


# ---------------------------------------------------------------------------------------------------- the lock


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Return each package of a lock with its version and the number of its hashes."""
    found = {}
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    for block in re.split(r"\n(?=\w)", text):
        if (head := re.match(r"([\w.-]+)==([\w.]+)", block)) is not None:
            found[head[1].lower().replace("_", "-")] = (
                head[2],
                len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)),
            )
    return found


def wanted(name: str) -> list[str]:
    """Return the requirements that a lock was made for."""
    project = PROJECT["project"]
    made: dict[str, list[str]] = {
        "build": PROJECT["build-system"]["requires"],
        "run": project["dependencies"],
        "dev": project["dependencies"] + project["optional-dependencies"]["dev"],
    }
    return made[name]


@pytest.mark.parametrize("name", ["build", "run", "dev"])
def test_a_lock_has_what_the_ranges_allow(name: str) -> None:
    found = locked(name)
    for text in wanted(name):
        requirement = Requirement(text)
        version, _ = found[requirement.name.lower().replace("_", "-")]
        assert Version(version) in requirement.specifier, text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_hashes_and_no_place(lock: Path) -> None:
    assert all(hashes >= 1 for _, hashes in locked(lock.stem).values())
    # A package with compiled parts has a file for each Python and processor.
    for name in {"pydantic-core", "ruff"} & locked(lock.stem).keys():
        assert locked(lock.stem)[name][1] > 10, name
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"    --hash=sha256:\w{64}( \\)?|[\w.-]+==[\w.]+( ; [^/]+)? \\", line) for line in lines)


def test_what_runs_is_what_is_tested() -> None:
    run, dev = locked("run"), locked("dev")
    assert run == {name: dev[name] for name in run}


def test_nothing_is_installed_but_by_the_lock() -> None:
    """`pip install` stands in one script, with hashes; that everything uses."""
    for file in (".ci/setup", "systemd/install", "Dockerfile"):
        text = (ROOT / file).read_text()
        assert ".ci/packages" in text
        assert "pip install" not in text, file

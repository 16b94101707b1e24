"""`routerd`: the command line. Every command imports what it needs when it runs, so that each starts fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from routerd import __version__
from routerd.cli import commands

app = typer.Typer(
    help="A BGP route server for the router in front of a bare-metal Kubernetes cluster.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    commands.status,
    commands.peers,
    commands.routes,
    commands.route,
    commands.groups,
    commands.drain,
    commands.undrain,
    commands.version,
):
    app.command()(command)


def _tell_version(value: bool) -> None:
    if value:
        typer.echo(f"routerd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_tell_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")],
    flush_on_exit: Annotated[bool, typer.Option(help="Remove routerd's routes on exit.")] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: Annotated[str, typer.Option(help="console, journal, json, or auto.")] = "auto",
    record: Annotated[
        Path | None, typer.Option(envvar="ROUTERD_RECORD", help="Record what the core is given.")
    ] = None,
) -> None:
    """Run the daemon in the foreground."""
    from routerd.service.main import start

    raise typer.Exit(start(config, log_level, log_format, record, flush_on_exit=flush_on_exit))


@app.command()
def flush(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The configuration file, for the metric and the nexthop ids.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Even while routerd runs.")] = False,
) -> None:
    """Remove what is routerd's from the kernel.

    Routes, groups and nexthops, and nothing of anybody else.
    """
    from routerd.service.main import flush_kernel

    raise typer.Exit(flush_kernel(config, force=force))


@app.command("check")
def check_file(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    as_json: commands.Json = False,
) -> None:
    """Check a configuration file.

    Exit code 0 if routerd would start with it, perhaps with warnings; 1 with all that is wrong.
    """
    from routerd.config.load import ConfigError, check

    try:
        warnings = check(file)
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": error.problems, "warnings": []}, indent=2))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({"ok": True, "problems": [], "warnings": warnings}, indent=2))
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{file}: ok")


@app.command()
def lab(
    speaker: Annotated[str, typer.Option(help="What the nodes run: embedded, gobgp, frr or bird.")] = "embedded",
    keep: Annotated[bool, typer.Option(help="Leave it running at the end, to look around.")] = False,
) -> None:
    """Show what routerd does, in network namespaces.

    A router, three nodes and a client are built, and some of them lost.
    """
    from routerd.lab.command import run_lab

    raise typer.Exit(run_lab(speaker, keep))


def main() -> None:
    """The entry point."""
    app(prog_name="routerd")


if __name__ == "__main__":
    main()

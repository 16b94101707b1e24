"""Completions for bash, zsh and fish, made of the commands. Names of peers come from the daemon, if one runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from routerd.cli.arguments import Command
from routerd.reference.words import Option, Value, about, operands, options

_MADE = "# Made of the commands by `make reference`."
_PEERS = r"""routerd peers --json 2>/dev/null | sed -n 's/^ *"\(name\|address\)": "\(.*\)",$/\2/p' | sort -u"""
_OWN = ("-h", "--help", "-V", "--version")

Commands = Mapping[str, Command]


def bash(commands: Commands) -> str:
    """Return what bash loads: bash(1), Programmable Completion."""
    cases = [line for name, command in commands.items() for line in _bash_case(name, command)]
    return "\n".join(
        [
            _MADE,
            "_routerd_peers() {",
            f"    {_PEERS}",
            "}",
            "_routerd() {",
            "    local line=${COMP_LINE:0:COMP_POINT} words current before command= word",
            '    read -a words <<< "$line"',
            "    [[ $line != *[[:space:]] ]] || words+=('')",
            "    current=${words[-1]} before=${words[-2]}",
            "    [[ $current != --*=* ]] || { before=${current%%=*}; current=${current#*=}; }",
            '    for word in "${words[@]:1:${#words[@]}-2}"; do',
            "        [[ $word == -* ]] || { command=$word; break; }",
            "    done",
            "    COMPREPLY=()",
            "    _routerd_words",
            "    # What stands before a colon bash takes for a word of its own.",
            "    [[ $current != *:* || $COMP_WORDBREAKS != *:* ]] ||",
            """        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")""",
            "}",
            "_routerd_words() {",
            "    case $command in",
            f"    '') {_bash_words([*commands, *_OWN])} ;;",
            *cases,
            "    esac",
            "}",
            "complete -F _routerd routerd",
            "",
        ]
    )


def _bash_case(name: str, command: Command) -> Iterator[str]:
    yield f"    {name})"
    yield "        case $before in"
    for option in options(command):
        if option.value is not None:
            yield f"        {' | '.join(option.names)}) {_bash_value([option.value])}; return ;;"
    yield "        esac"
    yield "        if [[ $current == -* ]]; then"
    yield f"            {_bash_words(name for option in options(command) for name in option.names)}"
    yield "        else"
    yield f"            {_bash_value(operands(command))}"
    yield "        fi"
    yield "        ;;"


def _bash_words(words: Iterable[str]) -> str:
    return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(words)}" -- "$current")'


def _bash_value(values: Iterable[Value]) -> str:
    found = list(values)
    words = [choice for value in found for choice in value.choices]
    if any(value.peer for value in found):
        words.append("$(_routerd_peers)")
    files = " -f" if any(value.file for value in found) else ""
    if not words and not files:
        return "return"
    names = "compopt -o filenames 2>/dev/null; " if files else ""  # a directory is gone on from
    return f'{names}mapfile -t COMPREPLY < <(compgen{files} -W "{" ".join(words)}" -- "$current")'


def zsh(commands: Commands) -> str:
    """Return what zsh loads from its fpath: zshcompsys(1)."""
    listed = [f"        {_quoted(f'{name}:{about(command)}')}" for name, command in commands.items()]
    cases = [line for name, command in commands.items() for line in _zsh_case(name, command)]
    return "\n".join(
        [
            "#compdef routerd",
            _MADE,
            "_routerd_peers() {",
            "    local -a found",
            f'    found=(${{(f)"$({_PEERS})"}})',
            "    compadd -a found",
            "}",
            "_routerd() {",
            "    local -a commands",
            "    commands=(",
            *listed,
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe command commands",
            "        return",
            "    fi",
            "    shift words",
            "    (( CURRENT-- ))",
            "    case $words[1] in",
            *cases,
            "    esac",
            "}",
            '_routerd "$@"',
            "",
        ]
    )


def _zsh_case(name: str, command: Command) -> Iterator[str]:
    specs = [spec for option in options(command) for spec in _zsh_option(option)]
    specs += [_quoted(f"*:{value.title}:{_zsh_value(value)}") for value in operands(command)[:1]]
    yield f"    {name})"
    yield "        _arguments \\"
    yield from (f"            {spec}{' ' if number < len(specs) - 1 else ''}" + "\\" * (number < len(specs) - 1)
                for number, spec in enumerate(specs))  # fmt: skip
    yield "        ;;"


def _zsh_option(option: Option) -> Iterator[str]:
    others = " ".join(option.names)
    help = _zsh_text(option.help)
    value = "" if option.value is None else f":{option.value.title}:{_zsh_value(option.value)}"
    for name in option.names:
        yield _quoted(f"({others}){name}[{help}]{value}")


def _zsh_value(value: Value) -> str:
    if value.choices:
        return f"({' '.join(value.choices)})"
    return "_routerd_peers" if value.peer else "_files" if value.file else " "


def _zsh_text(text: str) -> str:
    for mark in "\\[]:":
        text = text.replace(mark, f"\\{mark}")
    return text


def fish(commands: Commands) -> str:
    """Return what fish loads: complete(1) of fish."""
    lines = [_MADE, "function __routerd_peers", f"    {_PEERS}", "end", "complete -c routerd -f"]
    lines.append("complete -c routerd -n __fish_use_subcommand -s h -l help -d 'Show the help and exit.'")
    lines.append("complete -c routerd -n __fish_use_subcommand -s V -l version -d 'Print the version and exit.'")
    for name, command in commands.items():
        lines.append(f"complete -c routerd -n __fish_use_subcommand -a {name} -d {_fish_quoted(about(command))}")
        seen = f"complete -c routerd -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{seen} {_fish_option(option)}" for option in options(command)]
        lines += [f"{seen} {shown}" for value in operands(command) if (shown := _fish_value(value))]
    return "\n".join([*lines, ""])


def _fish_option(option: Option) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    return " ".join([*names, *_fish_needs(option.value), f"-d {_fish_quoted(option.help)}"])


def _fish_needs(value: Value | None) -> list[str]:
    """Return what says that something follows an option, which is a file only if that is meant."""
    if value is None:
        return []
    return ["-r", "-F"] if value.file else ["-x", *filter(None, [_fish_value(value)])]


def _fish_value(value: Value) -> str:
    if value.choices:
        return f"-a {_fish_quoted(' '.join(value.choices))}"
    return "-a '(__routerd_peers)'" if value.peer else "-F" if value.file else ""


def _quoted(text: str) -> str:
    """Quote for sh: a quote ends the string, stands escaped, and begins it anew."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

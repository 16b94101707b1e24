"""What is wrong with a file that is no TOML, in the words of somebody who edits it."""

from __future__ import annotations

import re

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_PAIR = re.compile(r"^\s*(?P<key>[\w.\"-]+)\s*=\s*(?P<value>[^#]*?)\s*(?:#.*)?$")
_LONGEST = 5000
"""Characters of a line that are looked at: patterns go back over it."""
_FLAGS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}


def explain(text: str, message: str) -> tuple[int | None, str]:
    """Return the number of the line, if it is known, and what to write instead, given tomllib's message."""
    place = _PLACE.search(message)
    said = _PLACE.sub("", message)
    number = int(place[1]) if place and place[1] else None
    lines = [line[:_LONGEST] for line in text.splitlines()]
    if said.startswith("Unclosed array") and number and re.search(r"[\"'\d]\s+[\"'\d]", lines[number - 1]):
        return number, "a comma is missing between two items of the list"
    if opened := _open_list(lines[:number]):
        return opened, "the list is not closed; write ] at its end"
    if number is None and said == 'Expected "\'"':
        number = next((n for n, each in enumerate(lines, 1) if each.split("#")[0].count("'") % 2), None)
        return number, "a single quote has no counterpart on its line; write one at both ends of a text"
    if number is None and said.startswith("Expected '=' after a key"):
        number = max((n for n, each in enumerate(lines, 1) if each.split("#")[0].strip()), default=None)
    if number is None or number > len(lines):
        return number, f"not valid TOML: {said}"
    line = lines[number - 1]
    if "escape" in said or "hex" in said:
        what = "in double quotes a backslash is special: write two, or the text in single quotes"
        return number, f"{line.split('=')[0].strip()}: {what}"
    if "password" in line:
        return number, "password: write it in quotes, on one line"  # and do not show it
    return number, _line(line, said) or f"not valid TOML: {said}, in: {line.strip()}"


def _open_list(lines: list[str]) -> int:
    """Return the number of the line that begins a list which is still open at the last one; 0 if there is none."""
    bare = [line.split("#")[0] for line in lines]
    for number in range(len(bare), 0, -1):
        if re.search(r"=\s*\[[^\]]*$", bare[number - 1]):
            return number
        if "]" in bare[number - 1] and number < len(bare):
            break
    return 0


def _line(line: str, said: str) -> str:
    """Return what is wrong with a line, "" if that is not known."""
    if match := re.match(r"Cannot declare \((.*?),?\) twice", said):
        return f"[{match[1].replace(chr(39), '').replace(', ', '.')}] stands in this file twice; remove one"
    pair = _PAIR.match(line)
    if said.startswith("Cannot overwrite") and pair:
        return f"{pair['key']} stands in this section twice; remove one"
    if line.lstrip().startswith("[") and "=" not in line:
        return f"a section is written [name], or [[name]] for peers and dynamic_peers; found {line.strip()}"
    if pair is None:
        return "" if "=" in line else f"is neither a [section] nor key = value: {line.strip()}"
    key, value = pair["key"], pair["value"]
    if not value:
        return f"{key} has no value; write {key} = ..., or remove it"
    if value.lower() in _FLAGS:
        return f"{key}: write true or false: {key} = {_FLAGS[value.lower()]} (found {value})"
    if re.search("[\u201c\u201d\u201e\u2018\u2019]", value):
        return f'{key}: write straight quotes, ", in place of the curved ones'
    if value.endswith(";"):
        return f"{key}: remove the ; at the end of the line"
    if asn := re.fullmatch(r"(?i)AS(\d+)", value):
        return f"{key}: write the number alone: {key} = {asn[1]}"
    if value.count('"') % 2:
        bare = value.replace('"', "")
        remedy = f'; write {key} = "{bare}"' if "[" not in value else f" in {value}"
        return f"{key}: a quote is missing{remedy}"
    if not re.search(r"[\s\"'\[]", value):
        return f'{key}: write it in quotes: {key} = "{value}"'
    return ""

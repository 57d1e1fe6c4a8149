"""The message table of the Windows Event Log, made of events.def: events_mc.py EVENTS.DEF EVENTS.MC

An event's id is its number, its severity its level; both make the id that log_source.h reports with, so that the viewer
finds the text. What the line says is %1; meaning and remedy stand below it.
"""

import re
import sys

SEVERITY = {"ERROR": "Error", "WARN": "Warning", "INFO": "Informational", "DEBUG": "Informational"}
TEXT = r'"((?:[^"\\]|\\.)*)"'
ROW = re.compile(r"^EVENT\(\s*(\w+)\s*,\s*(\d+)\s*,\s*(\w+)\s*,\s*%s\s*,\s*%s\s*\)\s*$" % (TEXT, TEXT))
HEAD = """MessageIdTypedef=DWORD
SeverityNames=(Success=0x0 Informational=0x1 Warning=0x2 Error=0x3)
FacilityNames=(None=0x0)
LanguageNames=(English=0x409:MSG00409)
"""
MESSAGE = """
MessageId={number}
Severity={severity}
Facility=None
SymbolicName=EVENT_{name}
Language=English
{head}: %1

{meaning}.
What to do: {remedy}.
.
"""


def plain(text):
    """As it is read: without C's escapes, and with what the table takes for its own doubled."""
    return re.sub(r"\\(.)", r"\1", text).replace("%", "%%")


def rows(path):
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            if not line.startswith("EVENT("):
                continue
            match = ROW.match(line)
            if match is None or match.group(3) not in SEVERITY or not 1 <= int(match.group(2)) <= 65535:
                sys.exit(f"{path}:{number}: not EVENT(NAME, 1 to 65535, LEVEL, \"meaning\", \"remedy\")")
            yield match.groups()


def main():
    source, target = sys.argv[1:]
    table = HEAD
    for name, number, level, meaning, remedy in sorted(rows(source), key=lambda row: int(row[1])):
        meaning = plain(meaning)
        table += MESSAGE.format(
            number=number,
            severity=SEVERITY[level],
            name=name,
            head=name.lower(),
            meaning=meaning[:1].upper() + meaning[1:],
            remedy=plain(remedy),
        )
    with open(target, "w", encoding="ascii", newline="\r\n") as file:
        file.write(table)


if __name__ == "__main__":
    main()

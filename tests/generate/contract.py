#!/usr/bin/env python3
"""Writes docs/providers/contract.md: which case of tests/contract runs against which publisher.

    contract.py > docs/providers/contract.md

Everything is read from the sources of the suite: the lists and their cases, the suite, and what is excused and why.
"""

import pathlib
import re

CONTRACT = pathlib.Path(__file__).resolve().parent.parent / "contract"

# Columns: the name in the suite, and what it is.
PUBLISHERS = {
    "bind": "DNS UPDATE, BIND",
    "bind_signed": "DNS UPDATE, BIND, signed zones",
    "knot": "DNS UPDATE, Knot",
    "knot_signed": "DNS UPDATE, Knot, signed zones",
    "pdns": "DNS UPDATE, PowerDNS",
    "pdns_api": "PowerDNS API",
    "pdns_extend": "PowerDNS API, EXTEND and PRUNE (a translator before a PowerDNS that lacks them)",
    "external_dns": "ExternalDNS before PowerDNS",
    "memory": "the service in memory of the tests",
}


def main():
    lists = read_lists()
    main_file = (CONTRACT / "main.rs").read_text()
    suite = read_suite(main_file)
    excused = read_excused(main_file)
    unknown = set(suite) - set(PUBLISHERS)
    if unknown:
        raise SystemExit(f"contract.py has no words for {', '.join(sorted(unknown))}")
    publishers = [publisher for publisher in PUBLISHERS if publisher in suite]
    print(HEAD)
    for number, publisher in enumerate(publishers, 1):
        print(f"{number}. {PUBLISHERS[publisher]}")
    print("\n| case | " + " | ".join(str(n + 1) for n in range(len(publishers))) + " |")
    print("| --- |" + " --- |" * len(publishers))
    notes = []
    for name, cases in lists.items():
        for module, case in cases:
            cells = [cell(publisher, name, suite, excused, notes) for publisher in publishers]
            print(f"| {sentence(case)} | " + " | ".join(cells) + " |")
    print()
    for number, note in enumerate(notes, 1):
        print(f"* [{number}] {note}")


HEAD = """# What every provider is held to

Made by `make generate` from tests/contract; do not edit. `make contract` runs it: each case against a real server of its own, started on loopback.

`yes`: the case runs and must pass. A number in brackets: it cannot apply, and below is why.

With ExternalDNS the publisher writes its DNSEndpoint into a real Kubernetes API server, the real ExternalDNS carries it to a real PowerDNS, and a case goes on when DNS shows what was
declared. Why a record does not arrive, by cause, is in tests/contract/diagnosis.rs; whole domains, with a node and signed zones, in tests/e2e/external_dns.rs.
"""


def read_lists():
    """The lists of cases/mod.rs, each with its cases as (module, function)."""
    text = (CONTRACT / "cases" / "mod.rs").read_text()
    lists = {}
    for name, body in re.findall(r"macro_rules! (\w+) \{\n    \(\$publisher:ident\) => \{(.*?)\n    \};", text, re.DOTALL):
        lists[name] = re.findall(r"(\w+)::(\w+),", body)
    if not lists or not all(lists.values()):
        raise SystemExit("contract.py does not understand tests/contract/cases/mod.rs any more")
    return lists


def read_suite(text):
    body = re.search(r"\nsuite! \{\n(.*?)\n\}", text, re.DOTALL).group(1)
    return {publisher: lists.split() for publisher, lists in re.findall(r"(\w+): ([\w ]+);", body)}


def read_excused(text):
    body = re.search(r"\nconst EXCUSED: .*?= &\[\n(.*?)\n\];", text, re.DOTALL).group(1)
    found = re.findall(r'\(\s*"(\w+)",\s*"(\w+)",\s*"([^"]+)",?\s*\)', body)
    return {(publisher, name): why for publisher, name, why in found}


def cell(publisher, name, suite, excused, notes):
    if name in suite[publisher]:
        return "yes"
    note = excused[publisher, name]
    if note not in notes:
        notes.append(note)
    return f"[{notes.index(note) + 1}]"


def sentence(case):
    return case.replace("_", " ").replace("nobodys", "nobody's").replace("ones zones", "one's zones")


main()

#!/usr/bin/env python3
"""Writes docs/providers/contract.md: which case of tests/contract runs against which publisher.

    contract.py > docs/providers/contract.md

Everything is read from the sources of the suite: the lists and their cases, the suite, and what is excused and why. What is
known of ExternalDNS, which has no place in that suite, stands below.
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
    "memory": "the service in memory of the tests",
}

# ExternalDNS is told a state and reports nothing, so the suite, which compares what a call says with what the server holds,
# does not fit it. By case, or by list: what holds instead. A name in backquotes is a test of tests/e2e/external_dns.rs.
EXTERNAL_DNS = {
    "records": "`the_whole_seed_page` for what a domain publishes",
    "every_type_is_written_read_and_removed": "`the_whole_seed_page`",
    "long_texts_are_whole": "`the_whole_seed_page` (an RSA key)",
    "reverse_zones_are_zones": "`the_whole_seed_page`",
    "a_plan_of_several_zones": "`the_whole_seed_page`",
    "sharing": "no: a name with foreign values of a managed type is left alone as a whole, `a_foreign_text_at_the_apex_is_kept_and_named_as_the_cause`",
    "only_ours_is_removed": "`the_whole_seed_page`",
    "races": "no: it is told a state, and ExternalDNS compares nothing",
    "aliases": "no: the order of changes is up to ExternalDNS",
    "refusals": "no: no answer says it; a filtered zone is named, `a_zone_that_external_dns_filters_away_is_named`",
    "revoked_credentials_are_told": "no: the credentials are ExternalDNS's own",
    "who_does_not_lead_writes_nothing": "unit tests of src/publish/external_dns",
    "a_survey_tells_refused_credentials": "no: `CredentialsValid` is Unknown (NotOurs)",
    "a_survey_tells_the_zones_and_the_credentials": "no: it shows neither",
    "faults": "no: the provider is called by ExternalDNS, which tries again by itself",
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
    print(EXTERNAL)
    for cases in lists.values():
        for module, case in cases:
            said = EXTERNAL_DNS.get(case) or EXTERNAL_DNS.get(module)
            if said is None:
                raise SystemExit(f"contract.py does not say what {module}::{case} is for ExternalDNS")
            print(f"| {sentence(case)} | {said} |")


HEAD = """# What every provider is held to

Made by `make generate` from tests/contract; do not edit. `make contract` runs it: each case against a real server of its own, started on loopback.

`yes`: the case runs and must pass. A number in brackets: it cannot apply, and below is why.
"""

EXTERNAL = """
## ExternalDNS

It is told a state and reports nothing, so a case that compares what a call says with what the server then holds does not fit. What holds instead is shown end to end, with a real
Kubernetes, a real ExternalDNS and a real PowerDNS (tests/e2e/external_dns.rs):

| case | with ExternalDNS |
| --- | --- |"""


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

"""What checkdmarc says of SPF and DMARC of many domains, through the world's resolver. tests/judges/checkdmarc runs this.

Reads a JSON list of domains. Prints {domain: {spf: {valid, reason}, dmarc: {valid, policy, reason}}}; `policy` is the one that it says
applies to the domain: none, quarantine, reject, absent (no record), or error (it refuses what stands there).
"""

import concurrent.futures
import json
import sys

import checkdmarc.dmarc
import checkdmarc.spf
import publicsuffixlist

import world_resolver

# The suffixes of the world, as tests/judges/rspamd has them.
SUFFIXES = ["example", "test", "arpa", "judged.example"]


def main():
    suffixes = publicsuffixlist.PublicSuffixList("\n".join(SUFFIXES).encode())
    checkdmarc.utils.PSL = suffixes
    resolver = world_resolver.use()
    domains = json.load(sys.stdin)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        verdicts = pool.map(lambda domain: {"spf": spf(domain, resolver), "dmarc": dmarc(domain, resolver)}, domains)
        json.dump(dict(zip(domains, verdicts, strict=True)), sys.stdout)


def spf(domain, resolver):
    said = checkdmarc.spf.check_spf(domain, resolver=resolver)
    return {"valid": said["valid"], "reason": said.get("error")}


def dmarc(domain, resolver):
    said = checkdmarc.dmarc.check_dmarc(domain, resolver=resolver)
    if not said["valid"]:
        policy = "absent" if "does not exist" in said["error"] else "error"
        return {"valid": False, "policy": policy, "reason": said["error"]}
    tags = said["tags"]
    tag = "p" if said["location"] == domain else "sp"
    return {"valid": True, "policy": tags.get(tag, tags["p"])["value"], "reason": None}


if __name__ == "__main__":
    main()

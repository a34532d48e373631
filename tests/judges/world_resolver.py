"""Makes every lookup of this program go to the world's resolver ($RESOLVER), and none to what /etc/resolv.conf names."""

import os
import sys

import dns.resolver


def use():
    """pyspf and dkimpy ask dnspython's default resolver; so this one becomes it."""
    address = os.environ.get("RESOLVER")
    if not address:
        sys.exit("RESOLVER is not set: eval \"$(tests/world/world env)\", and run this with $WORLD in front")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [address]
    resolver.timeout, resolver.lifetime = 2, 6
    resolver.cache = None
    dns.resolver.default_resolver = resolver
    return resolver

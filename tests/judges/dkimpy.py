"""What the programs here have dkimpy do: sign a message, and verify a signature."""

import base64
import logging
import re

import dkim

SIGNED = ["from", "to", "subject", "date", "message-id"]
# RFC 8410: what stands before the 32 octets of the key in every PKCS#8 Ed25519 key.
ED25519_PREFIX = bytes.fromhex("302e020100300506032b657004220420")


def sign(message, selector, domain, pem, ed25519=False):
    """The message with a signature above those that are there. The key is a PEM file's content, PKCS#8 for Ed25519."""
    message = re.sub(rb"\r?\n", b"\r\n", message)
    present = {name.strip().lower() for name, _ in dkim.rfc822_parse(message)[0]}
    signature = dkim.sign(
        message,
        selector.encode(),
        domain.encode(),
        ed25519_seed(pem) if ed25519 else pem,
        canonicalize=(b"relaxed", b"relaxed"),
        signature_algorithm=b"ed25519-sha256" if ed25519 else b"rsa-sha256",
        include_headers=[name.encode() for name in SIGNED if name.encode() in present],
    )
    return signature + message


def ed25519_seed(pem):
    """The key in base64, as dkimpy wants it."""
    der = base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-----")))
    if not der.startswith(ED25519_PREFIX):
        raise ValueError("the key is no PKCS#8 Ed25519 key")
    return base64.b64encode(der[len(ED25519_PREFIX) :][:32])


def signatures(message):
    """How many there are."""
    headers, _ = dkim.rfc822_parse(message)
    return sum(name.lower() == b"dkim-signature" for name, _ in headers)


def verify(message, index):
    """{domain, selector, algorithm, result: pass or fail, reason?} of one signature."""
    complaints = Complaints()
    verifier = dkim.DKIM(message, logger=complaints.logger(), timeout=6)
    try:
        result = "pass" if verifier.verify(idx=index) else "fail"
    except dkim.DKIMException as error:
        result = "fail"
        complaints.texts.append(str(error))
    tags = {tag.decode(): value.decode(errors="replace") for tag, value in getattr(verifier, "signature_fields", {}).items()}
    verdict = {"domain": tags.get("d"), "selector": tags.get("s"), "algorithm": tags.get("a"), "result": result}
    if result == "fail":
        verdict["reason"] = "; ".join(complaints.texts) or "the signature does not match the message and the key"
    return verdict


class Complaints(logging.Handler):
    """dkimpy tells its reasons to a logger only."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())

    def logger(self):
        logger = logging.Logger("dkimpy")
        logger.addHandler(self)
        return logger

"""How a server that asks who is there is answered: HTTP's and RTSP's Basic and Digest."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable
from urllib.request import parse_http_list

from engines.text.addresses import Address

HASHES = {"MD5": hashlib.md5, "SHA": hashlib.sha1, "SHA-256": hashlib.sha256}


def authorization(challenges: Iterable[str], address: Address, method: str, uri: str) -> str | None:
    """The header "Authorization" that answers a server's challenges, by RFC 7617 and RFC 7616.

    Args:
        challenges: the values of its headers "WWW-Authenticate".
        address: whose user and password are meant.
        method, uri: of the request that is to be sent again.
    Returns:
        The header's value; None where the address names no user, or nothing can be answered.
    """
    if address.user is None:
        return None
    answers = [_answer(each.strip(), address, method, uri) for each in challenges]
    return max((each for each in answers if each), key=lambda each: each[0] == "D", default=None)


def _answer(challenge: str, address: Address, method: str, uri: str) -> str | None:
    user, password = address.user or "", address.password or ""
    kind, _, text = challenge.partition(" ")
    if kind.lower() == "basic":
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if kind.lower() != "digest":
        return None
    pairs = [item.partition("=") for item in parse_http_list(text)]
    asked = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
    name = asked.get("algorithm", "MD5").upper()
    make = HASHES.get(name.removesuffix("-SESS"))
    if make is None or "nonce" not in asked:
        return None

    def digest(*parts: str) -> str:
        return make(":".join(parts).encode(), usedforsecurity=False).hexdigest()

    realm, nonce = asked.get("realm", ""), asked["nonce"]
    count, own = "00000001", secrets.token_hex(8)
    first = digest(user, realm, password)
    if name.endswith("-SESS"):
        first = digest(first, nonce, own)
    second = digest(method, uri)
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
    if "auth" in (each.strip() for each in asked.get("qop", "").split(",")):
        fields |= {"response": digest(first, nonce, count, own, "auth", second), "cnonce": own}
        plain = f", qop=auth, nc={count}"
    else:
        fields["response"], plain = digest(first, nonce, second), ""
        if name.endswith("-SESS"):
            fields["cnonce"] = own
    if "opaque" in asked:
        fields["opaque"] = asked["opaque"]
    if "algorithm" in asked:
        plain += f", algorithm={asked['algorithm']}"
    quoted = ", ".join(f'{key}="{_escape(value)}"' for key, value in fields.items())
    return f"Digest {quoted}{plain}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')

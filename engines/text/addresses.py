"""Addresses of cameras and servers: how one is read, and what of it may be shown.

A password may stand anywhere in an address: in the path, in the query, and with "@", "/" or "#" in
it. So nothing is searched for and hidden; what is shown is made of the parts known to be harmless.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote, unquote

HIDDEN = "…"
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[^\]]+)?\]|[^][\s:/?#@]+)(?::(\d{0,5}))?")  # host, port
# A path that tells nothing, with any query; and an address without its scheme.
PLAIN = re.compile(r"(/?|/[A-Za-z0-9._-]{1,15})/?(?:\?.*)?", re.DOTALL)
BARE = re.compile(r"[^/\\\s]+:[^\\]*@|[\w.-]+(?::\d+)?/[^?]*\?.*=", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """An address with "://".

    Attributes:
        scheme: in small letters, such as "http".
        user, password: decoded; None where there is none.
        place: host, and port where one is named: "cam:8080", "[::1]".
        rest: path, query and fragment as they were written, or "".
    """

    scheme: str
    user: str | None
    password: str | None
    place: str
    rest: str

    @property
    def bare(self) -> str:
        """The address without user and password."""
        return f"{self.scheme}://{self.place}{self.rest}"

    @property
    def full(self) -> str:
        """The address with user and password encoded, so that every reader finds the host."""
        if self.user is None:
            return self.bare
        user = _encode(self.user) + ("" if self.password is None else f":{_encode(self.password)}")
        return f"{self.scheme}://{user}@{self.place}{self.rest}"

    @property
    def host(self) -> str:
        """Without port and brackets; "" where the place can't be one."""
        found = PLACE.fullmatch(self.place)
        return found[1].strip("[]") if found else ""

    @property
    def public_host(self) -> str:
        """The host; "" where it may be a piece of a password with an "@" in it."""
        certain = "@" not in self.rest or (self.user is None and _is_numeric(self.host))
        return self.host if certain else ""

    @property
    def port(self) -> int | None:
        found = PLACE.fullmatch(self.place)
        return int(found[2]) if found and found[2] else None


def read_address(text: str) -> Address | None:
    """Read an address, also one whose password holds "@", "/", "?" or "#". None: it isn't one.

    RFC 3986 decides where user and password end, unless what it takes for host and port can't be
    that, or a later "@" makes it doubtful.
    """
    if not ADDRESS.match(text.strip()):
        return None
    scheme, _, after = text.strip().partition("://")
    authority = re.split("[/?#]", after, maxsplit=1)[0]
    before_query = re.split(r"\?[\w.-]+=", after, maxsplit=1)[0]
    place = PLACE.fullmatch(authority.rpartition("@")[2])
    if place and ("@" not in authority or re.search(r"[.\[]|^localhost$", place[1])):
        end = authority.rfind("@")
    else:  # "me:pass/word@cam", "me:p@ss/word@cam": "/" and the first "@" belong to the password
        end = max(before_query.rfind("@"), -1 if place else after.rfind("@"))
    user, colon, password = after[: max(end, 0)].partition(":")
    host = re.split("[/?#]", after[end + 1 :], maxsplit=1)[0]
    return Address(
        scheme=scheme.lower(),
        user=unquote(user) if end >= 0 else None,
        password=unquote(password) if colon else None,
        place=host,
        rest=after[end + 1 + len(host) :],
    )


def public_address(text: str) -> str:
    """What may be shown of an address: scheme, host, port, and a path of one plain word.

    A text that isn't one, and doesn't look like one without its scheme, comes back as it is.
    """
    if BARE.match(text) and not ADDRESS.match(text):
        return public_address(f"x://{text}").removeprefix("x://")
    address = read_address(text)
    if address is None:
        return text
    if not address.public_host:
        return f"{address.scheme}://{HIDDEN}"
    path = PLAIN.fullmatch(address.rest)
    end = path[1] if path else f"/{HIDDEN}"
    return f"{address.scheme}://{address.place}{end}"


def hide_addresses(message: str) -> str:
    """A message in which the command line's addresses are shown as `public_address` shows them.

    This is for messages that quote the command line, whatever an option was meant for.
    """
    for word in sys.argv[1:]:
        found = ADDRESS.search(word)
        text = found[0] if found else re.sub("^--?[a-z-]+=", "", word)
        public = public_address(text)
        if public == text:
            continue
        for form in (text, repr(text)[1:-1], str(PurePath(text))):
            message = message.replace(form, public)
        secret = re.search(r"[^/]+:.*@", text.partition("://")[2], re.DOTALL)
        if secret:  # of a path made of it, the beginning may be quoted
            message = message.replace(secret[0], f"{HIDDEN}@")
    return message


def _encode(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _is_numeric(host: str) -> bool:
    """Whether a host is an IP address, and so neither a user nor a piece of a password."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    return True

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
PLAIN = re.compile(r"[A-Za-z0-9._-]{1,15}")  # the last part of a path, where it isn't a token


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
        password = "" if self.password is None else ":" + quote(self.password, safe="")
        return f"{self.scheme}://{quote(self.user, safe='')}{password}@{self.place}{self.rest}"

    @property
    def host(self) -> str:
        """Without port and brackets; "" where the place can't be one."""
        found = PLACE.fullmatch(self.place)
        return found[1].strip("[]") if found else ""

    @property
    def port(self) -> int | None:
        found = PLACE.fullmatch(self.place)
        return int(found[2]) if found and found[2] else None


def read_address(text: str) -> Address | None:
    """Read an address, also one whose password holds "@", "/", "?" or "#". None: it isn't one.

    RFC 3986 decides where user and password end, unless what it takes for host and port can't be
    that, or an "@" in the path says that the password goes on.
    """
    if not ADDRESS.match(text.strip()):
        return None
    scheme, _, after = text.strip().partition("://")
    path = re.split("[?#]", after, maxsplit=1)[0]
    authority = path.partition("/")[0]
    if not PLACE.fullmatch(authority.rpartition("@")[2]):
        end = after.rfind("@")
    elif ":" in authority and not re.match(r"localhost:|\[|[^:@]*\.[^:@]*:", authority):
        end = path.rfind("@")  # "me:12/34@cam": no host that one can be sure of
    else:
        end = authority.rfind("@")
    user, colon, password = after[: max(end, 0)].partition(":")
    place = re.split("[/?#]", after[end + 1 :], maxsplit=1)[0]
    return Address(
        scheme=scheme.lower(),
        user=unquote(user) if end >= 0 else None,
        password=unquote(password) if colon else None,
        place=place,
        rest=after[end + 1 + len(place) :],
    )


def public_address(text: str) -> str:
    """What may be shown of an address: scheme, host, port, and the end of a plain path.

    A text that is no address comes back as it is, without what looks like user and password, or
    like a query.
    """
    address = read_address(text)
    if address is None:
        text = re.sub(r"^\w[^\s/\\]+:.*@", f"{HIDDEN}@", text, flags=re.DOTALL)
        return re.sub(r"^([\w.-]+(:\d+)?/[^?&=]*)[?&].*=.*", rf"\1{HIDDEN}", text, flags=re.DOTALL)
    begun = address.user is not None or (":" in address.place and not _is_numeric(address.host))
    doubtful = "@" in address.rest and begun
    if doubtful or not address.host:  # a part of the password may stand where the host would
        return f"{address.scheme}://{HIDDEN}"
    path = re.split("[?#]", address.rest, maxsplit=1)[0].strip("/")
    shown = []
    if path:
        above, _, last = path.rpartition("/")
        shown = [HIDDEN] * bool(above) + [last if PLAIN.fullmatch(last) else HIDDEN]
    return "/".join([f"{address.scheme}://{address.place}", *shown])


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


def _is_numeric(host: str) -> bool:
    """Whether a host is an IP address, and so neither a user nor a piece of a password."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    return True

"""Why a stream can't be had, for people: one sentence per reason."""

from __future__ import annotations

import errno
import socket
import ssl
from http import HTTPStatus
from http.client import RemoteDisconnected

from engines.errors import short_reason
from engines.text.addresses import HIDDEN, Address

ENCODED = 'with %40 for an "@" and %2F for a "/" in them'


class Refused(Exception):
    """A stream can't be had.

    Attributes:
        reason: what the server did, to be quoted in parentheses.
        advice: what to do, a sentence; "" where the reason says all.
        final: whether asking again a second later is no use.
    """

    def __init__(self, reason: str, advice: str = "", final: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.advice, self.final = reason, advice, final


def refused_by_status(status: int, named: bool, scheme: str) -> Refused:
    """What a status of HTTP or RTSP from 400 on means.

    Args:
        named: whether the address names a user.
        scheme: of the address.
    """
    where = f"{scheme}://NAME:PASSWORD@HOST/…"
    if status == 401 and named:
        return Refused(
            "it refuses the user name and password, 401",
            f"Correct them in the address: {where}, {ENCODED}.",
        )
    if status == 401:
        return Refused(
            "it asks for a user name and password, 401", f"Put them into the address: {where}."
        )
    if status == 403:
        return Refused(
            "it forbids this, 403",
            "Allow this user and this computer in the camera's settings, or correct the address.",
        )
    if status in (404, 410):
        return Refused(
            f"it has nothing at this path, {status}",
            "Correct what follows the host in the address; the camera's manual or app names it.",
        )
    if status == 407:
        return Refused(
            "the proxy of this network asks for a password, 407",
            "Name the proxy with its user and password in http_proxy, or the camera's host in "
            "no_proxy.",
        )
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    if status == 429 or status >= 500:
        return Refused(
            f"it can't serve this now, {phrase}",
            "Close other programs that watch it, or try again later.",
            final=False,
        )
    return Refused(f"it refuses the request, {phrase}", "Correct the address.")


def refused_by_error(error: Exception, address: Address) -> Refused:
    """What an error of the network means, while an address was asked."""
    scheme = address.scheme
    if isinstance(error, socket.gaierror):
        return Refused(
            f"no host is named {address.public_host or HIDDEN}",
            "Correct the name, or use the camera's IP address.",
            final=error.errno != socket.EAI_AGAIN,
        )
    if isinstance(error, ssl.SSLError):
        plain = scheme.removesuffix("s")
        return Refused(
            f"no encrypted connection came about: {short_reason(error)}",
            f"If it doesn't speak {scheme}, begin the address with {plain}://.",
        )
    advice = "Switch the camera on, and check the network and the address's host and port."
    if isinstance(error, ConnectionRefusedError):
        return Refused("nothing answers at this port: connection refused", advice, final=False)
    if isinstance(error, RemoteDisconnected):
        return Refused("it closed the connection without an answer", advice, final=False)
    if isinstance(error, TimeoutError):
        return Refused("it did not answer", advice, final=False)
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return Refused(
            f"this computer has no way there: {short_reason(error)}", advice, final=False
        )
    if not isinstance(error, OSError):  # its text may quote the password
        return Refused(
            "the address can't be understood",
            f"Write {scheme}://NAME:PASSWORD@HOST:PORT/PATH, {ENCODED}.",
        )
    return Refused(short_reason(error), advice, final=False)

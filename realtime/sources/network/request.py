"""One HTTP request: with user and password, by a proxy or not, refused in a sentence."""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from engines.text.addresses import Address, public_address
from realtime.sources.network.login import authorization
from realtime.sources.network.proxy import proxies_for
from realtime.sources.network.refusal import Refused, refused_by_error, refused_by_status

HEADERS = {"User-Agent": "one-shot-gestures", "Accept": "*/*"}


def request(address: Address, timeout_s: float, stall_s: float) -> http.client.HTTPResponse:
    """Ask for an address, again with user and password where they are asked for.

    Args:
        address: of scheme http or https.
        timeout_s: for the connection and for the answer's head.
        stall_s: for each piece of the answer's body.
    Raises:
        Refused: there is no answer, or one that refuses.
        HTTPException: the answer isn't HTTP.
    """
    if not address.host:
        raise Refused("it names no host", f"Write {address.scheme}://HOST:PORT/PATH.")
    rest = address.rest.partition("#")[0]
    rest = rest if rest.startswith("/") else f"/{rest}"
    uri = quote(rest, safe="%/:?[]@!$&'()*+,;=~", errors="surrogateescape")
    asked = urllib.request.Request(f"{address.scheme}://{address.place}{uri}", headers=HEADERS)
    proxies = proxies_for(address)
    opener = _opener(proxies, stall_s)
    try:
        try:
            return opener.open(asked, timeout=timeout_s)
        except HTTPError as error:
            challenges = error.headers.get_all("WWW-Authenticate", [])
            answer = authorization(challenges, address, "GET", uri)
            # The server that an answer leads to isn't told the password of the first.
            if error.code != 401 or answer is None or error.url != asked.full_url:
                raise
            error.close()
        # http.client sends Latin-1, servers read UTF-8.
        asked.add_unredirected_header("Authorization", answer.encode().decode("latin-1"))
        return opener.open(asked, timeout=timeout_s)
    except HTTPError as error:
        error.close()
        refused = refused_by_status(error.code, address.user is not None, address.scheme)
    except (http.client.RemoteDisconnected, http.client.InvalidURL, OSError, ValueError) as error:
        # A ValueError is about the address: a label too long, a port that is no number.
        cause = error.reason if isinstance(error, URLError) else error
        if not isinstance(cause, Exception):
            cause = error
        refused = refused_by_error(cause, address)
    if proxy := proxies.get(address.scheme):
        refused.advice += (
            f" It was asked through the proxy {public_address(proxy)}, which {address.scheme}_proxy"
            " names; add the host to no_proxy to do without."
        )
    raise refused


def _opener(proxies: dict[str, str], stall_s: float) -> urllib.request.OpenerDirector:
    """As urllib's own, without FTP, files and checks of certificates, which cameras sign alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(proxies),
        _Handler(stall_s),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _Timed(http.client.HTTPConnection):
    """Waits for the head of the answer as long as for the connection, then stall_s a piece."""

    stall_s = 0.0

    def getresponse(self) -> http.client.HTTPResponse:
        sock = self.sock  # the response takes it over
        response = super().getresponse()
        sock.settimeout(self.stall_s)
        return response


class _TimedSecure(http.client.HTTPSConnection, _Timed):
    pass


class _Handler(urllib.request.AbstractHTTPHandler):
    def __init__(self, stall_s: float) -> None:
        super().__init__()
        self._stall_s = stall_s

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect(_Timed), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return self.do_open(self._connect(_TimedSecure, context=context), request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _connect(self, kind: type[_Timed], **fixed: Any) -> Any:
        def connect(host: str, **options: Any) -> _Timed:
            connection = kind(host, **options, **fixed)
            connection.stall_s = self._stall_s
            return connection

        return connect

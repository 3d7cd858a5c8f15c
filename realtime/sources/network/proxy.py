"""Which proxy leads to a camera: none in the local network, else the one the environment names."""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.request

from engines.text.addresses import Address


def proxies_for(address: Address) -> dict[str, str]:
    """The proxies by scheme, as urllib takes them; none for a host of the local network.

    A proxy hardly ever has a way into the network that it leads out of.
    """
    proxies = urllib.request.getproxies()
    if not proxies or urllib.request.proxy_bypass(address.host) or _is_local(address.host):
        return {}
    return proxies


def keep_ffmpeg_off_proxies(address: Address) -> None:
    """Tell FFmpeg, which only the environment reaches, what `proxies_for` says of a host."""
    proxies = urllib.request.getproxies()
    if proxies and not proxies_for(address):
        hosts = os.environ.get("no_proxy", os.environ.get("NO_PROXY", "")).split(",")
        if address.host not in hosts:
            os.environ["no_proxy"] = ",".join(filter(None, [*hosts, address.host]))


def _is_local(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        ips = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    except (OSError, ValueError):
        return False
    return not any(ip.is_global for ip in ips)

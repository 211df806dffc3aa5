"""At which addresses hosts train with one another: private ones where all have them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import TypedDict

# RFC 1918; `is_private` also holds for loopback, link-local addresses and documentation.
_PRIVATE = [IPv4Interface(one).network for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


class Address(TypedDict):
    """One of a host's own: ``{"address": "10.0.0.1/24", "interface": "eth1"}``."""

    address: str
    interface: str


def is_private(address: str) -> bool:
    """Whether it is reached from nowhere but a network of the hosts' owner, or this host."""
    one = IPv4Address(address)
    return one.is_loopback or any(one in network for network in _PRIVATE)


def common(hosts: Sequence[Sequence[Address]]) -> list[str]:
    """
    An address of each host in one private network that all have; empty where there is none.

    Bridges of Docker and libvirt have the same address on every host and lead to no other one.
    Whether the hosts do reach one another there remains to be tried.
    """
    found = [
        {one.network: str(one.ip) for one in map(IPv4Interface, _of(host)) if _usable(one)}
        for host in hosts
    ]
    for network in found[0] if found else ():
        addresses = [there[network] for there in found if network in there]
        if len(addresses) == len(hosts) == len(set(addresses)):
            return addresses
    return []


def _of(host: Sequence[Address]) -> list[str]:
    return [one["address"] for one in host]


def _usable(one: IPv4Interface) -> bool:
    return is_private(str(one.ip)) and not one.ip.is_loopback and one.network.prefixlen < 32

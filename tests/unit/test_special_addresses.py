"""Which addresses are public, by a table that does not depend on Python's patch level."""

from __future__ import annotations

import ipaddress
from typing import NoReturn

import pytest

from pdp.export.alerts.special_addresses import is_metadata, is_public

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:db7:ffff::1",
    "2001:4860::8888",
    "2606:4700::1111",
    "3ffe::1",
    "3fff:1000::1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
)
NOT_PUBLIC = (
    "0.0.0.0",  # noqa: S104 - a refused address
    "0.255.255.255",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "169.254.0.0",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::",
    "64:ff9b:1::808:808",
    "64:ff9b:1:ffff::a00:1",
    "64:ff9b:2::1",
    "100::1",
    "1fff:ffff::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fec0::1",
    "fec0:0:0:ffff::1",
    "feff::1",
    "ff02::1",
)
CASES = [*((each, True) for each in PUBLIC), *((each, False) for each in NOT_PUBLIC)]


@pytest.mark.parametrize(("address", "public"), CASES)
def test_only_global_addresses_are_public(
    address: str, public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own opinion is not asked: it differs between patch releases."""

    def unused(_: object) -> NoReturn:
        raise AssertionError("the result depends on Python's patch level")

    parsed = ipaddress.ip_address(address)
    for name in ("is_global", "is_private", "is_reserved", "is_site_local", "is_link_local"):
        if hasattr(type(parsed), name):
            monkeypatch.setattr(type(parsed), name, property(unused))
    assert is_public(parsed) is public


@pytest.mark.parametrize(
    ("address", "metadata"),
    [
        ("169.254.169.254", True),
        ("100.100.100.200", True),
        ("168.63.129.16", True),
        ("fd00:ec2::254", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("64:ff9b:1::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::1", True),
        ("169.254.169.253", False),
        ("100.100.100.201", False),
        ("fd00:ec2::253", False),
        ("64:ff9b:1::a00:1", False),
        ("8.8.8.8", False),
    ],
)
def test_metadata_services_are_known_by_address(address: str, metadata: bool) -> None:
    assert is_metadata(ipaddress.ip_address(address)) is metadata

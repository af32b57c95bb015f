from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.suggest.addresses import may_connect

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::200e"),
    # next to what is refused
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255"),
    *("192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"),
    *("168.63.129.15", "168.63.129.17", "2001:200::", "2001:db7:ffff::", "2001:db9::"),
    *("2001:ffff:ffff::", "2003::", "2400::", "3ffe:ffff::"),
]

PRIVATE = [
    "10.0.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    # the ends of their blocks
    *("10.0.0.0", "10.255.255.255", "127.0.0.0", "172.16.0.0", "192.168.0.0", "192.168.255.255"),
    *("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00:ec1::1", "fd00:ec3::1"),
]

NEVER = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "100.64.0.1",  # carrier-grade NAT
    "169.254.0.1",
    "169.254.169.254",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "2001:10::1",
    "4000::1",
    # where clouds serve credentials and configuration to their machines
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    # the ends of their blocks, as the registries of IANA have them
    *("0.255.255.255", "100.127.255.255", "169.254.0.0", "169.254.255.255", "192.0.0.0"),
    *("192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.255", "198.18.0.0"),
    *("198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255"),
    *("224.0.0.0", "224.0.0.251", "232.0.0.1", "233.252.0.1", "239.255.255.255", "240.0.0.0"),
    *("255.255.255.254", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("feff::1", "ff00::", "ff01::1", "ff05::2", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("100::", "100:0:0:1::1", "1fff::1", "5f00::1", "2001::", "2001:1::1", "2001:2::1"),
    *("2001:3::1", "2001:4:112::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::"),
    *("2001:db8:ffff:ffff::1", "2002::", "2002:ffff:ffff::", "3fff:fff:ffff::1"),
    # IPv4 inside, public or not
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2a00:1450::5efe:10.0.0.1",
    "2a00:1450::200:5efe:10.0.0.1",
    "fd00::5efe:10.0.0.1",
    # no address at all
    "localhost",
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
    "0177.0.0.1",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert may_connect(address, allow_private=False)
    assert may_connect(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_pass_only_where_allowed(address: str) -> None:
    assert not may_connect(address, allow_private=False)
    assert may_connect(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_special_addresses_never_pass(address: str) -> None:
    assert not may_connect(address, allow_private=False)
    assert not may_connect(address, allow_private=True)


@given(st.ip_addresses(v=4))
def test_no_way_of_carrying_ipv4_in_ipv6_passes(inner: IPv4Address) -> None:
    number = int(inner)
    carriers = [
        number,
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | 0xFFFFFFFF ^ number,
        0x2A001450 << 96 | 0x02005EFE << 32 | number,
    ]
    passed = [
        str(IPv6Address(c))
        for c in carriers
        if may_connect(str(IPv6Address(c)), allow_private=False)
    ]

    assert passed == []

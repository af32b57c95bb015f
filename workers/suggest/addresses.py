"""Which network addresses a photo may be fetched from.

Judged is the address that a socket is about to connect to, so spellings (octal, hexadecimal,
decimal), names that resolve to an inner address, and names that change between check and use
are all the same case here.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# What the standard library's `is_global` lets pass, depending on its version.
_REFUSED_V4 = (
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, withdrawn by RFC 7526
)
_REFUSED_V6 = (
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them: embeds IPv4
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: embeds IPv4
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)

# Where clouds serve credentials and configuration to their machines, outside link-local ranges.
_CLOUD_V4 = (IPv4Network("168.63.129.16/32"),)  # Azure's wire server; a public address otherwise
_CLOUD_V6 = (
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::/32"),  # Google Cloud
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")  # leaves out the mapped, NAT64 and unique local forms

_PRIVATE_V4 = tuple(
    map(IPv4Network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
)
_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))


def may_connect(host: str, *, allow_private: bool) -> bool:
    """Say whether a photo may be fetched from an address.

    Public unicast addresses may; private, loopback, link-local, multicast, reserved and
    documentation ranges may not, nor any IPv6 form that carries an IPv4 address inside
    (mapped, compatible, 6to4, NAT64, Teredo, ISATAP), whatever that address is.

    Args:
        host: an IPv4 or IPv6 address as the socket gets it.
        allow_private: lets loopback and private networks (RFC 1918, RFC 4193) pass as well.
            Link-local addresses stay refused, and others where clouds serve credentials.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if any(address in network for network in (*_CLOUD_V4, *_CLOUD_V6)):
        return False
    if isinstance(address, IPv4Address):
        if allow_private and any(address in network for network in _PRIVATE_V4):
            return True
        return (
            address.is_global
            and not address.is_multicast
            and not any(address in network for network in _REFUSED_V4)
        )
    if allow_private and any(address in network for network in _PRIVATE_V6):
        return not _is_isatap(address)
    return (
        address in _GLOBAL_UNICAST_V6
        and address.is_global
        and not any(address in network for network in _REFUSED_V6)
        and not _is_isatap(address)
    )


def _is_isatap(address: IPv6Address) -> bool:
    # RFC 5214: the interface identifier is 00-00-5E-FE (or 02-00-5E-FE) and an IPv4 address.
    return (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE

"""What servers push, as what a device gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.openvpn.routing import DEFAULT_MTU, Filter, accepted, pushed, settings

REPLY = (
    "PUSH_REPLY,redirect-gateway def1 ipv6,dhcp-option DNS 10.98.0.1,dhcp-option DNS fd00:98::1,"
    "dhcp-option DOMAIN home.example,tun-mtu 1400,route-gateway 10.98.0.1,topology subnet,ping 2,"
    "ifconfig-ipv6 fd00:98::1000/64 fd00:98::1,ifconfig 10.98.0.2 255.255.255.0,peer-id 0"
)


def test_a_usual_reply_is_addresses_routes_resolvers_and_an_mtu() -> None:
    """Both families."""
    given = settings(pushed(REPLY))
    assert given.addresses == ("10.98.0.2/24", "fd00:98::1000/64")
    assert given.routes == ("0.0.0.0/0", "::/0")
    assert (given.mtu, given.dns) == (1400, ("10.98.0.1", "fd00:98::1"))


def test_without_an_mtu_it_is_openvpns_own() -> None:
    """1500, as its manual says."""
    assert settings([]).mtu == DEFAULT_MTU


def test_with_net30_the_other_end_is_a_host() -> None:
    """The default topology: two addresses, and a route to the other one."""
    given = settings(pushed("ifconfig 10.8.0.6 10.8.0.5,route 10.8.0.1,topology net30"))
    assert given.addresses == ("10.8.0.6/32",)
    assert given.routes == ("10.8.0.5/32", "10.8.0.1/32")


def test_what_goes_around_the_tunnel_is_not_routed_into_it() -> None:
    """`net_gateway` is nowhere inside: everything but that network is."""
    options = [("redirect-gateway",), ("route", "128.0.0.0", "128.0.0.0", "net_gateway")]
    assert settings(options).routes == ("0.0.0.0/1",)
    assert settings([*options, ("route", "192.0.2.0", "255.255.255.0")]).routes == ("0.0.0.0/1",)


def test_the_flags_of_redirect_gateway_choose_the_families() -> None:
    """`!ipv4`, `ipv6`; redirect-private routes nothing."""
    assert settings([("redirect-gateway", "!ipv4", "ipv6")]).routes == ("::/0",)
    assert settings([("redirect-private", "def1")]).routes == ()


def test_block_ipv6_leaves_no_address_of_it() -> None:
    """Nothing inside speaks it then."""
    assert settings([*pushed(REPLY), ("block-ipv6",)]).addresses == ("10.98.0.2/24",)


def test_resolvers_of_the_newer_directive_are_read() -> None:
    """`dns server N address …`; one with a port of its own is none for us."""
    options = pushed("dns server 0 address 10.8.0.1 [fd00::1]:5353,dns server 0 dnssec no")
    assert settings(options).dns == ("10.8.0.1",)


def test_filters_and_nopull_leave_out_what_they_name() -> None:
    """The first filter that fits decides."""
    filters = [Filter("accept", "dhcp-option DNS 10"), Filter("ignore", "dhcp-option")]
    names = [option[:3] for option in accepted(pushed(REPLY), filters, nopull=False)]
    assert ("dhcp-option", "DNS", "10.98.0.1") in names
    assert ("dhcp-option", "DNS", "fd00:98::1") not in names
    left = settings(accepted(pushed(REPLY), (), nopull=True))
    assert (left.routes, left.dns, left.mtu) == ((), (), 1400)


@pytest.mark.parametrize(
    "option",
    [
        "ifconfig",
        "ifconfig 10.8.0.1",
        "ifconfig nowhere 255.255.255.0",
        "ifconfig-ipv6",
        "ifconfig-ipv6 fd00::1/200 fd00::2",
        "route",
        "route somewhere.example",
        "route 10.0.0.0 255.0.255.0",
        "route remote_host",
        "route-ipv6",
        "tun-mtu",
        "tun-mtu much",
        "tun-mtu 90000",
        "dhcp-option DNS nowhere",
    ],
)
def test_what_cannot_be_right_is_a_value_error(option: str) -> None:
    """A server may push anything."""
    with pytest.raises(ValueError):
        settings([("topology", "subnet"), *pushed(option)])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["route", "route-ipv6", "ifconfig", "ifconfig-ipv6", "dns", "tun-mtu"]),
            st.text("0123456789.:/af netgawy_", max_size=30),
        ),
        max_size=4,
    )
)
def test_any_reply_is_settings_or_a_value_error(options: list[tuple[str, str]]) -> None:
    """Nothing else comes out of garbage."""
    text = ",".join(f"{name} {words}" for name, words in options)
    try:
        settings(pushed(text))
    except ValueError:
        return

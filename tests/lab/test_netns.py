"""Namespaces and what can be built between them."""

import asyncio
import select
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Device, Links, Netns
from circumtest.process import run


def test_a_new_namespace_has_lo_up_and_nothing_else() -> None:
    """Its loopback works, and it leads nowhere."""

    async def main() -> None:
        async with Netns.new("new") as netns:
            assert await netns.links() == ("lo",)
            with netns.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.bind(("::1", 0))
                sock.sendto(b"me", sock.getsockname())
                assert await asyncio.get_running_loop().sock_recv(sock, 10) == b"me"
            with (
                netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
                pytest.raises(OSError, match="unreachable"),
            ):
                sock.connect(("192.0.2.1", 9))

    asyncio.run(main())


def test_a_cable_carries_both_families_at_once() -> None:
    """IPv6 needs no wait for duplicate address detection."""

    async def main() -> None:
        async with Netns.new("left") as left, Netns.new("right") as right:
            await left.veth("cable", right, "cable")
            for netns, number in ((left, 1), (right, 2)):
                await netns.address("cable", f"192.0.2.{number}/24")
                await netns.address("cable", f"2001:db8::{number}/64")
            await left.route("default", via="192.0.2.2")
            await left.route("default", via="2001:db8::2")
            await right.address("lo", "203.0.113.1/32")
            await right.address("lo", "2001:db8:113::1/128")
            for kind, host in (
                (socket.AF_INET, "203.0.113.1"),
                (socket.AF_INET6, "2001:db8:113::1"),
            ):
                with (
                    right.socket(kind, socket.SOCK_DGRAM) as far,
                    left.socket(kind, socket.SOCK_DGRAM) as near,
                ):
                    far.bind((host, 9))
                    near.sendto(b"over", (host, 9))
                    reading = asyncio.get_running_loop().sock_recv(far, 10)
                    assert await asyncio.wait_for(reading, 3) == b"over"

    asyncio.run(main())


def test_a_device_moves_to_another_namespace() -> None:
    """It is gone here and there there, and can be given addresses again."""

    async def main() -> None:
        async with Netns.new("from") as here, Netns.new("to") as there:
            await here.veth("one", here, "other")
            await here.move("one", there)
            assert await here.links() == ("lo", "other")
            assert "one" in await there.links()
            await there.address("one", "192.0.2.1/24")
            await there.mtu("one", 1280)
            assert (await there.acall(Path("/proc/thread-self/net/dev").read_text)).count(
                "one:"
            ) == 1

    asyncio.run(main())


def test_an_impossible_operation_is_an_os_error_that_names_it() -> None:
    """Nobody above needs to know the netlink library's exceptions."""

    async def main() -> None:
        async with Netns.new("errors") as netns:
            with pytest.raises(FileExistsError, match=r"add address 127\.0\.0\.1/8 to lo"):
                await netns.address("lo", "127.0.0.1/8")
            with pytest.raises(OSError, match=r"unreachable.*add route"):
                await netns.route("192.0.2.0/24", via="198.51.100.1")
            with pytest.raises(OSError, match="no interface"):
                await netns.up("nothing")

    asyncio.run(main())


def test_settings_belong_to_one_namespace() -> None:
    """Forwarding in one leaves the other alone, and the home namespace too."""

    async def main() -> None:
        key = "net.ipv4.ip_forward"
        file = Path("/proc/sys", key.replace(".", "/"))
        async with Netns.new("router") as router, Netns.new("host") as host:
            await router.forward()
            assert (await router.acall(file.read_text)).strip() == "1"
            assert (await host.acall(file.read_text)).strip() == "0"
            await host.sysctl("net.ipv4.conf.lo.rp_filter", 2)

    asyncio.run(main())


def test_offloads_are_off_where_it_is_asked_for() -> None:
    """Then a large write leaves as packets of the link's size, with real checksums."""

    async def main() -> None:
        async with Netns.new("near") as near, Netns.new("far") as far:
            await near.veth("cable", far, "cable")
            for netns, host in ((near, "192.0.2.1"), (far, "192.0.2.2")):

                def plug(links: Links, host: str = host) -> None:
                    links.address("cable", f"{host}/24")
                    links.offloads_off("cable")

                await netns.configure(plug)
            assert await largest_frame(near, far) <= 1514

    asyncio.run(main())


async def largest_frame(near: Netns, far: Netns) -> int:
    """Send 64 KiB over TCP and see the largest Ethernet frame that arrives."""
    loop = asyncio.get_running_loop()
    with (
        far.socket(socket.AF_PACKET, socket.SOCK_RAW) as watcher,
        far.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        near.socket(socket.AF_INET, socket.SOCK_STREAM) as sender,
    ):
        watcher.bind(("cable", 3))
        listener.bind(("192.0.2.2", 9))
        listener.listen()
        await loop.sock_connect(sender, ("192.0.2.2", 9))
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await loop.sock_sendall(sender, bytes(65536))
            received = 0
            while received < 65536:
                received += len(await loop.sock_recv(peer, 65536))
        return max(drain(watcher))


def drain(watcher: socket.socket) -> list[int]:
    """The sizes of the frames that wait in a packet socket."""
    sizes: list[int] = []
    while select.select([watcher], [], [], 0)[0]:
        sizes += [len(watcher.recv(70000))]
    return sizes


def test_what_a_call_raises_is_raised_to_the_caller() -> None:
    """And the thread lives on."""

    async def main() -> None:
        async with Netns.new("raises") as netns:
            with pytest.raises(ZeroDivisionError):
                netns.call(lambda: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                await netns.acall(lambda: 1 // 0)
            assert netns.call(threading.get_ident) == await netns.acall(threading.get_ident)

    asyncio.run(main())


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_after_the_end_nothing_is_left_of_it() -> None:
    """Thread and descriptor are gone, processes in it are killed, and it can be called no more."""

    async def main() -> None:
        threads = threading.active_count()
        descriptors = open_files()
        async with Netns.new("ends") as netns:
            child = netns.call(subprocess.Popen, ["sleep", "1000"], start_new_session=True)
        assert await asyncio.to_thread(child.wait, 2) == -9
        with pytest.raises(RuntimeError, match="gone"):
            netns.call(int)
        assert not [one for one in threading.enumerate() if one.name == "netns ends"]
        assert threading.active_count() <= threads + 1  # to_thread's own
        assert open_files() == descriptors

    asyncio.run(main())


def test_a_kernel_without_wireguard_says_so() -> None:
    """Either the device is there afterwards, or EnvironmentUnfit says what is missing."""

    async def main() -> None:
        async with Netns.new("wireguard") as netns:
            missing = ""
            try:
                await netns.wireguard("wg0")
            except EnvironmentUnfit as unfit:
                missing = unfit.missing
            there = "wg0" in await netns.links()
            assert there is ("no WireGuard" not in missing)
            assert not there or await netns.last_handshakes("wg0") == {}

    asyncio.run(main())


def test_sockets_are_made_in_stock_and_none_is_left() -> None:
    """Many sockets are all of the namespace, each its own; what was not used is closed with it."""

    async def main() -> None:
        before = open_files()
        async with Netns.new("stock") as netns:
            await netns.address("lo", "192.0.2.1/32")
            taken = [netns.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
            for sock in taken:
                sock.bind(("192.0.2.1", 0))  # nowhere else is there such an address
                assert not sock.getblocking()
                assert not sock.get_inheritable()
            assert len({sock.getsockname() for sock in taken}) == 20
            for sock in taken:
                sock.close()
        assert open_files() == before

    asyncio.run(main())


def test_a_namespace_of_somebody_elses_is_entered_and_left_as_it_was() -> None:
    """What lives in it lives on; only our own thread and descriptor go."""

    async def main() -> None:
        async with Netns.new("theirs") as theirs:
            process = await theirs.acall(subprocess.Popen, ["sleep", "60"])
            await theirs.address("lo", "192.0.2.1/32")
            before = open_files()
            async with Netns.enter(f"/proc/{process.pid}/ns/net", "entered") as entered:
                with entered.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(("192.0.2.1", 0))
                assert entered.name == "entered"
            assert process.poll() is None
            assert open_files() == before
            process.kill()
            process.wait()

    asyncio.run(main())


@pytest.mark.parametrize("file", ["/run/no-such", "/etc/passwd", "/proc/self/ns/uts"])
def test_what_is_no_namespace_is_not_entered(file: str) -> None:
    """An OSError, and nothing is left of the attempt."""

    async def main() -> None:
        before = open_files()
        with pytest.raises(OSError, match=r"No such file|no network namespace"):
            await Netns.enter(file, "none").__aenter__()
        assert open_files() == before

    asyncio.run(main())


def test_a_device_is_told_as_it_is_now() -> None:
    """Addresses that reach no further than the link are none; a device that is gone is None."""

    async def main() -> None:
        async with Netns.new("here") as here, Netns.new("there") as there:
            assert here.device("cable") is None
            await here.veth("cable", there, "cable")
            await here.mtu("cable", 1300)
            assert here.device("cable") == Device("cable", True, 1300, (), "veth")
            await here.address("cable", "192.0.2.1/24")
            await here.address("cable", "2001:db8::1/64")
            both = ("192.0.2.1", "2001:db8::1")
            assert here.device("cable") == Device("cable", True, 1300, both, "veth")
            await here.configure(lambda links: links.delete("cable"))
            assert here.device("cable") is None

    asyncio.run(main())


def test_the_way_out_is_what_the_kernel_would_take() -> None:
    """A default route, two halves of one, or none; one that refuses is none."""

    async def main() -> None:
        async with Netns.new("here") as here, Netns.new("there") as there:
            assert here.ways_out() == {}
            await here.veth("cable", there, "cable")
            await here.address("cable", "192.0.2.1/24")
            await here.address("cable", "2001:db8::1/64")
            assert here.ways_out() == {}
            for half in ("0.0.0.0/1", "128.0.0.0/1"):
                await here.route(half, dev="cable")
            assert here.ways_out() == {4: "cable"}
            await here.route("default", via="2001:db8::2")
            assert here.ways_out() == {4: "cable", 6: "cable"}
            await run(here, ["ip", "route", "add", "unreachable", "203.0.113.0/24"])
            assert here.ways_out() == {6: "cable"}

    asyncio.run(main())


def test_below_a_tunnel_that_leads_out_is_the_device_that_leads_its_own_packets() -> None:
    """Whatever form its routes have; of two devices that of the better route; none when down."""

    async def main() -> None:
        async with Netns.new("here") as here, Netns.new("there") as there:
            for name in ("wifi", "cable"):
                await here.veth(name, there, name)
            await here.address("wifi", "192.0.2.1/24")
            await here.address("cable", "198.51.100.1/24")
            await run(here, ["ip", "tuntap", "add", "wg0", "mode", "tun"])
            await here.up("wg0")
            for half in ("0.0.0.0/1", "128.0.0.0/1"):
                await here.route(half, dev="wg0")
            await run(here, ["ip", "route", "add", "default", "dev", "wg0", "table", "77"])
            assert (here.ways_out(), here.ways_below()) == ({4: "wg0"}, {})
            for metric, way in (("600", "192.0.2.2 dev wifi"), ("100", "198.51.100.2 dev cable")):
                await run(
                    here,
                    ["ip", "route", "add", "default", "via", *way.split(), "metric", metric],
                )
            assert here.ways_below() == {4: "cable"}
            await run(here, ["ip", "link", "set", "cable", "down"])
            assert (here.ways_out(), here.ways_below()) == ({4: "wg0"}, {4: "wifi"})
            tunnel = here.device("wg0")
            assert tunnel is not None
            assert tunnel.leads_through_a_tunnel

    asyncio.run(main())


def test_a_namespace_may_take_in_what_goes_anywhere() -> None:
    """Every address is its own then, and what is sent comes from the one that is named."""

    async def main() -> None:
        async with Netns.new("all") as netns:
            await netns.address("lo", "192.0.0.8/32")
            await netns.configure(
                lambda links: links.route("default", dev="lo", version=4, own="192.0.0.8")
            )
            with (
                netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
                netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
            ):
                far.bind(("203.0.113.7", 9))
                near.sendto(b"there", ("203.0.113.7", 9))
                loop = asyncio.get_running_loop()
                data, source = await asyncio.wait_for(loop.sock_recvfrom(far, 9), 2)
                assert (data, source[0]) == (b"there", "192.0.0.8")
            assert netns.ways_out() == {}

    asyncio.run(main())

"""What of OpenVPN the contract does not cover: certificates, scripts, servers that remember."""

import asyncio
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from circumtest.lab.pki import Authority
from circumtest.lab.servers.openvpn import OpenvpnServer
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.tunnels.openvpn import Openvpn
from tests.lab.exits import command_of, inhabitants, restart
from tests.lab.specimens.openvpn import block, tunnel
from tests.lab.town import FAR, ask, everything_passes, fault_of, play, until

PORTS = "net.ipv4.ip_local_port_range"


def test_a_server_that_still_remembers_our_port_is_asked_again_from_another() -> None:
    """Such a server lets the new session in and never pushes anything to it."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            await lab.client.sysctl(PORTS, "40001 40001")
            async with tunnel(fields).up(lab.client):
                pass
            again = asyncio.create_task(_seen(lab, tunnel(fields)))
            await until(lambda: _bound(lab))
            await lab.client.sysctl(PORTS, "41000 42000")
            assert await again == EXIT[4]

    play(scene)


def _bound(lab: Lab) -> bool:
    """Is the port taken, in the words of /proc?"""
    tables = (Path(f"/proc/{pid}/net/udp") for pid in inhabitants(lab.client))
    return any(f":{40001:X} " in table.read_text() for table in tables)


async def _seen(lab: Lab, one: Openvpn) -> str:
    async with one.up(lab.client) as path:
        return (await ask(path, Transport.UDP, FAR[4]))[0]


def test_a_server_that_gives_other_addresses_after_a_restart_is_followed() -> None:
    """The daemon makes its device anew then, in the underlay: it is moved inside again."""

    async def scene(lab: Lab) -> None:
        async with (
            OpenvpnServer().serve(lab) as fields,
            tunnel(fields).up(lab.client) as path,
        ):
            (server,) = inhabitants(lab.exit)
            config = Path(command_of(server).argv[-1])
            config.write_text(config.read_text().replace("10.98.0.0", "10.97.0.0"))
            async with restart(lab.exit), asyncio.timeout(30):
                await until(lambda: path.fault() is not None)
                await until(lambda: path.fault() is None)
                await everything_passes(path, EXIT)

    play(scene)


def test_a_server_that_lets_clients_go_is_no_fault_of_the_daemons() -> None:
    """`ping-exit` ends it when the server is gone: no data, not a broken binary."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            text = 'pull-filter ignore "ping"\nping 1\nping-exit 3\n' + fields["text"]
            async with tunnel({"text": text}).up(lab.client) as path:
                for pid in inhabitants(lab.exit):
                    os.kill(pid, signal.SIGSTOP)
                async with asyncio.timeout(20):
                    await until(lambda: not inhabitants(lab.client))
                    await until(lambda: path.fault() is not None)
                down = path.fault()
                assert down is not None
                assert down.fault is TunnelFault.NO_DATA

    play(scene)


def test_a_server_with_another_authoritys_certificate_is_not_trusted() -> None:
    """It is said so at once, without waiting for more of the same."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            text = block(fields["text"], "ca", Authority().certificate)
            down = await fault_of(Openvpn(text=text, patience=30).up(lab.client))
        assert down.fault is TunnelFault.HANDSHAKE
        assert "not to be trusted" in down.detail
        assert "vpn.example" not in down.evidence

    play(scene)


def test_a_server_with_another_name_is_not_trusted() -> None:
    """`verify-x509-name` is honoured."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            text = fields["text"].replace("-name vpn.example", "-name else.example")
            down = await fault_of(Openvpn(text=text, patience=30).up(lab.client))
        assert down.fault is TunnelFault.HANDSHAKE
        assert "not to be trusted" in down.detail
        assert "example" not in down.evidence

    play(scene)


def test_no_script_of_the_configuration_is_run(tmp_path: Path) -> None:
    """Neither the person's, by whatever directive, nor anything by a shell."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            script = tmp_path / "script"
            script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
            script.chmod(0o700)
            names = ("up", "down", "route-up", "route-pre-down", "ipchange", "tls-verify")
            lines = "".join(f"{name} {script}\n" for name in names)
            one = tunnel({"text": f"script-security 3\n{lines}{fields['text']}"})
            assert len([note for note in one.notes() if "is not run" in note]) == len(names)
            async with one.up(lab.client) as path:
                await everything_passes(path, EXIT)
        assert not (tmp_path / "ran").exists()

    play(scene)


def test_only_what_is_routed_is_inside() -> None:
    """With `route-nopull` and a route, the echo's network and no other."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            text = "route-nopull\nroute 192.0.2.10\n" + fields["text"]
            async with tunnel({"text": text}).up(lab.client) as path:
                assert (await ask(path, Transport.UDP, FAR[4]))[0] == EXIT[4]
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.UDP, FAR[6])
                assert path.dns == ()

    play(scene)


def test_the_second_of_two_servers_is_reached() -> None:
    """When the first is silent; a name that nobody knows is left out."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer(proto="tcp").serve(lab) as fields:
            dead = "remote 198.51.100.1 1194 tcp\nremote nowhere.invalid 1194 tcp\n"
            one = replace(tunnel({"text": dead + fields["text"]}), patience=12.0)
            async with one.up(lab.client) as path:
                assert (await ask(path, Transport.TCP, FAR[4]))[0] == EXIT[4]

    play(scene)


def test_a_configuration_that_the_daemon_does_not_take_is_the_binarys_fault() -> None:
    """With the daemon's own words as evidence."""

    async def scene(lab: Lab) -> None:
        async with OpenvpnServer().serve(lab) as fields:
            text = re.sub("^dev tun$", "dev tun\nauth NONSENSE", fields["text"], flags=re.MULTILINE)
            down = await fault_of(tunnel({"text": text}).up(lab.client))
        assert down.fault is TunnelFault.BINARY
        assert "NONSENSE" in down.evidence

    play(scene)

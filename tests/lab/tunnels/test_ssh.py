"""SSH beside the contract: host keys, keys that others can read, servers that do not forward."""

import asyncio
import errno
from contextlib import suppress
from pathlib import Path

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.sshd import Sshd
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.tunnels.ssh import Ssh
from tests.lab.exits import inhabitants, restart
from tests.lab.town import FAR, ask, fault_of, play, until


def test_another_host_key_is_no_handshake_and_nothing_is_forwarded() -> None:
    """Whether another one is known for the host, or none."""

    async def scene(place: Lab) -> None:
        async with Sshd().serve(place) as fields, Sshd(port=2223).serve(place) as others:
            other = others["known_hosts_text"].replace("2223", "2222")
            for known, said in ((other, "somebody in between"), (other[1:], "not in known_hosts")):
                wrong = {**fields, "known_hosts_text": known}
                down = await fault_of(Ssh(**wrong).up(place.client))
                assert down.fault is TunnelFault.HANDSHAKE
                assert said in down.detail
                assert EXIT[4] not in down.evidence

    play(scene)


def test_a_key_that_others_can_read_is_used_from_a_private_copy(tmp_path: Path) -> None:
    """From files, as users have them."""

    async def scene(place: Lab) -> None:
        async with Sshd().serve(place) as fields:
            key, known = tmp_path / "id", tmp_path / "known hosts"
            key.write_text(fields["key_text"].replace("\n", "\r\n"))
            key.chmod(0o644)
            known.write_text(fields["known_hosts_text"])
            tunnel = Ssh(url=fields["url"], key=str(key), known_hosts=str(known))
            async with tunnel.up(place.client) as path:
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")

    play(scene)


def test_the_users_own_key_and_known_hosts_are_taken_where_none_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ~/.ssh, read where HOME is, whoever one is inside the private world."""

    async def scene(place: Lab) -> None:
        async with Sshd().serve(place) as fields:
            own = tmp_path / ".ssh"
            own.mkdir()
            (own / "id_ed25519").touch(0o600)
            (own / "id_ed25519").write_text(fields["key_text"])
            (own / "known_hosts").write_text(fields["known_hosts_text"])
            before = {file: file.read_bytes() for file in own.iterdir()}
            async with Ssh(url=fields["url"]).up(place.client) as path:
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
            assert {file: file.read_bytes() for file in own.iterdir()} == before

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    play(scene)


def test_a_server_that_does_not_forward_is_told() -> None:
    """It let us in, and its rules say no: auth."""

    async def scene(place: Lab) -> None:
        async with (
            Sshd(forwarding=False).serve(place) as fields,
            Ssh(**fields).up(place.client) as path,
        ):
            with pytest.raises(TunnelDown, match="rules") as caught:
                await ask(path, Transport.TCP, FAR[4])
            assert caught.value.fault is TunnelFault.AUTH

    play(scene)


def test_what_the_server_says_of_the_target_is_what_the_network_said() -> None:
    """ssh hangs up instead of saying it in SOCKS, and tells why beside."""

    async def scene(place: Lab) -> None:
        async with Sshd().serve(place) as fields, Ssh(**fields).up(place.client) as path:
            with pytest.raises(ConnectionRefusedError):
                await ask(path, Transport.TCP, Address(FAR[4].host, 9))
            with pytest.raises(OSError, match="target") as caught:
                await ask(path, Transport.TCP, Address("192.168.9.9", 9))
            assert caught.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
            assert path.fault() is None

    play(scene)


def test_a_server_that_goes_away_is_no_data() -> None:
    """ssh ends by itself and says why: not the binary's fault."""

    async def scene(place: Lab) -> None:
        async with (
            Sshd().serve(place) as fields,
            Ssh(**fields).up(place.client) as path,
            restart(place.exit),
        ):
            async with asyncio.timeout(5):
                await until(lambda: path.fault() is not None)
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA
            assert down.evidence

    play(scene)


def test_no_key_is_on_a_command_line_or_in_an_environment() -> None:
    """At both ends."""

    async def scene(place: Lab) -> None:
        async with Sshd().serve(place) as fields, Ssh(**fields).up(place.client):
            secret = fields["key_text"].splitlines()[2].encode()
            looked = 0
            for pid in inhabitants(place.client) | inhabitants(place.exit):
                with suppress(OSError):  # the one that let us in ends meanwhile
                    for what in ("cmdline", "environ"):
                        assert secret not in Path(f"/proc/{pid}/{what}").read_bytes()
                    looked += 1
            assert looked >= 3  # ssh, sshd, and what sshd lives in

    play(scene)

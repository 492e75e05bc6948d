"""An AmneziaWG device: the kernel module's where it is loaded, else amneziawg-go on a TUN device.

The module is told and asked by `awg`, whose netlink words have changed from version to version;
keys reach it in a file.  It refuses to fall back to plain WireGuard.
"""

import base64
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from circumtest.errors import EnvironmentUnfit
from circumtest.inside import device_name
from circumtest.netns import Netns
from circumtest.process import private_dir, program, run
from circumtest.wireguard.amnezia import Amnezia
from circumtest.wireguard.device import Device, Kind, userspace_device
from circumtest.wireguard.quick import Peer
from circumtest.wireguard.uapi import Counters

MODULE, DAEMON, TOOL = "amneziawg", "amneziawg-go", "awg"
NO_MODULE = "build amnezia-vpn/amneziawg-linux-kernel-module with DKMS, then: modprobe amneziawg"
NO_DAEMON = "build amnezia-vpn/amneziawg-go with Go, and put it into the PATH"
NO_TOOL = "build amnezia-vpn/amneziawg-tools, and put its awg into the PATH"

_SOCKETS = Path("/var/run/amneziawg")
_ASK = 5.0


@asynccontextmanager
async def amnezia_device(netns: Netns, kind: Kind, amnezia: Amnezia) -> AsyncIterator[Device]:
    """A new device in `netns`, without key or peers; gone on exit.

    Raises EnvironmentUnfit that says where to get what is missing, ProcessEnded when amneziawg-go
    does not start.
    """
    name = device_name("aw")
    if kind != "userspace":
        try:
            await netns.wireguard(name, MODULE)
        except EnvironmentUnfit:
            if kind == "kernel":
                raise EnvironmentUnfit("this kernel has no AmneziaWG", NO_MODULE) from None
        else:
            device = _Kernel(netns, name, amnezia)
            try:
                _there(TOOL, "AmneziaWG's module is told what to do by awg", NO_TOOL)
                yield device
            finally:
                await device.delete()
            return
    missing = "amneziawg-go is not installed"
    remedy = NO_DAEMON
    if kind == "auto":
        missing = f"there is neither AmneziaWG's kernel module nor {DAEMON}"
        remedy = f"{NO_DAEMON}; or {NO_MODULE}"
    _there(DAEMON, missing, remedy)
    async with userspace_device(netns, name, DAEMON, _SOCKETS, lines(amnezia)) as userspace:
        yield userspace


def lines(amnezia: Amnezia) -> tuple[str, ...]:
    """Its part of what amneziawg-go is told: the file's keys in small letters (device/uapi.go)."""
    return tuple(f"{key.lower()}={value}" for key, value in amnezia.given)


def settings(
    private_key: bytes, listen_port: int, peers: tuple[Peer, ...], amnezia: Amnezia
) -> str:
    """What `awg setconf` is given.  Endpoints must be IP addresses."""
    said = ["[Interface]", f"PrivateKey = {_text(private_key)}"]
    if listen_port:
        said.append(f"ListenPort = {listen_port}")
    said += [f"{key} = {value}" for key, value in amnezia.given]
    for peer in peers:
        said += ["[Peer]", f"PublicKey = {_text(peer.public_key)}"]
        if peer.preshared_key:
            said.append(f"PresharedKey = {_text(peer.preshared_key)}")
        if peer.allowed_ips:
            said.append(f"AllowedIPs = {', '.join(peer.allowed_ips)}")
        if peer.endpoint:
            host, port = peer.endpoint
            said.append(
                f"Endpoint = [{host}]:{port}" if ":" in host else f"Endpoint = {host}:{port}"
            )
        if peer.keepalive:
            said.append(f"PersistentKeepalive = {peer.keepalive}")
    return "\n".join([*said, ""])


def counters(dump: str) -> Counters:
    """All peers of `awg show DEVICE dump` summed up, the latest handshake among them.

    Raises ValueError for what is no such thing.
    """
    handshake, received, sent = 0.0, 0, 0
    for line in dump.splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) < 8:
            raise ValueError("not what `awg show dump` says")
        handshake = max(handshake, float(fields[4]))
        received += int(fields[5])
        sent += int(fields[6])
    return Counters(handshake, received, sent)


class _Kernel:
    kind: Literal["kernel"] = "kernel"
    log = ""

    def __init__(self, netns: Netns, name: str, amnezia: Amnezia) -> None:
        self._netns, self.name, self._amnezia = netns, name, amnezia

    def ended(self) -> None:
        return None

    async def configure(
        self, private_key: bytes, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        with private_dir() as place:
            file = place / "awg.conf"
            file.write_text(settings(private_key, listen_port, peers, self._amnezia))
            await run(self._netns, [TOOL, "setconf", self.name, str(file)])

    async def move(self, to: Netns) -> None:
        await self._netns.move(self.name, to)
        self._netns = to

    def counters(self) -> Counters:
        """Blocks for some milliseconds: a program has to be asked."""
        return counters(self._netns.call(_dump, self.name))

    async def delete(self) -> None:
        with suppress(OSError):  # it is gone with its namespace
            await self._netns.configure(lambda links: links.delete(self.name))


def _dump(name: str) -> str:
    argv = [program(TOOL), "show", name, "dump"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_ASK, check=False)
    if done.returncode:
        raise OSError(done.returncode, done.stderr.strip())
    return done.stdout


def _there(name: str, missing: str, remedy: str) -> None:
    try:
        program(name)
    except EnvironmentUnfit:
        raise EnvironmentUnfit(missing, remedy) from None


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()

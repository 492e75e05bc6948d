"""The network of `network.sh` as tests use it: its switches, and programs in its namespaces.

It refuses to know circumtest: what it starts is a command line.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
STATE = Path("/run/live")
WORLD = Path("/run/live-world")
ANYONE = 54321
"""An ordinary user, where root may become one."""

Done = subprocess.CompletedProcess[str]


class Network:
    """Built by hand; see the picture in network.sh."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def sh(self, *words: str) -> None:
        """One of network.sh's own commands.  Raises AssertionError with what it said."""
        done = subprocess.run(
            [HERE / "network.sh", *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"network.sh {' '.join(words)}: {done.stderr}"

    def rules(self, name: str) -> None:
        """The provider's censor."""
        self.sh("rules", name)

    def fault(self, name: str) -> None:
        """One thing is broken until the test's end."""
        self.sh("fault", name)

    def at(self, namespace: str, *argv: str, timeout: float = 60, **more: str) -> Done:
        """Run to the end; `more` goes into its environment."""
        return subprocess.run(
            ["ip", "netns", "exec", namespace, *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"SSL_CERT_FILE": str(STATE / "web.pem")} | more,
        )

    def begin(self, namespace: str, *argv: str, **more: str) -> subprocess.Popen[str]:
        """Start, and end with the test; its words come out of `stdout`."""
        child = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | more,
        )
        self._running.append(child)
        return child

    def end(self) -> None:
        """Stop what `begin` started."""
        for child in self._running:
            child.send_signal(signal.SIGTERM)
            try:
                child.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
        self._running.clear()

    def counted(self, table: str, namespace: str = "isp") -> list[int]:
        """Packets that each `counter` of a table saw."""
        told = self.at(namespace, "nft", "list", "table", "inet", table).stdout
        return [int(number) for number in re.findall(r"counter packets (\d+)", told)]

    @contextmanager
    def vpn(self, config: str = "client.conf") -> Iterator[None]:
        """The VPN as its user would have it on: device `wg1` at home, by the real client.

        Only what goes to 192.0.2.0/24 and 2001:db8:c::/64 goes through it.
        """
        stripped = STATE / "stripped.conf"
        lines = (STATE / config).read_text().splitlines()
        stripped.write_text("\n".join(x for x in lines if not x.startswith(("Address", "DNS"))))
        client = self.begin("home", "wireguard-go", "-f", "wg1")
        for command in (
            "until wg show wg1 >/dev/null 2>&1; do sleep 0.05; done",
            f"wg setconf wg1 {stripped}",
            "ip address add 10.66.0.2/32 dev wg1",
            "ip address add fd66::2/128 dev wg1 nodad",
            "ip link set wg1 mtu 1420 up",
            "ip route add 192.0.2.0/24 dev wg1",
            "ip -6 route add 2001:db8:c::/64 dev wg1",
        ):
            done = self.at("home", "sh", "-c", command, timeout=10)
            assert done.returncode == 0, done.stderr
        try:
            yield
        finally:
            client.terminate()
            client.wait(10)


def password() -> str:
    """The proxies' user is `caller`."""
    return (STATE / "password").read_text().strip()


def circumtest(*words: str) -> list[str]:
    """The command line, as it is installed beside this Python."""
    return [str(Path(sys.executable).with_name("circumtest")), *words]


def become_user(network: Network) -> None:
    """Let an ordinary user read the one configuration that is his."""
    done = network.at("home", "chown", str(ANYONE), str(STATE / "client.conf"))
    assert done.returncode == 0, done.stderr


def as_user() -> list[str]:
    """What begins a command line of an ordinary user, where root may become one."""
    who = ["setpriv", f"--reuid={ANYONE}", f"--regid={ANYONE}", "--clear-groups", "--inh-caps=-all"]
    keep = [f"{name}={os.environ[name]}" for name in ("PATH",)]
    keep.append(f"SSL_CERT_FILE={STATE / 'web.pem'}")
    return [*who, "env", "-i", *keep, "HOME=/nonexistent", "PYTHONDONTWRITEBYTECODE=1"]

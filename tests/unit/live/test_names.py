"""The system's resolvers, as its file says, and the file put back where /run was hidden."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.names import configuration, resolvers, restore


def test_the_resolvers_are_those_of_the_file() -> None:
    """Each once, in their order, with their zones; what is no address is nobody."""
    text = """\
# nameserver 192.0.2.1
nameserver 127.0.0.53
nameserver\t2001:db8::53
nameserver fe80::1%eth0
nameserver 127.0.0.53
nameserver resolver.example
nameserver
options edns0 trust-ad
search example
"""
    assert resolvers(text) == ("127.0.0.53", "2001:db8::53", "fe80::1%eth0")


def test_without_any_it_is_the_machine_itself() -> None:
    """As the C library has it."""
    assert resolvers("") == ("127.0.0.1",)


@given(st.text())
def test_whatever_the_file_says_there_are_resolvers(text: str) -> None:
    """Nothing in it stops us."""
    assert resolvers(text)


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    """Nor one that is no text."""
    assert configuration(tmp_path / "resolv.conf") == ""
    (tmp_path / "resolv.conf").write_bytes(b"nameserver 192.0.2.1\n\xff")
    assert resolvers(configuration(tmp_path / "resolv.conf")) == ("192.0.2.1",)


def test_only_what_run_hides_is_put_back(tmp_path: Path) -> None:
    """A link into the new /run gets its file again; nothing else is written."""
    run = tmp_path / "run"
    run.mkdir()
    link = tmp_path / "resolv.conf"
    link.symlink_to(run / "resolve" / "stub.conf")

    restore(link, "nameserver 127.0.0.53\n", hidden=tmp_path / "other")
    assert not (run / "resolve").exists()
    restore(link, "", hidden=run)
    assert not (run / "resolve").exists()
    restore(link, "nameserver 127.0.0.53\n", hidden=run)
    assert link.read_text() == "nameserver 127.0.0.53\n"
    restore(link, "other", hidden=run)
    assert link.read_text() == "nameserver 127.0.0.53\n"

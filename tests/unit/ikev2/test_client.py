"""What charon is told to do."""

from circumtest import credentials
from circumtest.credentials import Place
from circumtest.ikev2.client import connection, networks
from circumtest.ikev2.sswan import Profile
from circumtest.lab.pki import Authority
from circumtest.model import Address

TO = Address("192.0.2.1", 500)


def test_a_login_names_its_user_and_a_certificate_its_subject() -> None:
    """Where the profile has no name of its own for us."""
    login = connection(Profile("vpn.example", "eap", "gateway", user="anna"), TO)
    assert login["local"] == {"auth": "eap-mschapv2", "eap_id": "anna", "id": "anna"}
    assert login["remote"] == {"auth": "pubkey", "id": "gateway"}
    pem, key = Authority().client("caller")
    identity = credentials.identity(pem.encode(), key.encode(), "", Place("x"))
    certificate = connection(Profile("vpn.example", "cert", "gateway", identity=identity), TO)
    assert certificate["local"] == {"auth": "pubkey", "certs": [identity.certificate]}
    named = connection(Profile("a", "cert", "b", identity=identity, local_id="me"), TO)
    assert named["local"]["id"] == "me"


def test_nothing_moves_and_nobody_is_cut_off() -> None:
    """No MOBIKE, no renewal of keys by us, no word that all others of our name are gone."""
    whole = connection(Profile("a", "eap", "a", user="u", ike="aes128-sha256-ecp256,aes256"), TO)
    assert (whole["mobike"], whole["unique"]) == ("no", "never")
    assert whole["proposals"] == ["aes128-sha256-ecp256", "aes256"]
    (child,) = whole["children"].values()
    assert child["rekey_time"] == "0s"
    assert child["remote_ts"] == ["0.0.0.0/0", "::/0"]


def test_a_pinned_server_is_told_by_its_certificate() -> None:
    """No authority is asked then."""
    assert connection(Profile("a", "eap", "a", pinned="PEM"), TO)["remote"]["certs"] == ["PEM"]


def test_traffic_selectors_are_networks() -> None:
    """Ranges too; protocol and ports are nothing that a route could tell apart."""
    assert networks("0.0.0.0/0") == ("0.0.0.0/0",)
    assert networks("10.0.0.0/8[udp/53]") == ("10.0.0.0/8",)
    assert networks("10.0.0.1..10.0.0.2") == ("10.0.0.1/32", "10.0.0.2/32")
    assert networks("fd00::..fd00::ffff[tcp]") == ("fd00::/112",)

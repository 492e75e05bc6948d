"""IKEv2, with strongSwan at both ends: by certificate, and by a profile and a login."""

import json
from dataclasses import replace
from functools import partial

from circumtest.lab.pki import Authority
from circumtest.lab.servers.strongswan import Strongswan
from circumtest.tunnels.ikev2 import Ikev2
from tests.lab.specimens import Fields, Specimen


def tunnel(fields: Fields) -> Ikev2:
    """As the server gave it."""
    return replace(Ikev2(**fields), patience=8.0)


def from_profile(fields: Fields) -> Ikev2:
    """From what a provider would hand out instead, in which no password is."""
    remote = {"addr": fields["server"], "id": fields["id"], "cert": fields["ca_text"]}
    profile = {"uuid": "8d3c7b3e", "name": "lab", "type": "ikev2-eap", "remote": remote}
    profile["local"] = {"eap_id": fields["user"]}
    return Ikev2(text=json.dumps(profile), password=fields["password"], patience=8.0)


def strangers(fields: Fields) -> Fields:
    """A certificate of an authority that the server does not know."""
    certificate, key = Authority().client("caller")
    return {**fields, "certificate_text": certificate, "key_text": key}


def other_password(fields: Fields) -> Fields:
    """One that the server does not know."""
    return {**fields, "password": f"x{fields['password']}"}


CANNOT = {"server_without_udp": "it carries packets"}

SPECIMENS = (
    Specimen("ikev2", Strongswan, tunnel, wrong_key=strangers, cannot=CANNOT),
    Specimen(
        "ikev2-eap",
        partial(Strongswan, auth="eap"),
        from_profile,
        wrong_key=other_password,
        cannot=CANNOT,
    ),
)

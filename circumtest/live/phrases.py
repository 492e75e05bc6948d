"""Every sentence of `circumtest check`, under a name: one place for whoever translates them.

Placeholders are named, so that a translation may reorder them.  A translator is any function from
an English sentence of this table to another one (gettext's, for one).  It refuses to decide which
of them is true.
"""

from collections.abc import Callable

Translate = Callable[[str], str]

APPS = {
    "whatsapp": "WhatsApp",
    "telegram": "Telegram",
    "signal": "Signal",
    "messenger": "Messenger",
    "meet": "Google Meet",
    "zoom": "Zoom",
    "discord": "Discord",
    "stun": "Calls in browsers (public STUN)",
    "webrtc": "Browser",
    "sip": "SIP",
    "": "Other",
}
"""How an app is called; one that is not here goes by its own word."""

PHRASES = {
    # headings
    "network": "Your network",
    "outside": "As you are",
    "outside-bound": "Without {behind} (bound to {device})",
    "with": "With {vpn}",
    "next": "What to do next",
    "not-shown": "What this does not show",
    "left-out": "Left out on this machine",
    # the network
    "fine": "No captive portal, no allow-list, and names resolve.",
    "unknown": "Nobody looked at it.",
    "behind": "You are already behind {behind}: packets to far places leave by it.",
    "behind-how": (
        "To compare with and without it: circumtest check --vpn iface:{behind}; the outside is then"
        " bound to the device below it."
    ),
    # one service
    "calls": "{app} calls",
    "messages": "{app} messages",
    "other": "{app}",
    "worked": "worked once",
    "worked-later": "worked once, after failing at {failed} of {attempts} places",
    "worked-first-steps": "the first steps worked once, as far as they go without an account",
    "worked-sound": "a call like it worked once to your mirror, with sound",
    "failed": "failed {attempts} of {attempts} ({died}) while a neutral place answered",
    "failed-sound": "a call like it failed once to your mirror ({died}), whose neutral test passed",
    "unsteady": "failed {attempts} of {attempts} ({died}): too few tries to mean anything",
    "uncontrolled": (
        "failed {attempts} of {attempts} ({died}), and the neutral place beside it did not answer"
        " either: nothing can be said"
    ),
    "cannot": "impossible this way: {cannot}",
    "untried": "not tried",
    "no-account": "cannot be told without an account",
    "no-account-mirror": (
        "cannot be told without an account; your own mirror can show whether calls like them get"
        " through"
    ),
    # suspicions
    "blocked": (
        "{what}: restricted as you are. It failed {attempts} of {attempts} while a neutral place"
        " answered, and worked with {vpn}."
    ),
    "suspected": (
        "{what}: a suspicion only. It failed {attempts} of {attempts} while a neutral place"
        " answered: restricted here, or the service is down."
    ),
    "endpoint": (
        "{what}: failed as you are and with {vpn} while neutral places answered both ways: nobody"
        " can tell from here whether the service is up."
    ),
    # a VPN that carries nothing
    "down": "It carried nothing: {why}",
    "not-tried": "It was not tried: {why}",
    "no-time": "the time for the whole check was over",
    "leak": "LEAK: {packets} packets ({kind}, {transport}) went around it",
    "unwatched": "Leaks: {why}.",
    # next steps
    "step-leak": "{vpn} lets packets around it: do not rely on it until that is mended.",
    "step-back": "{vpn} brings {what} back: use it.",
    "step-back-first": (
        "{vpn} brings back what {what} begin with: use it, and see whether there is sound."
    ),
    "step-breaks": "{vpn} breaks {what}, which worked without it: turn it off for them.",
    "step-no-udp": (
        "{vpn} carries no UDP: calls cannot use it. Take one that does: WireGuard, OpenVPN over"
        " UDP, or a SOCKS5 proxy with UDP ASSOCIATE."
    ),
    "step-stops": (
        "{vpn} came up and then carried nothing more: what works without it got no answer through"
        " it, and neither did a neutral place. Try another port or protocol of it."
    ),
    "step-same": "{vpn} changes nothing of what was tried.",
    "step-works": "What was tried worked with {vpn} and without it: you do not need it for that.",
    "step-none": "Nothing can be said about {vpn}: no neutral place answered through it.",
    "step-not-blamed": "No VPN is to blame for what fails here: it is the network. {remedy}",
    "step-trouble": "{vpn}: {sentence} {remedy}",
    "step-compare": (
        "Try with a VPN whether that changes it: circumtest check --vpn FILE (a configuration, a"
        " link in a file, or iface:NAME)."
    ),
    "step-depth": (
        "Everything that was tried worked. Whether sound gets through is shown by your own mirror:"
        " circumtest serve on a server abroad, then circumtest check --mirror FILE here."
    ),
    "step-done": "Everything that was tried worked, sound included: nothing to do.",
    "step-nothing": "No neutral place answered: try again in a few minutes, or on another network.",
    # caveats
    "once": (
        "One try is no statistics: circumtest run --live repeats it, spaced so that the testing"
        " itself does not cause a block."
    ),
    "mirror": "A mirror shows what triggers a block, never that the real service is not blocked.",
    "not-whole": "Time ran out before everything was tried: what is missing says so.",
    "does-not-show": "{service}: {text}",
}


class Phrasebook:
    """The sentences in one language."""

    def __init__(self, translate: Translate = str) -> None:
        self._translate = translate

    def __call__(self, name: str, /, **values: object) -> str:
        """A sentence with its placeholders filled.  Raises KeyError for one that there is not."""
        return self._translate(PHRASES[name]).format(**values)

    def app(self, app: str) -> str:
        """How an app is called."""
        return self._translate(APPS[app]) if app in APPS else app

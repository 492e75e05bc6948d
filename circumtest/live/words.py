"""A check in plain words: what works, what was not shown, and one next step for each VPN.

What was seen ("failed 3 of 3"), what is suspected ("restricted, or down") and what is wrong with a
VPN ("set MTU = 1280") are kept apart.  It refuses to say "restricted" of anything but the outside,
and of that only where the same thing worked another way and a neutral place answered beside it.
"""

from collections.abc import Iterable, Iterator

from circumtest.attribution import Controls, attribute
from circumtest.finding import ArmState
from circumtest.live.checked import (
    FINE,
    About,
    Checked,
    Said,
    State,
    Tried,
    Way,
    spoilt,
    usable,
)
from circumtest.live.phrases import Phrasebook, Translate
from circumtest.model import Attribution

_SOLD_AS_CALLS = ("whatsapp", "telegram", "signal", "messenger")
"""Apps of which people ask for calls: where nothing can be tried, that is said."""
_TUNNEL = "tunnel"
_AROUND = frozenset({"dns-around", "dns-silent"})
"""Troubles that end no call and are worth a step of their own."""


def text(checked: Checked, translate: Translate = str) -> str:
    """All of it, for a terminal, ending with a newline.  Meaningful without colour."""
    say = Phrasebook(translate)
    parts = [_part(say("network"), _network(checked, say))]
    if checked.outside is not None and usable(checked.environment):
        heading = say("outside")
        if checked.bound_to:
            heading = say("outside-bound", behind=checked.behind, device=checked.bound_to)
        parts.append(_part(heading, _way(checked.outside, checked, say)))
    parts += [
        _part(say("with", vpn=vpn.name), _way(vpn, checked, say))
        for vpn in checked.vpns
        if usable(checked.environment)
    ]
    parts.append(_part(say("next"), (*suspicions(checked, say), *steps(checked, say))))
    parts.append(_part(say("not-shown"), caveats(checked, say)))
    if checked.left_out:
        parts.append(_part(say("left-out"), checked.left_out))
    return "\n\n".join(parts) + "\n"


def _part(heading: str, lines: Iterable[str]) -> str:
    return "\n".join([heading, *(f"  {line}" for line in lines)])


def _network(checked: Checked, say: Phrasebook) -> Iterator[str]:
    found = checked.environment
    if found is None:
        yield say("unknown")
    elif found.kind == FINE:
        yield say("fine")
    else:
        yield _sentence(found.sentence)
        if found.remedy:
            yield _sentence(found.remedy)
    if checked.behind:
        yield say("behind", behind=checked.behind)
        if not checked.bound_to:
            yield say("behind-how", behind=checked.behind)


# ------------------------------------------------------------------ one way


def _way(way: Way, checked: Checked, say: Phrasebook) -> Iterator[str]:
    for leak in way.leaks:
        yield say("leak", packets=leak.packets, kind=leak.kind, transport=leak.transport)
    if way.state == "down":
        yield say("down", why=_sentence(way.why))
    elif way.state != "up":
        why = way.why or say("no-time")
        yield say("not-tried", why=_sentence(why))
    said = [one.sentence for one in way.troubles if way.state == "up" or one.sentence != way.why]
    yield from map(_sentence, said)
    yield from way.notes
    if way.unwatched and way.state == "up":
        yield say("unwatched", why=way.unwatched.rstrip("."))
    if way.state == "up":
        yield from _lines(way, checked, say)


def _lines(way: Way, checked: Checked, say: Phrasebook) -> Iterator[str]:
    """One line an app and purpose, the apps whose calls nobody could try included."""
    for tried in way.tried:
        yield f"{subject(tried, way, say)}: {outcome(tried, say)}."
    told = {one.app for one in way.tried if one.about is About.CALLS}
    seen = dict.fromkeys(one.app for one in way.tried)
    for app in (one for one in _SOLD_AS_CALLS if one in seen and one not in told):
        why = say("no-account" if checked.mirror else "no-account-mirror")
        yield f"{say('calls', app=say.app(app))}: {why}."


def subject(tried: Tried, way: Way, say: Phrasebook) -> str:
    """What a line is about: "Telegram calls", with the service where an app has several."""
    what = say(str(tried.about), app=say.app(tried.app))
    alike = [one for one in way.tried if (one.app, one.about) == (tried.app, tried.about)]
    return f"{what} ({tried.service})" if len(alike) > 1 else what


def outcome(tried: Tried, say: Phrasebook) -> str:
    """What was seen of one service, in a few words."""
    match tried.state:
        case State.WORKED:
            return _worked(tried, say)
        case State.FAILED if tried.sound:
            return say("failed-sound", died=tried.died)
        case State.FAILED | State.UNSTEADY | State.UNCONTROLLED:
            return say(str(tried.state), attempts=tried.attempts, died=tried.died)
        case State.CANNOT:
            return say("cannot", cannot=tried.cannot)
        case State.UNTRIED:
            return say("untried")


def _worked(tried: Tried, say: Phrasebook) -> str:
    if tried.sound:
        return say("worked-sound")
    failed = tried.attempts - tried.worked
    if failed > 0:
        return say("worked-later", failed=failed, attempts=tried.attempts)
    return say("worked-first-steps" if tried.about is About.CALLS else "worked")


# ------------------------------------------------------------------ what it may mean


def suspicions(checked: Checked, say: Phrasebook) -> Iterator[str]:
    """What failed as you are, beside what the VPNs show of the same service."""
    outside = checked.outside
    if outside is None or spoilt(checked.environment):
        return
    for tried in outside.tried:
        if tried.state is not State.FAILED:
            continue
        what = subject(tried, outside, say)
        beside = [(vpn.name, vpn.of(tried.service)) for vpn in checked.vpns if vpn.state == "up"]
        works = next((vpn for vpn, one in beside if one and one.state is State.WORKED), "")
        fails = next((vpn for vpn, one in beside if one and one.state is State.FAILED), "")
        inside = ArmState.WORKS if works else ArmState.FAILS if fails else None
        controls = Controls(tried.control, True if works or fails else None)
        blamed = attribute(ArmState.FAILS, inside, controls, known_up=tried.sound)
        if works and blamed is Attribution.CENSOR:
            yield say("blocked", what=what, attempts=tried.attempts, vpn=works)
        elif fails and blamed is Attribution.ENDPOINT:
            yield say("endpoint", what=what, vpn=fails)
        else:
            yield say("suspected", what=what, attempts=tried.attempts)


def steps(checked: Checked, say: Phrasebook) -> Iterator[str]:
    """One next step for each VPN, or one for the connection where none was given."""
    network = checked.environment
    if not usable(network):
        assert network is not None
        yield _sentence(network.remedy or network.sentence)
        return
    if network is not None and spoilt(network):
        yield say("step-not-blamed", remedy=_sentence(network.remedy)).strip()
    for vpn in checked.vpns:
        if vpn.state != "down" or not spoilt(network):
            yield _step(vpn, checked, say)
            yield from (_cure(vpn, one, say) for one in vpn.troubles if _also(vpn, one))
    if not checked.vpns and not spoilt(network):
        yield _alone(checked, say)


def _step(vpn: Way, checked: Checked, say: Phrasebook) -> str:
    if vpn.leaks:
        return say("step-leak", vpn=vpn.name)
    if vpn.state in ("left-out", "no-time"):
        cure = _sentence(vpn.remedy or vpn.why or say("no-time"))
        return say("step-trouble", vpn=vpn.name, sentence=cure, remedy="").strip()
    if fatal := [one for one in vpn.troubles if one.fatal and one.attribution == _TUNNEL]:
        return _cure(vpn, fatal[0], say)
    if vpn.state == "down":
        cure = _sentence(vpn.remedy)
        return say("step-trouble", vpn=vpn.name, sentence=_sentence(vpn.why), remedy=cure).strip()
    return _change(vpn, checked, say)


def _also(vpn: Way, trouble: Said) -> bool:
    """Whether a trouble that ends no call is worth a step besides."""
    return vpn.state == "up" and trouble.kind in _AROUND


def _cure(vpn: Way, trouble: Said, say: Phrasebook) -> str:
    if trouble.kind == "no-udp":
        return say("step-no-udp", vpn=vpn.name)
    sentence, remedy = _sentence(trouble.sentence), _sentence(trouble.remedy)
    return say("step-trouble", vpn=vpn.name, sentence=sentence, remedy=remedy).strip()


def _change(vpn: Way, checked: Checked, say: Phrasebook) -> str:
    """What a VPN that is up changes: calls count before everything else."""
    pairs = [
        (before, after)
        for after in vpn.tried
        if checked.outside and (before := checked.outside.of(after.service))
    ]
    calls = [after for _, after in pairs if after.about is About.CALLS]
    if calls and all(after.state is State.CANNOT for after in calls):
        return say("step-no-udp", vpn=vpn.name)
    back = [a for b, a in pairs if _bad(b.state) and a.state is State.WORKED]
    broken = [a for b, a in pairs if b.state is State.WORKED and _gone(a)]
    for changed, step in ((back, "step-back"), (broken, "step-breaks")):
        if not changed:
            continue
        first = min(changed, key=lambda one: one.about is not About.CALLS)
        if step == "step-back" and first.about is About.CALLS and not first.sound:
            step = "step-back-first"
        return say(step, vpn=vpn.name, what=subject(first, vpn, say))
    lost = [a for b, a in pairs if b.state is State.WORKED and a.state is State.UNCONTROLLED]
    if lost:
        return say("step-stops", vpn=vpn.name)
    states = [after.state for _, after in pairs]
    if any(state is State.WORKED for state in states) and not any(map(_bad, states)):
        return say("step-works", vpn=vpn.name)
    return say("step-same" if any(map(_known, states)) else "step-none", vpn=vpn.name)


def _alone(checked: Checked, say: Phrasebook) -> str:
    tried = checked.outside.tried if checked.outside else ()
    states = [one.state for one in tried]
    if any(state in (State.FAILED, State.UNSTEADY) for state in states):
        return say("step-compare")
    if not any(state is State.WORKED for state in states):
        return say("step-nothing")
    return say("step-done" if any(one.sound for one in tried) else "step-depth")


def caveats(checked: Checked, say: Phrasebook) -> Iterator[str]:
    """What nobody may read into it."""
    yield say("once")
    if checked.mirror:
        yield say("mirror")
    if not checked.whole:
        yield say("not-whole")
    for tried in checked.outside.tried if checked.outside else ():
        if tried.does_not_show and tried.attempts:
            yield say("does-not-show", service=tried.service, text=_sentence(tried.does_not_show))


def _gone(tried: Tried) -> bool:
    return tried.state in (State.CANNOT, State.FAILED)


def _bad(state: State) -> bool:
    return state in (State.FAILED, State.UNSTEADY, State.UNCONTROLLED)


def _known(state: State) -> bool:
    return state in (State.WORKED, State.FAILED, State.CANNOT, State.UNSTEADY)


def _sentence(words: str) -> str:
    """Words that end as a sentence does, "" for none."""
    words = words.strip()
    return words if not words or words[-1] in ".!?" else f"{words}."

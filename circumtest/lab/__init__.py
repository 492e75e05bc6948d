"""The lab: a small Internet of network namespaces, with a censor in the middle of it.

    client ──── censor ──── backbone ─┬─ services   many addresses, each service its own
                                      └─ exit       tunnel servers

What leaves the exit for the services never meets the censor.  `topology` builds it, `services` lets
answerers answer there, `servers` holds the real programs for the exit, `web` sites and their names
for other programs, `capture` and `tap` write what passes, `session` keeps a lab up in the
background, `control` asks it, `enter` runs commands in it.
"""

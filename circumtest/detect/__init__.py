"""What an observer on the way makes of a tunnel's packets.

`frames` takes packets apart, `ndpi` asks nDPI, `look` puts all of it into an `Appearance`.  The
room refuses to capture, and to judge whether a censor would act on what is seen.
"""

"""The programs that speak what a share link says, and the files by which each is told what to do.

One program a file: from the values of `circumtest.sharelink` to its JSON, with a SOCKS port on the
loopback of the underlay in front.  Nothing here knows which tunnel asks.
"""

"""Teeth in the lab: what becomes of every tunnel, and of a call in it, behind every named censor.

`expected` is the table as data, `cell` plays one of its cells, and `python -m tests.lab.teeth` (by
`scripts/teeth`) plays all of them and prints what it saw.
"""

"""The lab that stays up: what it is furnished with, and what it tells of itself.

`furnish` puts a censor, a network, far halves, web sites and tunnels into it, `tunnels` brings them
up from behind the censor, `status` holds the values that it tells, `told` says them in words.
"""

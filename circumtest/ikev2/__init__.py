"""IKEv2 by strongSwan: the daemon that both ends run, and what a client is configured with."""

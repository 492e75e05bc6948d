"""What tunnels and the lab share of Tor: bridge lines, torrc, control, pluggable transports."""

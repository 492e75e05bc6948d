"""handshakes."""

"""What every WireGuard end needs, the tunnel's and the lab's server: configuration and device."""

"""AnyConnect by openconnect: its configuration, what the server tells it, and what it says."""

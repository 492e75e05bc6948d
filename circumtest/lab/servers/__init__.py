"""lab/servers."""

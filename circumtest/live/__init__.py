"""What stands around the underlay on a real network: everything else is the lab's code as well."""

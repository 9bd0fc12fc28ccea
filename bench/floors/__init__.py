"""What no server of this kind can be faster than: its web server, its framework, the driver."""

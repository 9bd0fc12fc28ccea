"""The authentication service: users of several collections, their passwords and sessions."""

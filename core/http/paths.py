"""Which paths machines call: with a key, and without the cookies of the admin."""

_API = ("/service/", "/gateway/", "/healthz", "/readyz", "/metrics")


def is_api(path: str) -> bool:
    """Whether this is the path of an API, rather than a page for browsers."""
    return path.startswith(_API)

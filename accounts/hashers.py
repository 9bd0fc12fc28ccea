"""The hash of all passwords: bcrypt over a SHA-256 pre-hash, with the operator's rounds.

Named in settings.PASSWORD_HASHERS, and so for operators of the admin too.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class BCrypt(BCryptSHA256PasswordHasher):
    """Django's; a hash with other rounds is renewed at the next sign-in."""

    @property
    def rounds(self) -> int:  # type: ignore[override]
        made: int = settings.COGLEX_BCRYPT_ROUNDS
        return made

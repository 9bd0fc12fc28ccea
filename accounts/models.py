"""The users' place in the admin, for its permissions; the users themselves are in MongoDB."""

from __future__ import annotations

from django.db import models


class User(models.Model):
    """Stands for the users of all user collections; there is no table."""

    class Meta:
        managed = False
        default_permissions = ("view", "change", "delete")

    def __str__(self) -> str:
        return "user"

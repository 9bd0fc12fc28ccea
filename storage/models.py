"""The collections' place in the admin, for its permissions; the documents are in MongoDB."""

from __future__ import annotations

from django.db import models


class Collection(models.Model):
    """Stands for the collections of clients' documents; there is no table."""

    class Meta:
        managed = False
        default_permissions = ("view", "change", "delete")

    def __str__(self) -> str:
        return "collection"

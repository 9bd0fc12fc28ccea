"""The files' place in the admin, for its permissions; the records of files are in MongoDB."""

from __future__ import annotations

from django.db import models


class File(models.Model):
    """Stands for the files of the archive; there is no table."""

    class Meta:
        managed = False
        default_permissions = ("view", "change", "delete")

    def __str__(self) -> str:
        return "file"

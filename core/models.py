"""What is kept in SQL: the managed API keys, without the keys themselves; and the audit's place in
the admin, whose entries are in MongoDB."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class APIKey(models.Model):
    """A managed key; only its digest is kept, so that it can be checked but not shown."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ["-created_at", "prefix"]

    def __str__(self) -> str:
        return f"{self.name} (cgx_{self.prefix}_…)"

    @property
    def state(self) -> str:
        """``active``, ``revoked`` or ``expired``."""
        now = timezone.now()
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"


class AuditEntry(models.Model):
    """Stands for the entries of the audit; there is no table."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name_plural = "audit log"

    def __str__(self) -> str:
        return "entry"

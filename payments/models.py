"""The payments' places in the admin, for its permissions; the records are in MongoDB."""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """Stands for Stripe's events; there is no table."""

    class Meta:
        managed = False
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return "event"


class Subscription(models.Model):
    """Stands for the mirrored subscriptions; there is no table."""

    class Meta:
        managed = False
        default_permissions = ("view",)

    def __str__(self) -> str:
        return "subscription"

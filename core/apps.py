"""Django's entry for the floor: API keys in SQL, and the commands."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = "Coglex"

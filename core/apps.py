"""Django's entry for the floor: API keys in SQL, and the commands."""

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = "Coglex"

    def ready(self) -> None:
        """Load the modules that declare indexes, whatever the process is going to serve."""
        # Django's users are the operators; those of applications are elsewhere.
        apps.get_app_config("auth").verbose_name = "Operators"
        from core import activity, audit, checks, demo, slow  # noqa: F401
        from core.data import cache, idempotency  # noqa: F401


class CoglexAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site."""

    default = False
    default_site = "core.adminsite.Site"

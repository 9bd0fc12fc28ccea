"""Django's entry for the storage service."""

from django.apps import AppConfig


class StorageConfig(AppConfig):
    name = "storage"
    verbose_name = "Storage"

    def ready(self) -> None:
        """Register what `manage.py doctor` looks at."""
        from storage import diagnosis  # noqa: F401 - it registers itself

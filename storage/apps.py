"""Django's entry for the storage service."""

from django.apps import AppConfig


class StorageConfig(AppConfig):
    name = "storage"
    verbose_name = "Storage"

    def ready(self) -> None:
        """Register what `manage.py doctor` looks at, and the part of `manage.py demo`."""
        from core import demo
        from storage import diagnosis  # noqa: F401 - it registers itself
        from storage.demo import Documents

        demo.register(Documents())

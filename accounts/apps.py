"""Django's entry for the authentication service."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Tell the floor how to find out who is signed in, and the part of `manage.py demo`."""
        from accounts.demo import Users
        from accounts.tokens import find_user
        from core import demo
        from core.http import signed_in

        signed_in.register(find_user)
        demo.register(Users())

"""Django's PostgreSQL with connections that threads share; named in settings.DATABASES."""

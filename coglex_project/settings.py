"""All configuration: the only module that reads the environment.

Every variable is described in docs/settings.md. A ``.env`` file in the project's root is read
too; what the environment sets wins. ``NAME_FILE`` names a file that holds the value of NAME.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

from archive.filetypes import DEFAULT_TYPES
from core import backends
from core.addresses import address
from core.http.components import COMPONENTS
from core.logs import logging_config
from gateway.kit import modules

Choice = TypeVar("Choice")
BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env", overwrite=False)


def text(name: str, default: str = "") -> str:
    """An environment variable, or what its file holds; empty counts as unset."""
    file = os.environ.get(f"{name}_FILE", "")
    return held(name, file) if file else os.environ.get(name, "").strip() or default


def held(name: str, file: str) -> str:
    """What the file holds that ``<name>_FILE`` names; an empty one is a mistake."""
    try:
        if value := Path(file).read_text(encoding="utf-8").strip():
            return value
        fault = "is empty"
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except ValueError:
        fault = "is no text"
    raise ImproperlyConfigured(f"{name}_FILE names {file}, which {fault}.")


def url(name: str, *schemes: str) -> str:
    """An address with one of these schemes, or nothing; it is not repeated in errors."""
    value = text(name)
    if value and value.partition("://")[0] not in schemes:
        known = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ImproperlyConfigured(f"{name} must begin with {known}.")
    return value


def positive(name: str, default: int) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text(name, str(default)))
    except ValueError:
        value = 0
    if value < 1:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least 1.")
    return value


def whole(name: str) -> int | None:
    """A whole number of at least 0, or None when it is not set."""
    value = text(name)
    if value and not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number.")
    return int(value) if value else None


def chosen(name: str, value: str, choices: dict[str, Choice]) -> Choice:
    """The one of several that ``value`` names."""
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}.")
    return choices[value]


def flag(name: str, default: bool = False) -> bool:
    """on/off, true/false, yes/no, 1/0."""
    value = text(name, "on" if default else "off").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be on or off.")


def words(name: str) -> list[str]:
    """A list separated by commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def make_secret(path: Path) -> None:
    """Write a new secret that only this user can read; whoever comes first wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_urlsafe(36).encode() + b"\n")
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        draft.unlink()


def secret(name: str, path: Path) -> tuple[str, Path | None]:
    """A secret from the environment, else from its file; and that file, where it came from one."""
    if value := text(name):
        return value, None
    if not path.exists() and flag("COGLEX_MAKE_SECRETS"):
        make_secret(path)
    if path.exists() and (value := path.read_text(encoding="utf-8").strip()):
        return value, path
    raise ImproperlyConfigured(
        f"{name} is not set. Set it in the environment or in .env, or run `make run` once, "
        f"which makes one in {path}."
    )


# --- where things are, and the secrets -----------------------------------------------------
DATA_DIR = Path(text("COGLEX_DATA_DIR", str(BASE_DIR / "var"))).absolute()
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
except OSError as error:
    raise ImproperlyConfigured(
        f"Cannot make {DATA_DIR} ({error.strerror}): set COGLEX_DATA_DIR to a place that is yours."
    ) from None
DEBUG = flag("DJANGO_DEBUG")
SECRET_KEY, SECRET_KEY_FILE = secret("DJANGO_SECRET_KEY", DATA_DIR / "django_secret_key")
SERVER_SECRET, SERVER_SECRET_FILE = secret("SERVER_SECRET", DATA_DIR / "server_secret")
if len(SERVER_SECRET) < 16:
    raise ImproperlyConfigured("SERVER_SECRET is too short: use at least 16 random characters.")
SECRET_FILES = [path for path in (SECRET_KEY_FILE, SERVER_SECRET_FILE) if path]

HOST = text("HOST", "127.0.0.1")
PORT = positive("PORT", 8000)
WEB_WORKERS = positive("WEB_WORKERS", max(2, os.cpu_count() or 1))
ALLOWED_HOSTS = words("DJANGO_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = words("DJANGO_CSRF_TRUSTED_ORIGINS")

# --- MongoDB -------------------------------------------------------------------------------
MONGODB_URI = url("MONGODB_URI", "mongodb", "mongodb+srv") or None
MONGODB_DATABASE = text("MONGODB_DATABASE", "coglex")
COGLEX_QUERY_TIMEOUT_MS = positive("COGLEX_QUERY_TIMEOUT_MS", 5000)
COGLEX_MAX_RESULT_BYTES = positive("COGLEX_MAX_RESULT_BYTES", 32 * 1024 * 1024)
COGLEX_SLOW_MS = positive("COGLEX_SLOW_MS", 100)

# --- what a request may cost ---------------------------------------------------------------
COGLEX_MAX_BODY_BYTES = positive("COGLEX_MAX_BODY_BYTES", 32 * 1024 * 1024)
COGLEX_RATE_API_KEY = text("COGLEX_RATE_API_KEY") or None
COGLEX_TRUSTED_PROXIES = words("COGLEX_TRUSTED_PROXIES")
DATA_UPLOAD_MAX_MEMORY_SIZE = COGLEX_MAX_BODY_BYTES

# --- users and their sessions --------------------------------------------------------------
COGLEX_RATE_SIGNUP_ADDRESS = text("COGLEX_RATE_SIGNUP_ADDRESS", "20/m")
COGLEX_RATE_SIGNIN_ADDRESS = text("COGLEX_RATE_SIGNIN_ADDRESS", "30/m")
COGLEX_RATE_SIGNIN_KEY = text("COGLEX_RATE_SIGNIN_KEY", "10/m")
COGLEX_BCRYPT_ROUNDS = positive("COGLEX_BCRYPT_ROUNDS", 12)
COGLEX_SESSION_IDLE_SECONDS = positive("COGLEX_SESSION_IDLE_SECONDS", 14 * 86_400)
COGLEX_SESSION_ABSOLUTE_SECONDS = positive("COGLEX_SESSION_ABSOLUTE_SECONDS", 60 * 86_400)
SESSION_ENGINE = text("COGLEX_SESSION_ENGINE", "django.contrib.sessions.backends.db")
PASSWORD_HASHERS = [
    "accounts.hashers.BCrypt",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

# --- files ---------------------------------------------------------------------------------
COGLEX_ARCHIVE_MAX_BYTES = positive("COGLEX_ARCHIVE_MAX_BYTES", 100 * 1024 * 1024)
COGLEX_ARCHIVE_TYPES = words("COGLEX_ARCHIVE_TYPES") or list(DEFAULT_TYPES)
COGLEX_ARCHIVE_FILES_PER_KEY = whole("COGLEX_ARCHIVE_FILES_PER_KEY")
COGLEX_ARCHIVE_BYTES_PER_KEY = whole("COGLEX_ARCHIVE_BYTES_PER_KEY")
COGLEX_ARCHIVE_KEEP_FREE_BYTES = whole("COGLEX_ARCHIVE_KEEP_FREE_BYTES")
COGLEX_ARCHIVE_ACCESS_DAYS = positive("COGLEX_ARCHIVE_ACCESS_DAYS", 90)
COGLEX_CLAMD_URL = text("COGLEX_CLAMD_URL")
COGLEX_CLAMD_TIMEOUT_SECONDS = positive("COGLEX_CLAMD_TIMEOUT_SECONDS", 60)
COGLEX_ARCHIVE_REQUIRE_SCAN = flag("COGLEX_ARCHIVE_REQUIRE_SCAN")
COGLEX_ARCHIVE_DIR = Path(text("COGLEX_ARCHIVE_DIR", str(DATA_DIR / "archive"))).absolute()
COGLEX_ARCHIVE_ACCEL_REDIRECT = text("COGLEX_ARCHIVE_ACCEL_REDIRECT")
COGLEX_ARCHIVE_S3_BUCKET = text("COGLEX_ARCHIVE_S3_BUCKET")
COGLEX_ARCHIVE_S3_REDIRECT = flag("COGLEX_ARCHIVE_S3_REDIRECT")
COGLEX_PUBLIC_URL = text("COGLEX_PUBLIC_URL", address(HOST, PORT)).rstrip("/")
COGLEX_ARCHIVE_STORE = text("COGLEX_ARCHIVE_STORE", "disk")
ARCHIVE_STORES = {
    "disk": {
        "BACKEND": "archive.stores.DiskStore",
        "OPTIONS": {
            "location": COGLEX_ARCHIVE_DIR / "files",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "gridfs": {"BACKEND": "archive.gridfs.GridFSStore"},
    "s3": {
        "BACKEND": "archive.s3.S3Store",
        "OPTIONS": {
            "bucket_name": COGLEX_ARCHIVE_S3_BUCKET,
            "endpoint_url": text("COGLEX_ARCHIVE_S3_ENDPOINT") or None,
            "region_name": text("COGLEX_ARCHIVE_S3_REGION") or None,
            "location": text("COGLEX_ARCHIVE_S3_PREFIX"),
            "default_acl": None,
            "querystring_auth": True,
        },
    },
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "archive": chosen("COGLEX_ARCHIVE_STORE", COGLEX_ARCHIVE_STORE, ARCHIVE_STORES),
}

# --- payments ------------------------------------------------------------------------------
STRIPE_SECRET_KEY = text("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRETS = words("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = text("STRIPE_API_BASE").rstrip("/")
COGLEX_STRIPE_TIMEOUT_SECONDS = positive("COGLEX_STRIPE_TIMEOUT_SECONDS", 20)
COGLEX_STRIPE_RETRIES = positive("COGLEX_STRIPE_RETRIES", 3)
COGLEX_PAYMENT_REDIRECTS = [
    origin.rstrip("/").lower() for origin in words("COGLEX_PAYMENT_REDIRECTS")
]
COGLEX_PAYMENT_PRICES = words("COGLEX_PAYMENT_PRICES")
COGLEX_PAYMENT_EVENT_DAYS = positive("COGLEX_PAYMENT_EVENT_DAYS", 90)

COGLEX_AUDIT_DAYS = positive("COGLEX_AUDIT_DAYS", 365)

# --- Django --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "core",
    "accounts",
    "storage",
    "archive",
    "payments",
    "gateway.kit.apps.GatewayConfig",
    "core.apps.CoglexAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    *modules.installed(),
]
MIDDLEWARE = [
    "core.http.middleware.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "coglex_project.urls"
WSGI_APPLICATION = "coglex_project.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASE_URL = text("DATABASE_URL")
REDIS_URL = text("REDIS_URL")
DATABASES = {
    "default": backends.database(DATABASE_URL)
    if DATABASE_URL
    else backends.sqlite(DATA_DIR / "coglex.sqlite3")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": backends.cache(REDIS_URL, prefix=text("COGLEX_REDIS_PREFIX", "coglex"))
    if REDIS_URL
    else {"BACKEND": "core.data.cache.MongoCache"}
}
SILENCED_SYSTEM_CHECKS = [
    # django-ratelimit knows only the caches that Django ships; MongoCache increments atomically.
    "django_ratelimit.W001",
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = None  # WhiteNoise serves the packages' own files, see below
WHITENOISE_USE_FINDERS = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/admin/login/"

# --- browsers ------------------------------------------------------------------------------
HTTPS = flag("COGLEX_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^service/", r"^gateway/", r"^healthz", r"^readyz", r"^metrics"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and COGLEX_TRUSTED_PROXIES else None
)
X_FRAME_OPTIONS = "DENY"
CORS_ALLOWED_ORIGINS = words("COGLEX_CORS_ORIGINS")
CORS_ALLOW_CREDENTIALS = True
CORS_URLS_REGEX = r"^/(service|gateway)/"
CORS_ALLOW_HEADERS = (
    "accept content-type idempotency-key if-match if-none-match if-range range x-api-key "
    "x-request-id x-session-token"
).split()
CORS_EXPOSE_HEADERS = (
    "accept-ranges content-disposition content-range etag idempotent-replayed link "
    "location ratelimit ratelimit-policy retry-after x-request-id x-session-token "
    "x-total-count"
).split()

# --- REST framework and the OpenAPI document -----------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["core.http.permissions.DenyAll"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.http.negotiation.AlwaysJSON",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.http.problems.handle_exception",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Coglex",
    "VERSION": "1.0.0",
    "DESCRIPTION": "User accounts, JSON documents, files and payments over REST.",
    "CONTACT": {"name": "The operator of this server", "url": "https://example.com/"},
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": "/", "description": "This server"}],
    "TAGS": [
        {"name": "auth", "description": "Users, sign-in and sessions."},
        {"name": "storage", "description": "Collections of JSON documents."},
        {"name": "archive", "description": "Files."},
        {"name": "payment", "description": "Payments with Stripe."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True},
    "SECURITY": [{"ApiKey": []}],
    "APPEND_COMPONENTS": COMPONENTS,
    "POSTPROCESSING_HOOKS": [
        "core.http.openapi.without_last_slash",
        "core.http.openapi.declare_tags",
    ],
    "PREPROCESSING_HOOKS": [
        "core.http.openapi.describe_actions",
        "storage.schema.documented_endpoints",
    ],
}

# --- logs ----------------------------------------------------------------------------------
LOGGING_CONFIG = "core.logs.configure_logging"
LOGGING = logging_config(
    level=text("COGLEX_LOG_LEVEL", "INFO").upper(), form=text("COGLEX_LOG_FORMAT", "auto")
)

"""All routes: the services below /service/, what operators and machines look at beside them."""

from django.contrib import admin
from django.urls import include, path, re_path

from core.http import documentation, health, problems

urlpatterns = [
    # The ones that are asked for most come first.
    path("service/storage/v1/", include("storage.urls")),
    path("service/auth/v1/", include("accounts.urls")),
    path("service/archive/v1/", include("archive.urls")),
    path("service/payment/v1/", include("payments.urls")),
    path("healthz/", health.healthz),
    path("readyz/", health.readyz),
    path("metrics/", health.show_metrics),
    path("schema/", documentation.schema, name="schema"),
    path("docs/", documentation.page, name="docs"),
    path("admin/", admin.site.urls),
    path("gateway/", include("gateway.kit.urls")),
    re_path(r"^service/", problems.page_not_found),
    re_path(r"^gateway/", problems.page_not_found),
]

handler400 = problems.bad_request
handler403 = problems.permission_denied
handler404 = problems.page_not_found
handler500 = problems.server_error

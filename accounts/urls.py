"""Routes of the authentication service, below /service/auth/v1/."""

from django.urls import path

from accounts.views import AccountsViewSet

as_view = AccountsViewSet.as_view

urlpatterns = [
    path("signup/<str:collection>/", as_view({"post": "signup"})),
    path("signin/<str:collection>/", as_view({"post": "signin"})),
    path("session/<str:collection>/", as_view({"get": "session"})),
    path("signout/<str:collection>/", as_view({"get": "signout", "post": "signout"})),
    path("refresh/<str:collection>/", as_view({"patch": "refresh"})),
    path("sessions/<str:collection>/", as_view({"get": "sessions"})),
    path("sessions/<str:collection>/<str:session_id>/", as_view({"delete": "revoke"})),
]

"""The modules' routes."""

from gateway.kit.mounting import mounted

urlpatterns = mounted()

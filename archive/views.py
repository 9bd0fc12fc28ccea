"""HTTP for the archive: validate, call one service function, answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from archive import downloads, links, schema, services, uploads
from core.data.records import Record
from core.errors import CoglexError, InvalidLink
from core.http.bodies import object_body
from core.http.carried import carried, principal
from core.http.idempotency import Commit, run_once
from core.http.lists import asked_of, list_headers
from core.http.permissions import HasAPIKey
from core.http.views import ServiceViewSet, answer

LINK = "link"
_DEFAULT_SECONDS = 3600


class HasLink(HasAPIKey):
    """A signed link to this file; a request without a signature needs an API key."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if "signature" not in request.GET:
            return super().has_permission(request, view)
        try:
            links.check_link(file_id=view.kwargs["file_id"], **_signed(request))
        except CoglexError as error:
            carried(request).refusal = error
            return False
        return True


def _signed(request: HttpRequest) -> dict[str, str]:
    given = {name: request.GET.getlist(name) for name in ("expires", "disposition", "signature")}
    if any(len(values) != 1 for values in given.values()):
        raise InvalidLink
    return {name: values[0] for name, values in given.items()}


class ArchiveViewSet(ServiceViewSet):
    """Files and their records."""

    service = "archive"
    permission_classes = [HasAPIKey]

    @schema.upload
    def upload(self, request: HttpRequest) -> HttpResponse:
        with uploads.receive(request) as received:
            return run_once(
                request,
                body=received.fingerprint,
                run=lambda commit: _kept(request, received, commit),
            )

    @schema.list_
    def list(self, request: HttpRequest) -> HttpResponse:
        asked = asked_of(request)
        listing = services.list_files(asked=asked)
        headers = list_headers(request, listing, lambda: services.count_files(query=asked.query))
        return answer(listing.documents, headers=headers)

    @schema.delete
    def destroy(self, request: HttpRequest, file_id: str) -> HttpResponse:
        record = services.delete_file(file_id=file_id, principal=principal(request).id)
        return answer({"deleted": True, "file": record})

    @schema.link
    def link(self, request: HttpRequest, file_id: str) -> HttpResponse:
        body = object_body(request, set(), {"expires_in", "disposition"})
        made = links.make_link(
            file_id=file_id,
            expires_in=body.get("expires_in", _DEFAULT_SECONDS),
            disposition=body.get("disposition", "attachment"),
            principal=principal(request).id,
        )
        return answer(made, status=201)


class DownloadViewSet(ServiceViewSet):
    """The bytes of a file, for an API key or a signed link."""

    service = "archive"
    permission_classes = [HasLink]

    @schema.download
    def download(self, request: HttpRequest, file_id: str) -> HttpResponseBase:
        by_link = "signature" in request.GET
        return downloads.respond(
            request,
            services.get_file(file_id=file_id),
            principal=LINK if by_link else principal(request).id,
            disposition=request.GET["disposition"] if by_link else "attachment",
        )


def _kept(request: HttpRequest, received: uploads.Received, commit: Commit) -> HttpResponse:
    who = principal(request).id
    with services.checked_file(
        draft=received.draft,
        filename=received.filename,
        metadata=received.metadata,
        principal=who,
    ) as record:
        return commit(lambda: _created(services.add_file(record, principal=who)))


def _created(record: Record) -> HttpResponse:
    location = f"/service/archive/v1/download/{record['_id']}/"
    return answer(record, status=201, headers={"Location": location})

"""HTTP for the document store: validate, call one service function, answer."""

from __future__ import annotations

import re
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified

from core.data.names import spell_key
from core.errors import InvalidInput, InvalidParameter
from core.http.bodies import json_body, json_parameter
from core.http.carried import principal
from core.http.idempotency import idempotent
from core.http.lists import asked_of, list_headers
from core.http.permissions import HasAnyScope, HasAPIKey, require
from core.http.views import ServiceViewSet, answer
from storage import batches, schema, services

_tag = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"').fullmatch


class StorageViewSet(ServiceViewSet):
    """Base of the three: what is asked of one service by one principal."""

    service = "storage"

    def check(self, request: HttpRequest, collection: str, action: str) -> None:
        """Raise InsufficientScope unless the key may do this to the collection."""
        require(principal(request), self.service, collection, action)

    def may(self, request: HttpRequest, collection: str, action: str) -> bool:
        """Whether the key may do this to the collection."""
        return principal(request).scopes.allow("storage", collection, action)


class RootViewSet(StorageViewSet):
    """The service's root: what there is, and batches."""

    permission_classes = [HasAnyScope]

    @schema.collections
    def list(self, request: HttpRequest) -> HttpResponse:
        return answer(
            services.list_collections(may_read=lambda name: self.may(request, name, "read"))
        )

    @schema.batch
    @idempotent
    def batch(self, request: HttpRequest) -> HttpResponse:
        results = batches.run_batch(
            operations=_member(json_body(request), "operations"),
            check_write=lambda name: self.check(request, name, "write"),
            principal=principal(request).id,
        )
        return answer({"results": results})


class CollectionViewSet(StorageViewSet):
    """A collection: list, insert, and change or delete what matches a query."""

    permission_classes = [HasAPIKey]

    @schema.list_
    def list(self, request: HttpRequest, collection: str) -> HttpResponse:
        asked = asked_of(request)
        listing = services.list_documents(collection=collection, asked=asked)
        headers = list_headers(
            request,
            listing,
            lambda: services.count_documents(collection=collection, query=asked.query),
        )
        paged = (asked.limit, asked.skip, asked.after) != (None, None, None)
        one = len(listing.documents) == 1 and not paged
        return answer(listing.documents[0] if one else listing.documents, headers=headers)

    @schema.insert
    @idempotent
    def create(self, request: HttpRequest, collection: str) -> HttpResponse:
        body = json_body(request)
        if isinstance(body, list):
            inserted = services.insert_documents(collection=collection, documents=body)
            return answer(inserted, status=201)
        inserted = services.insert_document(collection=collection, document=body)
        key = quote(spell_key(inserted["inserted_id"]), safe="")
        location = f"/service/storage/v1/{collection}/{key}/"
        return answer(inserted, status=201, headers={"Location": location})

    @schema.update_many
    def update_many(self, request: HttpRequest, collection: str) -> HttpResponse:
        return answer(
            services.update_documents(
                collection=collection,
                query=_required_query(request),
                update=json_body(request),
                principal=principal(request).id,
            )
        )

    @schema.delete_many
    def delete_many(self, request: HttpRequest, collection: str) -> HttpResponse:
        return answer(
            services.delete_documents(
                collection=collection,
                query=_required_query(request),
                principal=principal(request).id,
            )
        )


class DocumentViewSet(StorageViewSet):
    """One document by its key."""

    permission_classes = [HasAPIKey]

    @schema.get
    def retrieve(self, request: HttpRequest, collection: str, key: str) -> HttpResponse:
        keys = json_parameter(request, "keys")
        found = services.get_document(collection=collection, key=key, keys=keys)
        if keys is not None:
            return answer(found.document)
        given = _tags(request, "If-None-Match")
        if given and ("*" in given or found.etag in {tag.removeprefix("W/") for tag in given}):
            return HttpResponseNotModified(headers={"ETag": found.etag})
        return answer(found.document, headers={"ETag": found.etag})

    @schema.put
    def replace(self, request: HttpRequest, collection: str, key: str) -> HttpResponse:
        document, created = services.put_document(
            collection=collection,
            key=key,
            document=json_body(request),
            if_match=_tags(request, "If-Match"),
            create_only=_create_only(request),
        )
        headers = {"ETag": services.etag(document)}
        if created:
            headers["Location"] = f"/service/storage/v1/{collection}/{quote(key, safe='')}/"
        return answer(document, status=201 if created else 200, headers=headers)

    @schema.update
    def update(self, request: HttpRequest, collection: str, key: str) -> HttpResponse:
        return answer(
            services.update_document(
                collection=collection,
                key=key,
                update=json_body(request),
                if_match=_tags(request, "If-Match"),
            )
        )

    @schema.delete
    def destroy(self, request: HttpRequest, collection: str, key: str) -> HttpResponse:
        return answer(
            services.delete_document(
                collection=collection,
                key=key,
                if_match=_tags(request, "If-Match"),
            )
        )


class AggregationViewSet(DocumentViewSet):
    """Aggregation by POST; with other methods its path is that of the document "aggregate"."""

    read_actions = frozenset({"aggregate"})

    @schema.aggregate
    def aggregate(self, request: HttpRequest, collection: str, key: str) -> HttpResponse:
        return answer(
            services.aggregate_documents(
                collection=collection,
                pipeline=_member(json_body(request), "pipeline"),
                check_read=lambda name: self.check(request, name, "read"),
            )
        )


def _member(body: object, name: str) -> object:
    """The only member of a body."""
    if not isinstance(body, dict) or list(body) != [name]:
        raise InvalidInput.at("", f'The body must be an object with "{name}" and nothing else.')
    return body[name]


def _required_query(request: HttpRequest) -> object:
    query = json_parameter(request, "query")
    if query is None:
        detail = "The parameter 'query' is required; {} means all documents."
        raise InvalidParameter.of("query", detail)
    return query


def _tags(request: HttpRequest, header: str) -> frozenset[str] | None:
    """The entity tags of a conditional header, or ``*``; None when it is absent."""
    # Django's request.headers would be made of all of them.
    text = request.META.get(f"HTTP_{header.upper().replace('-', '_')}")
    if text is None:
        return None
    tags = [tag.strip() for tag in text.split(",")]
    if tags == ["*"]:
        return frozenset(tags)
    if not all(_tag(tag) for tag in tags):
        raise InvalidParameter.of(header, f"{header} must be * or a list of quoted entity tags.")
    return frozenset(tags)


def _create_only(request: HttpRequest) -> bool:
    tags = _tags(request, "If-None-Match")
    if tags is not None and tags != {"*"}:
        raise InvalidParameter.of("If-None-Match", "A write takes only If-None-Match: *.")
    return tags is not None

# ${title}

What this module is for, and who calls it.

| Path | Methods | Scope |
|---|---|---|
| `/gateway/${name}/notes` | GET, POST | `gateway/${name}` |

`POST` keeps a note, `{"text": "…"}` of 1 to 1,000 characters, in the collection `${name}_notes`, and
takes an `Idempotency-Key`; `GET` lists the newest first, `limit` of them (20, at most 100).

"""Answers of any length: a list of rows that is written while it is read."""

import itertools
from collections.abc import Iterator, Sequence

import msgspec
from fastapi import Response
from fastapi.responses import StreamingResponse


def stream_list(head: msgspec.Struct, chunks: Iterator[Sequence[msgspec.Struct]]) -> Response:
    """Answer `head`, the last field of which is an empty list, with the rows of `chunks` in that list.

    No more than a chunk is held. What fails with the first chunk is raised here, while there is a status to choose.
    """
    first = list(itertools.islice(chunks, 1))
    return StreamingResponse(_written(head, itertools.chain(first, chunks)), media_type="application/json")


def _written(head: msgspec.Struct, chunks: Iterator[Sequence[msgspec.Struct]]) -> Iterator[bytes]:
    yield msgspec.json.encode(head).removesuffix(b"]}")
    separator = b""
    for chunk in chunks:
        if chunk:
            yield separator + msgspec.json.encode(chunk)[1:-1]
            separator = b","
    yield b"]}"

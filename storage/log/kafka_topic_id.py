"""The id of a topic: a UUID of its own for each topic ever made. It is the log's name.

aiokafka speaks no version of the metadata request that has topic ids, so the two messages are spelled out here as
Kafka's protocol guide gives version 12 (brokers from 2.8 on).
"""

import uuid
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NoError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_METADATA: Final = 3
_TEXT: Final = CompactString("utf-8")
_UUID: Final = Schema(("high", Int64), ("low", Int64))

_BROKER: Final = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields))
_PARTITION: Final = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_TOPIC: Final = (
    ("error_code", Int16),
    ("name", _TEXT),
    ("topic_id", _UUID),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)


class _Answer(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = _METADATA
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc] # aiokafka has no types
    API_KEY = _METADATA
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _UUID), ("name", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_Question]):  # type: ignore[misc] # aiokafka has no types
    API_KEY = _METADATA

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class([((0, 0), self._topic, {})], False, False, {})


async def topic_id(client: AIOKafkaClient, topic: str) -> str:
    """Give a topic's id as 32 hexadecimal digits. Raises aiokafka's errors (`UnknownTopicOrPartitionError`)."""
    answer = await client.send(client.get_random_node(), _Metadata(topic))
    for code, name, halves, *_ in answer.topics:
        if name == topic:
            error = for_code(code)
            if error is not NoError:
                raise error(topic)
            return uuid.UUID(bytes=b"".join(half.to_bytes(8, "big", signed=True) for half in halves)).hex
    raise UnknownTopicOrPartitionError(topic)

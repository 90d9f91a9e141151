"""Why brokers cannot be reached: what aiokafka met at each address it only logs."""

import asyncio
from typing import Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError

from storage.errors import UnavailableError
from storage.log.kafka import KafkaTopic
from storage.log.loop_thread import TidyLoop

_ANSWER_WITHIN_S: Final = 5.0


async def unreachable(topic: KafkaTopic, error: Exception) -> UnavailableError:
    """Give the error for callers: a refused password or certificate is named, for nothing else would mend that."""
    reason = await _reason(topic) if isinstance(error, KafkaConnectionError) else None
    return UnavailableError(f"The log {topic.url} cannot be reached: {reason or repr(error)}.")


def unreachable_now(topic: KafkaTopic, error: Exception) -> UnavailableError:
    """Do as `unreachable`, where no event loop runs."""
    with asyncio.Runner(loop_factory=TidyLoop) as runner:
        return runner.run(unreachable(topic, error))


async def _reason(topic: KafkaTopic) -> str | None:
    """Connect once more to an address, the first that refuses; None where none does by now."""
    options = topic.options()
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers"), randomize=False):
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                connection = await create_conn(host, port, **options)
        except (KafkaError, OSError) as error:  # a TimeoutError is an OSError
            return str(error) or repr(error)
        connection.close()
    return None

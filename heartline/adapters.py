"""Which log the settings name."""

from typing import TYPE_CHECKING

from heartline.settings import Settings
from storage.log import Log, Place
from storage.log.embedded import SqliteLog
from storage.stats import Database
from storage.stats.shard import refuse_older_log, watermarks

if TYPE_CHECKING:  # Kafka's client is loaded where it is used
    from storage.log.kafka import KafkaTopic


def log_of(settings: Settings) -> Log:
    """Give the log: embedded, or a topic."""
    if settings.log_path is not None:
        return SqliteLog(settings.log_path)
    from storage.log.kafka_log import KafkaLog

    return KafkaLog(topic_of(settings))


def checked_ends(database: Database, log: Log) -> list[Place]:
    """Give the last offset of each shard. Raises `StorageError` for a log that is older than the stats database."""
    counted = watermarks(database)  # first: the log only grows
    ends = log.ends()
    for end in ends:
        refuse_older_log(counted.get((end.log, end.shard), 0), end.offset)
    return ends


def topic_of(settings: Settings) -> "KafkaTopic":
    """Give the topic that is the log. Raises `StorageError` where the log is the embedded one."""
    from storage.log.kafka import KafkaSecurity, KafkaTopic

    password = settings.kafka_password
    security = KafkaSecurity(
        protocol=settings.kafka_protocol,
        mechanism=settings.kafka_mechanism,
        username=settings.kafka_username,
        password=password.get_secret_value() if password else None,
        cafile=settings.kafka_cafile,
        certfile=settings.kafka_certfile,
        keyfile=settings.kafka_keyfile,
    )
    return KafkaTopic.parse(settings.log_url, security)

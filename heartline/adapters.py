"""Which log the settings name."""

from typing import TYPE_CHECKING

from heartline.settings import Settings
from storage.log import Log
from storage.log.embedded import SqliteLog

if TYPE_CHECKING:  # Kafka's client is loaded where it is used
    from storage.log.kafka import KafkaTopic


def log_of(settings: Settings) -> Log:
    """Give the log: embedded, or a topic."""
    if settings.log_path is not None:
        return SqliteLog(settings.log_path)
    from storage.log.kafka_log import KafkaLog

    return KafkaLog(topic_of(settings))


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

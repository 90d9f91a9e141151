"""`heartline topics`: the topic that is the log, where that is Kafka."""

from contextlib import closing
from typing import Annotated

import typer

from heartline.adapters import log_of, topic_of
from heartline.options import with_settings
from heartline.output import print_json
from heartline.settings import Settings
from storage.errors import StorageError
from storage.stats import Database
from storage.stats.sharding import changing_number

app = typer.Typer(help="The topic that is the log, where that is Kafka.", no_args_is_help=True)

Partitions = Annotated[int, typer.Option(min=1, max=10_000, help="Shards: the most aggregators that share the work.")]
Replication = Annotated[int, typer.Option(min=1, max=10, help="Brokers that keep each record: 3, to lose one.")]


@app.command()
@with_settings()
def create(
    settings: Settings,
    *,
    partitions: Partitions,
    replication: Replication,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Be content with one that is there.")] = False,
) -> None:
    """Make the topic, so that what it has acknowledged is never lost."""
    from storage.log.kafka_topics import create_topic, topic_exists

    topic = topic_of(settings)
    if not (if_missing and topic_exists(topic)):
        create_topic(topic, partitions, replication)
    _check(settings)


@app.command()
@with_settings()
def check(settings: Settings) -> None:
    """Say by what the topic could lose acknowledged heartbeats, if by anything."""
    _check(settings)


@app.command()
@with_settings()
def add_partitions(
    settings: Settings, total: Annotated[int, typer.Argument(min=2, max=10_000, help="How many there are to be.")]
) -> None:
    """Raise the number of partitions, while no ingest runs and all is counted: users change their shards."""
    from storage.log.kafka_topics import add_partitions as add
    from storage.log.kafka_topics import describe_topic

    topic = topic_of(settings)
    log = describe_topic(topic).id
    with closing(Database(settings.stats_url)) as database, changing_number(database, log, total) as watermarks:
        ends = log_of(settings).ends()
        _refuse_unread(sum(end.offset - watermarks.get(end.shard, 0) for end in ends))
        if len(ends) != total:  # else Kafka's own tools, or an attempt that broke off, have added them
            add(topic, total)
    _check(settings)


def _refuse_unread(records: int) -> None:
    if records:
        raise StorageError(
            f"{records} records are not counted yet, and their users would change shards: stop every ingest, wait "
            "until `heartline status` shows a lag of 0, then add partitions, then start ingest again."
        )


def _check(settings: Settings) -> None:
    from storage.log.kafka_topics import check_topic

    topic = topic_of(settings)
    facts = check_topic(topic)
    print_json({"topic": topic.name, "partitions": facts.partitions, "replication": facts.replication})

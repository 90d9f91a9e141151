import pytest
import sqlalchemy as sa

from schemas.tables import SCHEMA_VERSION, meta
from storage.errors import StorageError
from storage.stats import Database


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_a_database_of_another_version_is_refused_and_stays_as_it_is(tmp_path, version):
    url = f"sqlite:///{tmp_path}/stats.db"
    with Database(url) as database, database.writing() as connection:
        connection.execute(sa.update(meta).where(meta.c.name == "schema_version").values(value=str(version)))
    for _ in range(2):
        with pytest.raises(StorageError, match=f"has schema version {version}, this is version {SCHEMA_VERSION}"):
            Database(url)

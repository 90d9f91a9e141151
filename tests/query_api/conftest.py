import pytest

from tests.query_api.world import World


@pytest.fixture
def world(tmp_path, stats_url):
    made = World(tmp_path, stats_url)
    yield made
    made.close()


@pytest.fixture
def ada(world):
    """A user in UTC, and their key."""
    return world.add_user("ada", email="ada@example.org", slack_uid="U1")

import pytest

from tests.ingest.lab import Lab


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)

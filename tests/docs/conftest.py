import pytest

from tests.docs import examples
from tests.server import Server
from tests.today import wait_for_a_quiet_moment


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory):
    """A server as a newcomer has it: one user, made at the first start; with the key that was printed."""
    running = Server(tmp_path_factory.mktemp("readme"))
    try:
        running.start("--first-user", examples.USERNAME)
        yield running, running.output().split("api_key = ")[1].split()[0]
        assert running.stop() == 0, running.output()
    finally:
        running.http.close()
        running.kill()


@pytest.fixture(scope="session")
def session(newcomer):
    """Everything that the README's examples print, run once and in order: {line: (text, exit code)}."""
    wait_for_a_quiet_moment("UTC")
    with examples.Shell(*newcomer) as shell:
        return {example.line: shell.run(example) for example in examples.session_examples()}

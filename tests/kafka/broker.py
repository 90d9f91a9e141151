"""A real Kafka broker (KRaft, one node) for tests: jars from Maven Central, kept in `.servers/`, ports of its own."""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server import lasting_port

HERE = Path(__file__).parent
SERVERS = HERE.parents[1] / ".servers"
POM = HERE / "pom.xml"
DOWNLOADED_WITHIN_S = 600
READY_WITHIN_S = 120
STOPPED_WITHIN_S = 60
USERNAME, PASSWORD = "heartline", "secret-of-the-tests"
_READY = "Kafka Server started"
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

# One node, and what makes groups and deletions quick. Tests set the rest for each topic.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
    "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
    "listener.name.secure.plain.sasl.jaas.config": (
        f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USERNAME}="{PASSWORD}";'
    ),
    "listener.name.secure.ssl.keystore.type": "PEM",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.session.timeout.ms": "1500",  # a broker killed and started again waits until its old session is over
    "broker.heartbeat.interval.ms": "300",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "log.cleaner.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "2",
}


class MissingToolError(RuntimeError):
    """The machine lacks what the test needs; the text says how to get it."""


def jars():
    """Give the folder of the broker's jars; download them with Maven the first time. Raises `MissingToolError`."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise MissingToolError(
                f"The tests need a real Kafka broker, and `{tool}` is missing. "
                "On Debian or Ubuntu: apt-get install default-jre-headless maven"
            )
    folder = SERVERS / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        _download(folder)
    return folder


def _download(folder):
    SERVERS.mkdir(exist_ok=True)
    partial = SERVERS / f"partial-{uuid.uuid4().hex}"
    command = ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOADED_WITHIN_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Maven could not get the broker's jars:\n{done.stdout}{done.stderr}")
    with contextlib.suppress(OSError):  # another test run was faster
        partial.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)


def _make_certificate(folder):
    """Write certificate.pem, which signs itself, and keystore.pem: its key and itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "certificate.pem").write_bytes(certificate)
    (folder / "keystore.pem").write_bytes(private + certificate)


class KafkaBroker:
    """Starts on entry; on leaving ends its own process group, whatever state it is in. Its data survive a restart.

    `proxy_port`: of what stands before it. Clients then find it there alone, since they go where a broker says it is.
    """

    def __init__(self, folder, proxy_port=None, java=_JAVA, **settings):
        self.folder = Path(folder)
        self._java_options = java
        self.port, self.secure_port, controller_port = (lasting_port() for _ in range(3))
        self.public_port = proxy_port or self.port
        self.process = None
        secure = f"SECURE://127.0.0.1:{self.secure_port}"
        self._settings = _SETTINGS | {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},{secure},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address},{secure}",
            "listener.name.secure.ssl.keystore.location": str(self.folder / "keystore.pem"),
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "log.dirs": str(self.folder / "data"),
            **{name.replace("_", "."): value for name, value in settings.items()},
        }

    @property
    def address(self):
        return f"127.0.0.1:{self.public_port}"

    def url(self, topic):
        return f"kafka://{self.address}/{topic}"

    def output(self):
        """Give everything that the broker has written so far."""
        path = self.folder / "broker.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        _make_certificate(self.folder)
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._settings.items()))
        cluster = "c" + secrets.token_urlsafe(16)[1:]  # Kafka's form of a UUID; an option must not begin with "-"
        self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties))
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Return when the broker answers. Raises RuntimeError with its output when it does not."""
        already = len(self.output())
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command("kafka.Kafka"), str(self.folder / "server.properties")],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while _READY not in self.output()[already:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka is not ready:\n{self.output()[already:][-8_000:]}")
            time.sleep(0.05)

    def stop(self):
        """Stop it as an operator would."""
        self.process.terminate()
        self.process.wait(STOPPED_WITHIN_S)

    def kill(self):
        """End it at once (SIGKILL), if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @contextlib.contextmanager
    def down(self):
        """Kill it, and start it again at the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self):
        """Freeze it (SIGSTOP): connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _command(self, main):
        return [
            "java",
            *self._java_options,
            f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
            "-cp",
            f"{jars()}/*",
            main,
        ]

    def _java(self, main, *arguments):
        done = subprocess.run(
            [*self._command(main), *arguments], capture_output=True, text=True, timeout=READY_WITHIN_S, check=False
        )
        assert done.returncode == 0, f"{main} {arguments} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

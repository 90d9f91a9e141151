"""Editors that never stop: threads that send bulks, repeat some, and send again what was not acknowledged."""

import base64
import http.client
import json
import random
import threading
import time

PROJECTS = ["harbor", "ledger", "", None]
LANGUAGES = ["Python", "Go", "TypeScript", None]
GAPS_S = [0, 0.25, 1, 30, 60, 119.999999, 120, 120.000001, 400]
DAY_S = 86_400
DELIVERED_WITHIN_S = 60
PAUSE_S = 0.1  # between requests, so that the checks, which are naive, and restarted processes can follow


class Editor(threading.Thread):
    """One connection of a user. `acknowledged` holds (id, time_us, project, language) of each heartbeat."""

    def __init__(self, number, account, seed, up, pause_s, late_days):
        super().__init__(daemon=True)
        self.number = number
        self.account = account
        self.draw = random.Random(f"{seed}-{number}")
        self.up = up
        self.pause_s = pause_s
        self.late_days = late_days
        self.stopping = threading.Event()
        self.acknowledged = {}
        self.attempted = 0
        self.repeated = 0
        self.failure = None
        self._connection = None
        self._time_s = time.time() // DAY_S * DAY_S - 3 * DAY_S
        self._sent = []

    def run(self):
        """Send until told to stop, and then until the last heartbeat is acknowledged."""
        try:
            while not self.stopping.is_set():
                self._deliver(self._choose())
                self.stopping.wait(self.pause_s)
        except Exception as error:  # noqa: BLE001  a thread's error would be lost: `check` raises it
            self.failure = error
        finally:
            self._hang_up()

    def check(self):
        if self.failure is not None:
            raise self.failure

    def _choose(self):
        """Mostly new heartbeats; one in eight times a batch that was acknowledged before, unchanged."""
        if self._sent and self.draw.random() < 0.125:
            self.repeated += 1
            return self.draw.choice(self._sent)
        late_s = self.draw.randint(1, self.late_days) * DAY_S if self.draw.random() < 0.15 else 0
        batch = [self._heartbeat(late_s) for _ in range(self.draw.randint(1, 25))]
        if self.draw.random() < 0.3:
            self.draw.shuffle(batch)
        self._sent.append(batch)
        return batch

    def _heartbeat(self, late_s):
        self.attempted += 1
        self._time_s += self.draw.choice(GAPS_S)
        return {
            "entity": f"/work/{self.number}/{self.attempted}",
            "type": "file",
            "time": round(self._time_s - late_s, 6),
            "project": self.draw.choice(PROJECTS),
            "language": self.draw.choice(LANGUAGES),
            "is_write": self.draw.random() < 0.3,
        }

    def _deliver(self, batch):
        """Send until acknowledged: the server may die at any point of it, and then nothing is known."""
        body = json.dumps(batch)
        while not self._acknowledge(batch, body):
            self.up.wait()
            time.sleep(self.pause_s)

    def _acknowledge(self, batch, body):
        try:
            status, answer = self._post(body)
        except (OSError, http.client.HTTPException):
            self._hang_up()
            return False
        if status == 503:
            self._hang_up()  # another ingest, where there are several, may take it
            return False
        assert status == 201, (status, answer)
        pairs = json.loads(answer)["responses"]
        assert [item_status for _, item_status in pairs] == [201] * len(batch), pairs
        for sent, (item, _) in zip(batch, pairs, strict=True):
            time_us = round(sent["time"] * 1_000_000)
            known = (item["id"], time_us, sent["project"], sent["language"])
            assert self.acknowledged.setdefault(sent["entity"], known) == known, "a repeat has another id"
        return True

    def _hang_up(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body):
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.account.server.port, timeout=20)
        key = base64.b64encode(self.account.key.encode()).decode()
        headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json", "X-Machine-Name": "lab"}
        self._connection.request("POST", "/api/hackatime/v1/users/current/heartbeats.bulk", body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()


class Team:
    """Several editors of several users, two of each, as one who works on two machines."""

    def __init__(self, accounts, seed, pause_s=PAUSE_S, late_days=11):
        self.accounts = accounts
        self.up = threading.Event()
        self.up.set()
        self.editors = [
            Editor(number, account, seed, self.up, pause_s, late_days) for number, account in enumerate(accounts * 2)
        ]

    def __enter__(self):
        for editor in self.editors:
            editor.start()
        return self

    def __exit__(self, *_):
        self.up.set()
        for editor in self.editors:
            editor.stopping.set()
        for editor in self.editors:
            editor.join(DELIVERED_WITHIN_S)

    def finish(self):
        """Stop, every heartbeat acknowledged."""
        self.__exit__()
        for editor in self.editors:
            editor.check()
            assert not editor.is_alive(), "an editor could not deliver its last batch"
            assert len(editor.acknowledged) == editor.attempted

    def count(self):
        """How many heartbeats are acknowledged."""
        for editor in self.editors:
            editor.check()
        return sum(len(editor.acknowledged) for editor in self.editors)

    def acknowledged(self, account):
        """A user's acknowledged heartbeats, as the oracle takes them."""
        return [
            {"id": heartbeat_id, "time_us": time_us, "project": project, "language": language}
            for editor in self.editors
            if editor.account is account
            for heartbeat_id, time_us, project, language in list(editor.acknowledged.values())
        ]

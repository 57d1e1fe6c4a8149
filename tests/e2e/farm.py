"""A farm of real processes for the tests of this folder: controller, agents, operators, and hostile peers.

Binaries come from $CASFLEET_BIN (a build folder); ports are the system's choice; every wait is a condition with a bound;
only processes started here are ended, by pid.
"""
import contextlib
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import time

import msgpack
import zmq
from zmq.utils import z85
from nacl.bindings import crypto_scalarmult_base

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CASFLEET_BIN", TOP / "build" / "failpoints"))
POOL = "MSExchangeSyncAppPool"
ASK, ANSWER = 32, 33


def wait_until(condition, seconds, words):
    """Looks again and again; returns the first true answer."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {words() if callable(words) else words}"
        time.sleep(0.05)


def rss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """One program of ours, with its output in a file."""

    def __init__(self, arguments, log, env=None):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                [str(a) for a in arguments], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.popen.pid

    def is_alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.is_alive():
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.popen.wait(20)

    def stop(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(20)
        except subprocess.TimeoutExpired:
            return self.kill()

    def text(self):
        return self.log.read_text(errors="replace")


class Agent:
    def __init__(self, farm, name, site, **server):
        self.farm, self.name, self.site = farm, name, site
        self.folder = self.state = farm.folder / name
        self.folder.mkdir()
        self.process = None
        self.options = {"sample": "1s", "report": "1s", "redial": "1s"}
        self.server = {"name": name, "build": "15.0.1497.48", "leak_per_day": 0, "worker_age": "2d", "devices": 1000,
                       "speed": 60, "seed": len(farm.agents) + 1, "effects": self.folder / "effects.log",
                       "state": self.folder / "server.state", **server}
        self.write()

    def write(self):
        lines = [f"{key} = {value}" for key, value in self.server.items()]
        (self.folder / "server.ini").write_text("\n".join(lines) + "\n")
        options = {"controller": self.farm.endpoints["agents"], "controller_keys": self.farm.public,
                   "state": self.state, "key": self.folder / "agent.key", "host": "sim",
                   "host_settings": self.folder / "server.ini", **self.options}
        lines = [f"{key} = {value}" for key, value in options.items()]
        (self.folder / "agent.ini").write_text("\n".join(lines) + "\n")

    def keep_state_in(self, folder):
        """The agent's journal and outbox apart from what is the server's own: its effect log, its model."""
        folder.mkdir(exist_ok=True, mode=0o700)
        self.state = folder
        self.write()

    def program(self, *more, env=None):
        return Process([BIN / "agent/casfleet-agent", "--config", self.folder / "agent.ini", *more],
                       self.folder / "agent.log", env)

    def key(self):
        """Its public key, made at the first call."""
        out = subprocess.run([BIN / "agent/casfleet-agent", "--config", self.folder / "agent.ini", "--fingerprint"],
                             capture_output=True, text=True, timeout=20, check=True)
        return re.search(r"[0-9a-f]{64}", out.stdout)[0]

    def approve(self):
        self.farm.casfleet("agent", "approve", self.name, "--agent-key", self.key(), "--site", self.site, expect=0)

    def start(self, env=None):
        self.process = self.program(env=env)
        return self

    def effects(self, kind=None):
        path = self.folder / "effects.log"
        if not path.exists():
            return []
        lines = path.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [e for e in found if kind is None or e["effect"] == kind]

    def shown(self):
        return self.farm.ask("server.show", target=self.name)["items"][0]

    def is_up(self):
        row = self.farm.ask("server.list", target=self.name)["items"][0]
        return row["proof_age_ms"] is not None and row["state"] == "up" and row["requests"] is not None


class Farm:
    def __init__(self, folder, tick="200ms", **options):
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "controller"
        self.state.mkdir(parents=True, exist_ok=True)
        self.agents, self.processes, self.controller, self.asker = [], [], None, None
        self.config = self.state / "casfleet-controller.conf"
        self.run(BIN / "controller/casfleet-controller", "init", "--state", self.state,
                 "--agents", "tcp://127.0.0.1:*", "--operators", "tcp://127.0.0.1:*")
        with open(self.config, "a", encoding="ascii") as config:
            config.writelines(f"{key} = {value}\n" for key, value in {"tick": tick, **options}.items())
        self.public = self.state / "controller.pub"
        self.operator("ops.admin", "admin")

    @staticmethod
    def run(*arguments, expect=0):
        done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)
        assert expect is None or done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def operator(self, name, role):
        """A new operator key; its file is NAME.key."""
        path = self.folder / f"{name}.key"
        key = self.run(BIN / "controller/casfleet", "key", "new", path).stdout.strip()
        self.run(BIN / "controller/casfleet-controller", "operator", "add", name, role, key, "--config", self.config)
        if self.controller and self.controller.is_alive():
            self.controller.signal(signal.SIGHUP)
        return path

    def start(self, env=None, fix_ports=True, is_needed=True):
        """Starts the controller; from the second start on at the same ports. Not needed: it may have ended again."""
        endpoints = self.state / "endpoints"
        endpoints.unlink(missing_ok=True)
        more = []
        if fix_ports and getattr(self, "endpoints", None):
            more = ["--agents", self.endpoints["agents"], "--operators", self.endpoints["operators"]]
        self.controller = Process(
            [BIN / "controller/casfleet-controller", "run", "--config", self.config, *more],
            self.folder / "controller.log", env)
        self.processes.append(self.controller)
        wait_until(lambda: (endpoints.exists() and endpoints.read_text().count("=") >= 2) or not self.controller.is_alive(),
                   30, lambda: self.controller.text())
        if not is_needed and not endpoints.exists():
            return self
        assert self.controller.is_alive() or not is_needed, self.controller.text()
        self.endpoints = dict(line.split("=", 1) for line in endpoints.read_text().split() if "=" in line)
        self.endpoints = {k: v.strip("'\"") for k, v in self.endpoints.items()}
        return self

    def agent(self, name, site="LON", is_started=True, **server):
        added = Agent(self, name, site, **server)
        self.agents.append(added)
        added.approve()
        return added.start() if is_started else added

    def casfleet(self, *arguments, key="ops.admin", expect=None):
        done = self.run(BIN / "controller/casfleet", "--controller", self.endpoints["operators"], "--controller-keys",
                        self.public, "--key", self.folder / f"{key}.key", *arguments, expect=expect)
        return done

    def json(self, *arguments, key="ops.admin"):
        done = self.casfleet(*arguments, "-o", "json", key=key)
        assert done.stdout, f"{arguments}: {done.returncode} {done.stderr}"
        return json.loads(done.stdout)

    def ask(self, verb, seconds=10, /, **arguments):
        """The document an operator's question gets, over one connection that stays: for looking often."""
        if self.asker is None:
            self.asker = Asker(self)
        return self.asker.ask(verb, arguments, seconds)

    def try_ask(self, verb, seconds=2, /, **arguments):
        """The same, asked once: None when there is no answer or it says no."""
        if self.asker is None:
            self.asker = Asker(self)
        return self.asker.try_once(verb, arguments, time.monotonic() + seconds)

    def rows(self):
        return {row["name"]: row for row in self.ask("server.list")["items"]}

    def wait_up(self, seconds=30):
        names = {a.name for a in self.agents if a.process}

        def are_up():
            rows = self.rows()
            return all(name in rows and rows[name]["state"] == "up" and rows[name]["proof_age_ms"] is not None
                       and rows[name]["requests"] is not None for name in names)

        wait_until(are_up, seconds, lambda: self.casfleet("server", "list", "-o", "wide").stdout)

    def plan(self, *more, gap="0s", at_once="1", floor="0"):
        """Plans a recycle and returns its id."""
        document = self.json("recycle", "plan", *more, "--gap", gap, "--settle", gap, "--at-once", at_once, "--floor", floor,
                             "--drain", "2s", "--fixed-too", "--proof", "60s")
        assert document["refused"] is None, document["refused"]
        return document["id"]

    def recycle(self, *more, **numbers):
        made = self.plan(*more, **numbers)
        self.casfleet("recycle", "run", made, "--reason", "test", expect=0)
        return made

    def rollout(self, made):
        return self.ask("recycle.show", id=made)

    def wait_state(self, made, states, seconds=60):
        return wait_until(lambda: (lambda r: r if r["state"] in states else None)(self.rollout(made)), seconds,
                          lambda: self.casfleet("recycle", "show", made, "-o", "wide").stdout)

    def effects(self):
        return sorted((e for a in self.agents for e in a.effects()), key=lambda e: e["at_ms"])

    def check_effects(self, allowed, expected=(), is_exact=True, agents=None):
        """What the servers did, from their own logs: never more than allowed out, each expected one recycled once."""
        logs = [str(a.folder / "effects.log") for a in agents or self.agents if (a.folder / "effects.log").exists()]
        more = ["--none-else"] if is_exact else []
        done = subprocess.run(["/usr/bin/python3", str(TOP / "tests/e2e/verify_effects.py"), "--allowed", str(allowed),
                               "--expect", ",".join(expected), *more, *logs], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def public_keys(self):
        """The controller's CURVE and command keys as bytes."""
        found = re.findall(r"[0-9a-f]{64}", self.public.read_text())
        return bytes.fromhex(found[0]), bytes.fromhex(found[1])

    def peer(self, port="agents", key_file=None, secret=None, server_key=None, routing_id=None, is_watched=True):
        return Peer(self.endpoints[port], server_key or self.public_keys()[0], key_file, secret, routing_id, is_watched)

    def end_all(self):
        """Every program has ended; what they leave can be read."""
        for agent in self.agents:
            if agent.process:
                agent.process.signal(signal.SIGCONT)
                agent.process.signal(signal.SIGTERM)
        for agent in self.agents:
            if agent.process:
                agent.process.stop()
        for process in self.processes:
            process.stop()

    def close(self):
        if self.asker:
            self.asker.close()
        self.end_all()


class Asker:
    """An operator's connection: ASK out, the whole ANSWER in. It outlives a restart of the controller."""

    def __init__(self, farm):
        self.farm, self.number, self.peer, self.said = farm, 0, None, None

    def ask(self, verb, arguments, seconds):
        end = time.monotonic() + seconds
        while True:
            self.said = None
            document = self.try_once(verb, arguments, min(end, time.monotonic() + 2))
            assert document is not None or self.said is None, f"{verb}: {self.said}"
            if document is not None:
                return document
            self.close()
            assert time.monotonic() < end, f"{verb}: no answer in {seconds} s"

    def try_once(self, verb, arguments, end):
        if self.peer is None:
            self.peer = self.farm.peer("operators", self.farm.folder / "ops.admin.key", is_watched=False)
        self.number += 1
        self.peer.send(ASK, {1: self.number, 2: verb, 3: [{1: key, 2: value} for key, value in arguments.items()]})
        parts = b""
        while (left := end - time.monotonic()) > 0:
            message = self.peer.receive(left)
            if message is None or message[1] != ANSWER or message[2][1] != self.number:
                continue
            parts += message[2][5]
            if not message[2][6]:
                self.said = message[2]
                return json.loads(parts) if parts else None
        return None

    def close(self):
        if self.peer:
            self.peer.close()
            self.peer = None


def secret_of(key_file):
    text = pathlib.Path(key_file).read_text()
    return bytes.fromhex(re.search(r"secret\s*=\s*([0-9a-f]{64})", text)[1])


class Peer:
    """A DEALER that says whatever a test wants, with any key."""

    context = zmq.Context.instance()

    def __init__(self, endpoint, server_key, key_file=None, secret=None, routing_id=None, is_watched=True):
        secret = secret or (secret_of(key_file) if key_file else secrets.token_bytes(32))
        self.public = crypto_scalarmult_base(secret)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if routing_id is not None:
            self.socket.setsockopt(zmq.ROUTING_ID, routing_id)
        self.socket.curve_serverkey = z85.encode(server_key)
        self.socket.curve_secretkey = z85.encode(secret)
        self.socket.curve_publickey = z85.encode(self.public)
        if is_watched:  # events that nobody reads fill their queue after some hundred connections, and then ZeroMQ waits for good
            self.monitor = self.socket.get_monitor_socket()
        self.socket.connect(endpoint)

    def send(self, kind, fields, version=1):
        """fields: tag to value."""
        self.socket.send(msgpack.packb([version, kind, fields], use_bin_type=True))

    def send_raw(self, *frames):
        self.socket.send_multipart(list(frames))

    def receive(self, seconds=5):
        """One message as [version, type, fields], or None."""
        if not self.socket.poll(int(seconds * 1000)):
            return None
        return msgpack.unpackb(self.socket.recv(), raw=False, strict_map_key=False)

    def receive_kind(self, kind, seconds=5):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message and message[1] == kind:
                return message
        return None

    def events(self, seconds):
        """ZeroMQ's monitor events seen in that time, until a handshake's outcome."""
        from zmq.utils.monitor import recv_monitor_message
        seen, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.monitor.poll(max(1, int(left * 1000))):
            event = recv_monitor_message(self.monitor)
            seen.append(event["event"])
            if event["event"] in (zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH,
                                  zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL):
                break
        return seen

    def hello(self):
        self.send(1, {1: "0.0.0", 2: b"b" * 16, 3: 0, 4: 0, 5: 0, 6: b"s" * 16, 7: 0, 8: 0, 9: int(time.time() * 1000)})

    def close(self):
        with contextlib.suppress(zmq.ZMQError):
            self.socket.disable_monitor()
        self.socket.close(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

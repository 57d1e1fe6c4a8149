"""Before anybody is let in: strangers, wrong keys, other mechanisms, garbage and slow talkers cost next to nothing."""
import os
import random
import socket
import struct
import time

import pytest
import zmq

from farm import BIN, Agent, Process, rss_kib, wait_until

IS_LONG = bool(os.environ.get("CASFLEET_LONG"))
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\0" + bytes(31)


def address(farm, port="agents"):
    host, number = farm.endpoints[port].removeprefix("tcp://").rsplit(":", 1)
    return host, int(number)


def connect(farm, port="agents"):
    raw = socket.create_connection(address(farm, port), timeout=10)
    raw.settimeout(10)
    return raw


def is_cut(raw, seconds):
    """The other side closed, or reset, within that time."""
    raw.settimeout(seconds)
    try:
        while raw.recv(65536):
            pass
        return True
    except (ConnectionResetError, BrokenPipeError):
        return True
    except socket.timeout:
        return False


def answers(farm):
    return farm.casfleet("status").returncode in (0, 1)


# Why: libzmq lets strangers in unless everything is set right; an unknown key must get nothing and change nothing.
@pytest.mark.parametrize("port", ["agents", "operators"])
def test_a_stranger_gets_no_byte_and_changes_nothing(farm, port):
    before = farm.json("agent", "list")["items"]
    with farm.peer(port) as stranger:
        stranger.hello()
        assert stranger.receive(2) is None
        assert zmq.EVENT_HANDSHAKE_SUCCEEDED not in stranger.events(1)
    after = [item for item in farm.json("agent", "list")["items"] if item["state"] != "waiting"]
    assert after == before


# Why: the operator must be able to see who knocks, by the key's fingerprint.
def test_a_stranger_at_the_agents_port_is_shown_as_waiting(farm):
    with farm.peer() as stranger:
        key = stranger.public.hex()
        rows = wait_until(lambda: [r for r in farm.ask("agent.list", pending="")["items"] if r["key"] == key], 10,
                          "the key to be shown")
    assert rows[0]["state"] == "waiting" and len(rows[0]["fingerprint"]) == 39


# Why: without its allow-list of keys the controller would let in nobody, or with other settings everybody.
# How: the handler of key questions is never bound; the start's self-test has to see that.
def test_a_controller_whose_key_handler_is_missing_does_not_start(make_farm):
    farm = make_farm(is_started=False)
    begun = Process([BIN / "controller/casfleet-controller", "run", "--config", farm.config], farm.folder / "no-handler.log",
                    {"CASFLEET_FAILPOINT": "channel.zap_bind:1:eio"})
    farm.processes.append(begun)
    assert begun.popen.wait(30) == 2
    assert "selftest_failed" in begun.text() and "the ZAP handler was not asked" in begun.text()
    assert not (farm.state / "endpoints").exists()


# Why: a handler that died must end the program at once: the service manager starts a whole one again.
def test_a_controller_whose_key_handler_dies_ends_and_sends_nothing_more(make_farm):
    farm = make_farm(is_started=False)
    farm.start(env={"CASFLEET_FAILPOINT": "channel.zap:300:eio"})
    strangers = []
    try:
        while farm.controller.is_alive() and len(strangers) < 400:  # each handshake is some of the handler's turns
            strangers.append(farm.peer())
            strangers[-1].hello()
            time.sleep(0.02)
        assert farm.controller.popen.wait(20) == 1
        assert "zap_died" in farm.controller.text()
        assert all(stranger.receive(0) is None for stranger in strangers)
    finally:
        for stranger in strangers:
            stranger.close()
    farm.start()
    assert answers(farm)


# Why: an agent that pinned another controller's key must not talk to this one.
def test_a_peer_that_expects_another_controller_says_nothing(farm):
    with farm.peer(server_key=os.urandom(32)) as peer:
        peer.hello()
        assert peer.receive(2) is None


def test_other_mechanisms_are_refused(farm):
    context = zmq.Context.instance()
    for set_up in (lambda s: None, lambda s: (setattr(s, "plain_username", b"x"), setattr(s, "plain_password", b"y"))):
        plain = context.socket(zmq.DEALER)
        plain.linger = 0
        set_up(plain)
        plain.connect(farm.endpoints["agents"])
        plain.send(b"hello")
        assert not plain.poll(1500)
        plain.close(0)
    assert answers(farm)


# Why: ZMTP 1 and 2 know no security at all.
@pytest.mark.parametrize("greeting", [b"\x01\x00", b"\xff" + bytes(8) + b"\x7f\x01\x05", b"\xff" + bytes(8) + b"\x7f\x00"])
def test_old_protocol_versions_get_no_data(farm, greeting):
    with connect(farm) as raw:
        raw.sendall(greeting + b"\x00\x00\x05hello" * 4)
        raw.settimeout(2)
        got = b""
        try:
            while chunk := raw.recv(4096):
                got += chunk
        except (socket.timeout, ConnectionResetError):
            pass
        assert b"hello" not in got and len(got) <= 64  # its own greeting at most
    assert answers(farm)


# Why: without MAXMSGSIZE one such peer took 1.2 GB.
def test_a_huge_frame_before_the_handshake_costs_no_memory(farm):
    before = rss_kib(farm.controller.pid)
    raws = []
    for _ in range(50):
        raw = connect(farm)
        raws.append(raw)
        try:
            raw.sendall(GREETING + b"\x06" + struct.pack(">Q", 1_500_000_000) + os.urandom(1 << 16))
        except (ConnectionResetError, BrokenPipeError):
            pass
    for raw in raws:
        raw.close()
    assert answers(farm)
    assert rss_kib(farm.controller.pid) - before <= 4 * 1024


# Why: a peer that never finishes its handshake must not hold a connection for ever (HANDSHAKE_IVL is 5 s).
def test_a_slow_talker_is_cut_after_the_handshake_interval(farm):
    with connect(farm) as silent, connect(farm) as half:
        half.sendall(GREETING)
        began = time.monotonic()
        assert is_cut(silent, 8) and is_cut(half, 8)
        assert time.monotonic() - began <= 6.2


# Why: half-open connections must not keep agents from being heard.
def test_many_half_open_connections_leave_room_for_a_true_agent(farm):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    count = 10_000 if IS_LONG else 800
    raws = []
    try:
        for _ in range(count):
            raws.append(connect(farm))
        wait_until(lambda: agent.shown()["proof_age_ms"] < 1000, 10, "a heartbeat younger than a second")
        assert agent.is_up()
    finally:
        for raw in raws:
            raw.close()
    wait_until(lambda: len(os.listdir(f"/proc/{farm.controller.pid}/fd")) < 100, 10, "file descriptors to be free again")


# Why: whatever bytes come, the controller lives, stays small and does not fill its log.
def test_garbage_connections_leave_it_alive_small_and_quiet(farm):
    seed = random.Random(20260)
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    before, log_before, began = rss_kib(farm.controller.pid), len(farm.controller.text()), time.monotonic()
    for number in range(100_000 if IS_LONG else 3_000):
        try:
            with connect(farm, "agents" if number % 2 else "operators") as raw:
                head = GREETING if number % 3 == 0 else b""
                raw.sendall(head + seed.randbytes(seed.randrange(1, 300)))
        except OSError:
            pass
    seconds = time.monotonic() - began
    assert answers(farm) and agent.is_up()
    assert rss_kib(farm.controller.pid) - before <= 8 * 1024
    lines = farm.controller.text()[log_before:].count("\n")
    assert lines <= seconds + 20, f"{lines} log lines in {seconds:.0f} s"


def test_a_controller_with_a_wrong_key_is_named_by_agent_and_command_line(farm, make_farm):
    other = make_farm()
    agent = farm.agent("LON-CAS01", is_started=False)
    agent.options["controller_keys"] = other.public
    agent.write()
    agent.start()
    wait_until(lambda: "has not the key" in agent.process.text(), 20, lambda: agent.process.text())
    done = farm.run(BIN / "controller/casfleet", "--controller", farm.endpoints["operators"], "--controller-keys", other.public, "--key",
                    farm.folder / "ops.admin.key", "--wait", "5s", "status", expect=3)
    assert "has not the key" in done.stderr


def test_a_waiting_agent_is_let_in_once_its_key_is_approved(farm):
    agent = Agent(farm, "LON-CAS07", "LON")
    farm.agents.append(agent)
    key = agent.key()
    agent.start()
    wait_until(lambda: [r for r in farm.ask("agent.list", pending="")["items"] if r["key"] == key], 20,
               "the key to be shown as waiting")
    done = farm.casfleet("agent", "approve", "LON-CAS07", "--yes", "--site", "LON", expect=0)
    fingerprint = next(r["fingerprint"] for r in farm.json("agent", "list")["items"] if r["name"] == "LON-CAS07")
    assert fingerprint in done.stdout
    wait_until(agent.is_up, 30, lambda: agent.process.text())

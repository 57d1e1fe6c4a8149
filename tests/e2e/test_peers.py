"""After the handshake: a peer with a good key that breaks the protocol, takes another's place, or has the wrong role."""
import hashlib
import os
import subprocess
import time

import msgpack
import pytest
import zmq
from zmq.utils import z85
from nacl.bindings import crypto_scalarmult_base
from nacl.signing import SigningKey

from farm import POOL, TOP, rss_kib, secret_of, wait_until

HELLO, TICK, HB, REPORT, ACK, OFFER, CLAIM, GRANT, RESULT, REVOKE, REVOKED, NACK, PLAN, KEYSET, ASK, ANSWER = (
    *range(1, 15), 32, 33)
ZMTP_FRAME = 65536


@pytest.fixture
def insider(farm):
    """A hostile peer whose key is approved as LON-CAS66."""
    secret = os.urandom(32)
    key = crypto_scalarmult_base(secret).hex()
    farm.casfleet("agent", "approve", "LON-CAS66", "--agent-key", key, "--site", "LON", expect=0)
    with farm.peer(secret=secret) as peer:
        peer.secret = secret
        wait_until(lambda: said_hello(peer), 20, "a TICK")
        yield peer


def said_hello(peer):
    peer.hello()
    return peer.receive_kind(TICK, 1)


def entry(seq, body=None):
    return {1: seq, 2: 3, 3: int(time.time() * 1000), 4: body or msgpack.packb({1: "exchange.build", 2: "15.1.1466.3"})}


def kept(farm):
    """Spool positions the controller has on disk, read by SQLite itself."""
    database = next(farm.state.glob("*.db"))
    rows = subprocess.run(["/usr/bin/python3", "-c", "import sqlite3,sys;c=sqlite3.connect(sys.argv[1]);"
                           "print(c.execute('select count(*) from report').fetchone()[0])", database],
                          capture_output=True, text=True, check=True)
    return int(rows.stdout)


# Why: the identity is the authenticated key; a routing id is what a peer likes to write there.
def test_a_squatted_routing_id_gets_nothing_and_hurts_nobody(farm, insider):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    for routing_id in (b"\0\x01\x02\x03\x04"[1:], b"LON-CAS01", b"A" * 255):
        with farm.peer(secret=insider.secret, routing_id=routing_id) as squatter:
            squatter.hello()
            assert squatter.receive_kind(TICK, 1.5) is None
    assert agent.is_up()


# Why: ZAP speaks at the handshake only; a revoked key stays connected unless every message is checked.
def test_a_revoked_agent_is_out_within_a_second_and_after_a_restart(farm, insider):
    farm.casfleet("agent", "revoke", "LON-CAS66", expect=0)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        insider.receive(0.1)
    reports_before = kept(farm)
    insider.send(REPORT, {1: b"s" * 16, 2: 1, 3: [entry(1)]})
    insider.hello()
    assert insider.receive(2) is None
    assert kept(farm) == reports_before
    farm.controller.kill()
    farm.start()
    insider.hello()
    assert insider.receive(3) is None
    assert kept(farm) == reports_before


ASKS = ["status", "server.list", "server.show", "server.label", "recycle.plan", "recycle.run", "recycle.list", "recycle.show",
        "recycle.pause", "recycle.resume", "recycle.retry", "recycle.end", "recycle.simulate", "patch.report", "why", "agent.list",
        "agent.approve", "agent.revoke", "schedule.add", "schedule.list", "schedule.show", "schedule.preview", "schedule.pause",
        "schedule.resume", "schedule.remove", "schedule.export", "schedule.import-blackouts", "freeze.on", "freeze.off",
        "site.list", "site.zone"]
VIEWER_MAY = {"status", "server.list", "server.show", "recycle.list", "recycle.show", "patch.report", "why", "agent.list",
              "schedule.list", "schedule.show", "schedule.preview", "schedule.export", "site.list"}
ADMIN_ONLY = {"agent.approve", "agent.revoke"}


def asks_in_table():
    text = (TOP / "proto/wire/asks.def").read_text()
    return [line.split('"')[1] for line in text.splitlines() if line.startswith("ASK(")]


def test_the_table_of_asks_is_the_one_tested_here():
    assert sorted(asks_in_table()) == sorted(ASKS)


# Why: default deny; each verb has a least role and nobody below it gets through, and each denial is on record.
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_each_ask_is_refused_below_its_role(farm, role):
    key = farm.operator(f"ops.{role}", role)
    with farm.peer("operators", key) as operator:
        for number, verb in enumerate(ASKS, 1):
            operator.send(ASK, {1: number, 2: verb, 3: []})
            answer = operator.receive_kind(ANSWER, 10)
            assert answer and answer[2][1] == number
            may = verb in VIEWER_MAY or (role == "operator" and verb not in ADMIN_ONLY)
            assert (answer[2][2] == 4) == (not may), f"{role} {verb}: {answer[2]}"
            while answer[2][6]:
                answer = operator.receive_kind(ANSWER, 10)


# Why: a stolen agent's key must not ask, an operator's key must not report.
def test_a_key_is_good_for_its_own_port_only(farm, insider):
    with farm.peer("operators", secret=insider.secret) as agent_at_operators:
        for number, verb in enumerate(ASKS, 1):
            agent_at_operators.send(ASK, {1: number, 2: verb, 3: []})
            answer = agent_at_operators.receive_kind(ANSWER, 3)
            assert answer is None or answer[2][2] == 4, answer
    before = kept(farm)
    with farm.peer("agents", farm.folder / "ops.admin.key") as operator_at_agents:
        operator_at_agents.hello()
        operator_at_agents.send(REPORT, {1: b"s" * 16, 2: 1, 3: [entry(1)]})
        assert operator_at_agents.receive(2) is None
    assert kept(farm) == before
    denied = farm.casfleet("server", "show", "LON-CAS66", "-o", "json").stdout
    assert denied


HOSTILE = {
    "array32 of 2^28": b"\xdd\x10\x00\x00\x00",
    "map32 of 2^28": b"\xdf\x10\x00\x00\x00",
    "str32 of 2^28": b"\xdb\x10\x00\x00\x00",
    "depth 33": b"\x91" * 33 + b"\x01",
    "65,536 arrays in one another": b"\x91" * 65536,
    "28 nested array32": b"\xdd\x00\x00\x00\x01" * 28,
    "nothing": b"",
    "an ext type": b"\x93\x01\x01\xc7\x01\x05\x00",
    "another version": msgpack.packb([2, 1, {}]),
    "an unknown type": msgpack.packb([1, 99, {}]),
    "a message of the other direction": msgpack.packb([1, OFFER, {1: 1, 2: b"c" * 16, 3: 1, 4: POOL}]),
    "trailing bytes": msgpack.packb([1, 1, {}]) + b"\0",
    "a name with a path in it": msgpack.packb([1, ASK, {1: 1, 2: "../../etc/passwd", 3: []}]),
}


# Why: msgpack-c asks for 8 to 16 GiB for the first of these unless they are scanned before.
@pytest.mark.parametrize("words", HOSTILE)
def test_a_hostile_frame_costs_nothing_and_changes_nothing(farm, insider, words):
    farm.casfleet("status")
    before, reports = rss_kib(farm.controller.pid), kept(farm)
    insider.send_raw(HOSTILE[words])
    assert farm.casfleet("status").returncode in (0, 1)
    assert rss_kib(farm.controller.pid) - before <= 2048
    assert kept(farm) == reports


# Why: one payload frame only; 12,000 small ones of a valid peer cost 690 MB otherwise.
def test_a_message_of_two_frames_is_refused(farm, insider):
    reports = kept(farm)
    whole = msgpack.packb([1, REPORT, {1: b"s" * 16, 2: 1, 3: [entry(1)]}], use_bin_type=True)
    insider.send_raw(whole, whole)
    insider.send_raw(b"", whole)
    insider.send_raw(*[b"x"] * 2000)
    assert insider.receive_kind(ACK, 1.5) is None
    assert kept(farm) == reports and farm.casfleet("status").returncode in (0, 1)


def test_65536_bytes_are_taken_and_one_more_disconnects(farm, insider):
    insider.send_raw(b"\xc4" * ZMTP_FRAME)
    assert said_hello(insider)
    insider.send_raw(b"\xc4" * (ZMTP_FRAME + 1))
    from zmq.utils.monitor import recv_monitor_message
    seen = set()
    end = time.monotonic() + 5
    while zmq.EVENT_DISCONNECTED not in seen and time.monotonic() < end and insider.monitor.poll(1000):
        seen.add(recv_monitor_message(insider.monitor)["event"])
    assert zmq.EVENT_DISCONNECTED in seen


# Why: reports are kept once; what comes again, or beside the order, changes nothing.
def test_a_replayed_report_is_kept_once_and_a_hole_is_refused(farm, insider):
    spool = os.urandom(16)
    before = kept(farm)
    for _ in range(3):
        insider.send(REPORT, {1: spool, 2: 1, 3: [entry(1), entry(2)]})
    ack = insider.receive_kind(ACK, 5)
    assert ack and ack[2][2] == 2
    wait_until(lambda: kept(farm) == before + 1, 5, "one row")
    insider.send(REPORT, {1: spool, 2: 9, 3: [entry(9)]})
    assert kept(farm) == before + 1


# Why: a server's name comes from the approval of its key, never from what it says.
def test_hostile_strings_and_spoofed_names_stay_words(farm, insider):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    spool = os.urandom(16)
    for seq, value in enumerate(["LON-CAS01", "<script>alert(1)</script>", "'; drop table server; --", "$(reboot)", "%n%n%s"], 1):
        body = msgpack.packb({1: "host.name", 2: value})
        insider.send(REPORT, {1: spool, 2: seq, 3: [entry(seq, body)]})
        insider.receive_kind(ACK, 5)
    shown = farm.json("server", "show", "LON-CAS66")["items"][0]
    assert shown["name"] == "LON-CAS66"
    assert {f["key"]: f["value"] for f in shown["facts"]}["host.name"] == "%n%n%s"
    assert farm.json("server", "show", "LON-CAS01")["items"][0]["fingerprint"] != shown["fingerprint"]
    assert agent.is_up()


# Why: 20 messages a second and agent; a flood must not cost the others their acknowledgements.
def test_a_flood_is_dropped_and_does_not_delay_others(farm, insider):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    for _ in range(3000):
        insider.hello()
    assert agent.is_up()
    wait_until(lambda: agent.shown()["proof_age_ms"] < 2000, 10, "a fresh heartbeat of the other")


class FalseController:
    """Has the controller's CURVE secret but not its command key."""

    def __init__(self, farm, command_key):
        self.context = zmq.Context.instance()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        secret = secret_of(farm.state / "curve.key")
        self.socket.curve_secretkey = z85.encode(secret)
        self.socket.curve_publickey = z85.encode(farm.public_keys()[0])
        self.socket.curve_server = True
        self.socket.bind(farm.endpoints["agents"])
        self.command_key = command_key
        self.leader = os.urandom(16)

    def send(self, route, kind, fields):
        self.socket.send_multipart([route, msgpack.packb([1, kind, fields], use_bin_type=True)])

    def receive(self, kinds, seconds=20):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self.socket.poll(int(left * 1000)):
                continue
            route, frame = self.socket.recv_multipart()
            message = msgpack.unpackb(frame, raw=False, strict_map_key=False)
            if message[1] in kinds:
                return route, message[2]
        return None, None


# Why: a stolen channel key alone must not be able to order anything; only the command key can.
@pytest.mark.parametrize("is_signed_right", [False, True])
def test_a_grant_signed_by_another_key_has_no_effect(farm, is_signed_right):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    farm.controller.stop()
    own = SigningKey(secret_of(farm.state / "command.key")) if is_signed_right else SigningKey.generate()
    false = FalseController(farm, own)
    try:
        route, _ = false.receive({HELLO}, 70)
        assert route, agent.process.text()
        epoch = int(time.time()) + 1000
        false.send(route, TICK, {1: epoch, 2: false.leader, 3: 1, 4: 0, 5: True, 6: int(time.time() * 1000)})
        command, plan = os.urandom(16), plan_bytes()
        false.send(route, PLAN, {1: plan, 2: []})
        false.send(route, OFFER, {1: epoch, 2: command, 3: 1, 4: POOL})
        _, claim = false.receive({CLAIM})
        assert claim

        order = msgpack.packb({
            1: bytes.fromhex(agent.key()), 2: command, 3: 1, 4: POOL, 5: 0, 6: 30000, 7: claim[2], 8: epoch, 9: false.leader,
            10: 1, 11: hashlib.blake2b(plan, digest_size=32).digest(), 12: 0, 13: int(time.time() * 1000)}, use_bin_type=True)
        signature = own.sign(b"casfleet/grant/v1\0" + order).signature
        false.send(route, GRANT, {1: order, 2: signature})
        kinds = {RESULT} if is_signed_right else {NACK}
        _, answer = false.receive(kinds, 30)
        assert answer, agent.process.text()
        if is_signed_right:  # the same bytes with the right key do act: the test can fail
            assert len(agent.effects("recycle")) == 1
        else:
            assert answer[1] == 2 and agent.effects("recycle") == []
    finally:
        false.socket.close(0)


def plan_bytes():
    now = int(time.time() * 1000)
    return msgpack.packb({1: 1, 2: 1, 3: POOL, 4: now, 5: now, 6: now + 3600000, 7: 1, 8: 0, 9: 0, 10: 0, 11: 30000, 12: 60000,
                          13: 3, 14: 1, 15: 0, 16: "ops.false", 17: "LON-CAS01"}, use_bin_type=True)

"""What is true after a test, read from the servers' effect logs, the agents' journals and the controller's database alone.

Databases are copied before they are looked at: opening one would repair it, and that is the programs' own task.
"""
import contextlib
import hashlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

import msgpack

ENTRY_HEAD = 19  # seq 8, at_ms 8, kind 1, size 2; see controller/store/store_report.c
RECYCLE, CLOSED = 1, 5
INTENT, DONE, FAILED, UNKNOWN, REVOKED = range(2, 7)


@contextlib.contextmanager
def copy_of(path):
    """A database as it lies on disk, its program having ended."""
    with tempfile.TemporaryDirectory() as folder:
        for end in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{path}{end}", folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / Path(path).name)) as database:
            yield database


def commands(agent):
    """What an agent's journal says of each command: its state by id."""
    with copy_of(agent.state / "ledger.db") as ledger:
        return {bytes(cmd_id).hex(): state for cmd_id, state in ledger.execute("SELECT cmd_id, state FROM command")}


def command_id(plan, position, server, attempt):
    words = b"".join(number.to_bytes(8, "big") for number in (position, server, attempt))
    words = hashlib.blake2b(plan, digest_size=32).digest() + words
    return hashlib.blake2b(words, digest_size=16).hexdigest()


def check_commands(farm, agents=None):
    """At most one effect for each command, and each command is one of a rollout's: at most one effect for each
    (rollout, server), and exactly one where the step is proved. Returns how many acted."""
    effects = {}
    for agent in agents or farm.agents:
        for effect in agent.effects("recycle"):
            effects.setdefault(effect["cmd_id"], []).append(effect["server"])
    assert all(len(servers) == 1 for servers in effects.values()), effects
    with copy_of(farm.state / "controller.db") as store:
        steps = store.execute("SELECT step.seq, step.position, step.server_id, step.attempt, step.state, step.cmd_id, server.name"
                              " FROM step JOIN server ON server.id = step.server_id").fetchall()
        plans = dict(store.execute("SELECT seq, plan FROM rollout"))
        recycles = {seq for seq, plan in plans.items() if msgpack.unpackb(plan, strict_map_key=False)[2] == RECYCLE}
    known = set()
    for seq, position, server, attempt, state, cmd_id, name in steps:
        ids = [command_id(plans[seq], position + shift, server, number) for shift in (0, 1) for number in range(1, attempt + 1)]
        assert bytes(cmd_id).hex() in ids, f"r-{seq} {name}: an id that is not derived"
        acted = [one for one in ids if one in effects]
        assert all(effects[one] == [name] for one in acted), f"r-{seq} {name}: done on {effects}"
        assert len(acted) <= 1, f"r-{seq} {name}: attempts {acted} acted"
        assert len(acted) == 1 or state != CLOSED or seq not in recycles, f"r-{seq} {name}: proved, but nothing was done"
        known.update(acted)
    assert known == set(effects), f"effects of no command: {set(effects) - known}"
    return len(effects)


def stored(farm, name, spool):
    """The entries of a spool that the controller has, as it would read them back."""
    found = []
    with copy_of(farm.state / "controller.db") as store:
        rows = store.execute("SELECT report.body FROM report JOIN server ON server.id = report.server_id"
                             " WHERE server.name = ? AND report.spool_id = ? ORDER BY report.id", (name, spool)).fetchall()
    for (body,) in rows:
        at = 0
        while at < len(body):
            found.append(int.from_bytes(body[at:at + 8], "big"))
            at += ENTRY_HEAD + int.from_bytes(body[at + 17:at + 19], "big")
        assert at == len(body), f"{name}: a row ends inside an entry"
    return found


def check_reports(farm, agents=None):
    """What was acknowledged has left the outbox: all below what it still keeps must be stored, once and in order. All
    programs have ended. Returns how many records were acknowledged."""
    total = 0
    for agent in agents or farm.agents:
        with copy_of(agent.state / "outbox.db") as outbox:
            spool = outbox.execute("SELECT id FROM spool").fetchone()[0]
            high = outbox.execute("SELECT value FROM number WHERE name = 'high'").fetchone()[0]
            kept = [row[0] for row in outbox.execute("SELECT seq FROM entry ORDER BY seq")]
        low = kept[0] if kept else high + 1
        have = stored(farm, agent.name, spool)
        assert len(have) == len(set(have)), f"{agent.name}: stored twice: {sorted(s for s in have if have.count(s) > 1)[:9]}"
        assert have == sorted(have), f"{agent.name}: out of order"
        missing = set(range(1, low)) - set(have)
        assert not missing, f"{agent.name}: acknowledged and not stored: {sorted(missing)[:9]} of {low - 1}"
        total += low - 1
    return total

"""Files that cannot be used: each program says which file, where in it, what is wrong and what is taken, exits by contract,
and leaves everything as it was."""
import contextlib
import hashlib
import os
import re
import shutil
import sqlite3

import pytest

from farm import BIN, TOP, Agent, Farm, Process, wait_until

CASFLEET, CONTROLLER, AGENT = BIN / "controller/casfleet", BIN / "controller/casfleet-controller", BIN / "agent/casfleet-agent"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A controller's state that was never started, an agent's configuration, an operator's key: all good."""
    farm = Farm(tmp_path_factory.mktemp("bad") / "farm")
    farm.endpoints = {"agents": "tcp://127.0.0.1:1", "operators": "tcp://127.0.0.1:1"}
    agent = Agent(farm, "LON-CAS01", "LON")
    assert agent.key()
    conf = farm.folder / "casfleet.conf"
    conf.write_text(f"controller = tcp://127.0.0.1:1\ncontroller_keys = {farm.public}\nkey = {farm.folder}/ops.admin.key\nwait = 300ms\n")
    return farm


@pytest.fixture
def farm_copy(built, tmp_path):
    """The same in a folder of the test's own, to be spoilt."""
    shutil.copytree(built.folder, tmp_path / "farm", dirs_exist_ok=True)
    for path in (tmp_path / "farm").rglob("*"):
        if path.suffix in (".conf", ".ini"):
            path.write_text(path.read_text().replace(str(built.folder), str(tmp_path / "farm")))
    return tmp_path / "farm"


def conf_of(program, folder):
    return {CASFLEET: folder / "casfleet.conf", CONTROLLER: folder / "controller/casfleet-controller.conf",
            AGENT: folder / "LON-CAS01/agent.ini"}[program]


def start(program, folder, *more):
    words = ["status"] if program == CASFLEET else []
    return Farm.run(program, *words, "--config", conf_of(program, folder), *more, expect=None)


def fingerprint(folder):
    """Every file but logs, by content."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


PROGRAMS = [CASFLEET, CONTROLLER, AGENT]
names = pytest.mark.parametrize("program", PROGRAMS, ids=["casfleet", "controller", "agent"])


@names
@pytest.mark.parametrize("text,words", [
    (b"colour = red\n", "1: "), (b"\n\n# x\ncolour = red\n", "4: "), (b"state\n", "1: "), (b"[section\n", "1"),
    ("controller = x\n".encode("utf-16-le"), "UTF-16"), (b"\0\0\0", ""), (b"x" * 70000, ""), (b"log_level = loud\n", "log_level"),
    (b"SPAN = soon\n", "soon"), (b"SPAN = 1ms\n", "1ms"),
], ids=["unknown key", "unknown key, line 4", "no value", "open section", "UTF-16", "zero bytes", "endless line", "bad word", "bad span", "below the least"])
def test_a_config_file_that_cannot_be_read_is_named_by_line(program, farm_copy, text, words):
    path = conf_of(program, farm_copy)
    span = {CASFLEET: b"wait", CONTROLLER: b"tick", AGENT: b"sample"}[program]
    path.write_bytes(text.replace(b"SPAN", span))
    before = fingerprint(farm_copy)
    done = start(program, farm_copy)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and (str(path) in done.stderr or words == "log_level"), done.stderr
    assert fingerprint(farm_copy) == before


@names
def test_line_ends_and_byte_order_mark_of_windows_editors_are_taken(program, farm_copy):
    path = conf_of(program, farm_copy)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", "\r\n").encode())
    done = Farm.run(program, *(["status"] if program == CASFLEET else ["--check"]), "--config", path, expect=None)
    assert done.returncode == (3 if program == CASFLEET else 0), done.stderr


@names
def test_a_config_file_that_was_named_and_is_missing_is_an_error(program, farm_copy):
    conf_of(program, farm_copy).unlink()
    done = start(program, farm_copy)
    assert done.returncode == 2 and str(conf_of(program, farm_copy)) in done.stderr


KEYS = {CASFLEET: "ops.admin.key", CONTROLLER: "controller/curve.key", AGENT: "LON-CAS01/agent.key"}


def spoil(path, how, other):
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "corrupt":
        path.write_text(re.sub(r"(secret\s*=\s*[0-9a-f]{10})[0-9a-f]", r"\1z", path.read_text()))
    elif how == "cut":
        path.write_text(path.read_text()[:-20])
    elif how == "another kind":
        shutil.copy(other, path)
    elif how == "loose":
        path.chmod(0o644)
    elif how == "a folder":
        path.unlink()
        path.mkdir()


# Why (S7): a key that others can read is no secret; a new one made silently in place of a lost one is a stranger to all.
@names
@pytest.mark.parametrize("how", ["missing", "empty", "corrupt", "cut", "another kind", "loose", "a folder"])
def test_a_key_file_that_cannot_be_used_is_named(program, farm_copy, how):
    path = farm_copy / KEYS[program]
    spoil(path, how, farm_copy / "controller/command.key")
    before = fingerprint(farm_copy)
    done = start(program, farm_copy, *(["--check"] if program == AGENT and how == "missing" else []))
    if program == AGENT and how == "missing":  # a first start makes it; --check changes nothing
        assert done.returncode == 0 and not path.exists()
        return
    assert done.returncode == 2 and str(path) in done.stderr, done.stderr
    if how == "loose":
        assert "0644" in done.stderr and "0600" in done.stderr
    if how == "another kind":
        assert "sign" in done.stderr and "curve" in done.stderr.lower()
    changed = {k for k, v in fingerprint(farm_copy).items() if before.get(k) != v}
    assert not {p for p in changed if p.endswith((".key", ".pub"))}, changed
    assert not re.search(r"[0-9a-f]{64}", done.stderr), "a secret in a message"


@pytest.mark.parametrize("how", ["missing", "empty", "corrupt", "a folder"])
@pytest.mark.parametrize("program", [CASFLEET, AGENT], ids=["casfleet", "agent"])
def test_the_controllers_public_keys_that_cannot_be_used_are_named(program, farm_copy, how):
    path = farm_copy / "controller/controller.pub"
    if how == "corrupt":
        path.write_text(path.read_text().replace("curve", "curse", 1))
    else:
        spoil(path, how, None)
    done = start(program, farm_copy)
    assert done.returncode == 2 and str(path) in done.stderr, done.stderr


@pytest.mark.parametrize("line,words", [
    ("ops.a admin", "operators:4"), ("ops.a king " + "a" * 64, "king"), ("ops.a admin " + "z" * 64, "operators:4"),
    ("ops/a admin " + "a" * 64, "operators:4"), ("ops.admin admin " + "b" * 64, "ops.admin"), ("ops.a admin " + "b" * 64 + " more", "operators:4"),
])
def test_a_line_of_the_operators_file_that_cannot_be_read_is_named(farm_copy, line, words):
    path = farm_copy / "controller/operators"
    path.write_text("\n".join([*path.read_text().splitlines(), line]) + "\n")
    for more in ([], ["--check"]):
        done = start(CONTROLLER, farm_copy, *more)
        assert done.returncode == 2 and words in done.stderr, done.stderr


# Why: a database that another, later or broken program left must not be opened, and by no means made new.
@pytest.mark.parametrize("how,words", [("noise", "database"), ("of a newer version", "newer"), ("of another program", "not of a casfleet"),
                                       ("cut in half", "controller.db"), ("a page of noise", "controller.db")])
def test_a_controllers_database_that_cannot_be_used_is_left_as_it_is(farm_copy, how, words):
    path = farm_copy / "controller/controller.db"
    spoil_database(path, CONTROLLER, farm_copy, how)
    before = path.read_bytes()
    done = start(CONTROLLER, farm_copy)
    assert done.returncode == 2 and str(path) in done.stderr and words in done.stderr, done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["ledger.db", "outbox.db"])
@pytest.mark.parametrize("how,words", [("noise", "database"), ("of a newer version", "newer"), ("of another program", "not"),
                                       ("cut in half", ".db"), ("a page of noise", ".db")])
def test_an_agents_database_that_cannot_be_used_is_left_as_it_is(farm_copy, name, how, words):
    path = farm_copy / "LON-CAS01" / name
    spoil_database(path, AGENT, farm_copy, how)
    before = path.read_bytes()
    done = start(AGENT, farm_copy)
    assert done.returncode == 2 and str(path) in done.stderr and words in done.stderr, done.stderr
    assert path.read_bytes() == before


def spoil_database(path, program, folder, how):
    if how == "noise":
        path.write_bytes(os.urandom(8192))
        return
    if how == "of another program":
        database = sqlite3.connect(path)
        database.executescript("PRAGMA application_id = 7; CREATE TABLE mine (a); INSERT INTO mine VALUES (1);")
        database.close()
        return
    started = Process([program, "--config", conf_of(program, folder)], folder / "spoil.log")
    wait_until(lambda: " start " in started.text() or not started.is_alive(), 20, started.text)
    assert started.stop() == 0, started.text()
    if how == "of a newer version":
        # Written anew: an agent's pages carry sums, which a change in place would break.
        later = path.with_name("later.db")
        with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(later)) as new:
            new.executescript("\n".join(old.iterdump()))
            new.execute("PRAGMA application_id = %d" % old.execute("PRAGMA application_id").fetchone())
            new.execute("PRAGMA user_version = 999")
        later.replace(path)
    elif how == "cut in half":
        path.write_bytes(path.read_bytes()[:path.stat().st_size // 2 // 4096 * 4096 + 1000])
    else:
        whole = bytearray(path.read_bytes())
        whole[4096:12288] = os.urandom(8192)
        path.write_bytes(whole)


# Why (R14): two controllers on one state, or two agents on one journal, would each believe to be the only one.
def test_a_second_controller_and_a_second_agent_on_the_same_state_are_refused(farm):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    second = Farm.run(CONTROLLER, "run", "--config", farm.config, expect=2)
    assert str(farm.state) in second.stderr and f"process {farm.controller.pid} holds this lock" in second.stderr
    second = Farm.run(AGENT, "--config", agent.folder / "agent.ini", expect=2)
    assert str(agent.folder) in second.stderr and f"process {agent.process.pid} holds this lock" in second.stderr
    assert farm.controller.is_alive() and agent.is_up()


def test_a_port_that_is_taken_is_named(farm, make_farm):
    other = make_farm(is_started=False)
    done = Farm.run(CONTROLLER, "run", "--config", other.config, "--agents", farm.endpoints["agents"], expect=2)
    assert farm.endpoints["agents"] in done.stderr and "cannot listen" in done.stderr


@pytest.mark.parametrize("text,words", [("failure = explodes\n", "explodes"), ("speed = 0\n", "speed"), ("build = fifteen\n", "fifteen"),
                                        ("colour = red\n", "colour")])
def test_a_models_settings_that_cannot_be_used_are_named(farm_copy, text, words):
    path = farm_copy / "LON-CAS01/server.ini"
    path.write_text(path.read_text() + text if not text.startswith(("speed", "build")) else text)
    done = start(AGENT, farm_copy)
    assert done.returncode == 2 and str(path) in done.stderr and words in done.stderr, done.stderr


@pytest.mark.parametrize("what", ["no folder", "an empty folder", "a file"])
def test_a_capture_that_cannot_be_played_is_named(farm_copy, what):
    capture = farm_copy / "capture"
    if what == "a file":
        capture.write_text("typeperf")
    elif what != "no folder":
        capture.mkdir()
    done = start(AGENT, farm_copy, "--host", "replay", "--host-settings", str(capture))
    assert done.returncode == 2 and str(capture) in done.stderr, done.stderr


@pytest.mark.parametrize("arguments,words", [
    (["frob"], "frob: expected"), (["init", "more"], "init: expected"), (["operator", "add", "a"], "operator: expected"),
    (["operator", "add", "a", "king", "0" * 64], "king"), (["operator", "add", "a", "admin", "xyz"], "not 3 characters"),
    (["run", "--agents", "0.0.0.0:5670"], "tcp://"), (["run", "--agents", "tcp://nowhere.invalid:1"], "nowhere.invalid"), (["--tick", "1h"], "tick"),
])
def test_what_is_typed_wrong_to_the_controller_is_named(farm_copy, arguments, words):
    before = fingerprint(farm_copy)
    done = start(CONTROLLER, farm_copy, *arguments)
    assert done.returncode == 2 and words in done.stderr, done.stderr
    changed = {k for k, v in fingerprint(farm_copy).items() if before.get(k) != v}
    assert not {p for p in changed if ".db" not in p and ".lock" not in p}, changed


def test_operator_files_that_get_bad_while_running_change_nothing_and_are_told(farm):
    before = (farm.state / "operators").read_text()
    (farm.state / "operators").write_text(before + "ops.x king 00\n")
    farm.controller.signal(1)
    wait_until(lambda: "operators_kept" in farm.controller.text(), 10, farm.controller.text)
    assert "operators:" in farm.controller.text()
    assert farm.casfleet("status").returncode == 0
    (farm.state / "operators").write_text(before)
    farm.controller.signal(1)
    wait_until(lambda: "operators_read" in farm.controller.text(), 10, farm.controller.text)
    farm.operator("ops.later", "viewer")
    assert wait_until(lambda: farm.casfleet("status", key="ops.later").returncode == 0, 15, "a key added while running")


# Why: half a capture is worth something; what cannot be read is told as the reason of what is missing, with file and line.
def test_a_capture_with_a_file_of_noise_says_so_at_every_symptom_of_it(farm):
    capture = farm.folder / "capture"
    shutil.copytree(TOP / "tests/data/capture-leaking", capture)
    (capture / "counters.csv").write_bytes(b"noise, and more of it\n" * 50)
    agent = farm.agent("LON-CAS01", is_started=False)
    agent.options.update(host="replay", host_settings=capture)
    agent.write()
    agent.start()
    wait_until(lambda: "counters.csv: no header" in str(agent.shown()["symptoms"]), 20, lambda: str(agent.shown()["symptoms"]))
    shown = {s["name"]: s for s in agent.shown()["symptoms"]}
    assert shown["private_bytes"]["value"] is None and "counters.csv: no header" in shown["private_bytes"]["reason"]
    assert shown["close_wait"]["value"] is not None


def test_init_again_changes_nothing(farm_copy):
    before = fingerprint(farm_copy)
    done = Farm.run(CONTROLLER, "init", "--state", farm_copy / "controller", expect=0)
    assert "fingerprint" in done.stdout and fingerprint(farm_copy) == before


def test_key_new_never_overwrites(farm_copy):
    before = fingerprint(farm_copy)
    done = Farm.run(CASFLEET, "key", "new", farm_copy / "ops.admin.key", expect=2)
    assert str(farm_copy / "ops.admin.key") in done.stderr and fingerprint(farm_copy) == before
    assert oct((farm_copy / "ops.admin.key").stat().st_mode & 0o777) == "0o600"

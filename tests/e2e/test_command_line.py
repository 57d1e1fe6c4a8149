"""What an operator types: exit codes, formats, names of servers, and the answers to everything typed wrong."""
import csv
import io
import json
import os
import re
import subprocess

import pytest

from farm import BIN, Farm, wait_until

CASFLEET = BIN / "controller/casfleet"
NOUNS = {"status": [""], "why": [""], "server": ["list", "show", "label"], "patch": ["report"], "key": ["new"],
         "agent": ["list", "approve", "revoke"],
         "schedule": ["add", "list", "show", "preview", "pause", "resume", "remove", "export", "import-blackouts"],
         "freeze": ["on", "off"],
         "recycle": ["plan", "run", "watch", "list", "show", "simulate", "pause", "resume", "retry", "end"]}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Three sites: one with servers old and new, one all new, one whose only server was never started."""
    farm = Farm(tmp_path_factory.mktemp("town") / "farm").start()
    builds = ["15.0.1497.48", "15.1.1466.3", "15.1.1591.10", "15.1.1466.16"]
    for number, build in enumerate(builds, 1):
        farm.agent(f"LON-CAS0{number}", "LON", build=build)
    farm.agent("FRA-CAS01", "FRA", build="15.2.1544.4")
    farm.agent("NYC-CAS10", "NYC", is_started=False)
    farm.operator("ops.viewer", "viewer")
    farm.operator("ops.b", "operator")
    farm.wait_up()
    yield farm
    farm.close()


def lines_of(done):
    return done.stdout.splitlines()


# Why: scripts decide by exit code alone; each number is a contract.
@pytest.mark.parametrize("code,arguments,options", [
    (0, ["server", "list"], {}),
    (0, ["patch", "report"], {}),
    (1, ["status"], {}),  # a server was never heard
    (2, ["server", "list", "--nonsense"], {}),
    (4, ["recycle", "plan", "LON-CAS01"], {"key": "ops.viewer"}),
    (4, ["agent", "revoke", "LON-CAS01"], {"key": "ops.b"}),
    (5, ["server", "list", "ROM-CAS01"], {}),
    (5, ["recycle", "show", "r-9999"], {}),
    (5, ["why", "ROM-CAS01"], {}),
    (6, ["recycle", "plan", "-l", "site=LON", "--floor", "100"], {}),
    (6, ["recycle", "plan", "FRA-CAS01", "--fixed-too"], {}),  # a site of one
    (0, ["recycle", "plan", "-l", "site=LON", "--floor", "50"], {}),
    (10, ["recycle", "plan", "-l", "site=LON", "--floor", "50", "--exit-code"], {}),
    (0, ["recycle", "plan", "LON-CAS03", "--exit-code"], {}),  # has the fix: no work
])
def test_exit_codes(town, code, arguments, options):
    done = town.casfleet(*arguments, **options)
    assert done.returncode == code, done.stdout + done.stderr
    if code in (2, 4, 5):
        assert done.stdout == "" and done.stderr.startswith("casfleet: ")
    else:
        assert done.stdout and done.stderr == ""


def test_exit_3_when_the_controller_cannot_be_reached(town):
    done = town.run(CASFLEET, "--controller", "tcp://127.0.0.1:1", "--controller-keys", town.public, "--key",
                    town.folder / "ops.admin.key", "--wait", "600ms", "status", expect=3)
    assert "no answer from the controller at tcp://127.0.0.1:1" in done.stderr and done.stdout == ""


def test_exit_4_for_a_key_the_controller_does_not_know(town):
    path = town.folder / "stranger.key"
    town.run(CASFLEET, "key", "new", path)
    done = town.casfleet("status", key="stranger", expect=4)
    assert "does not know your key" in done.stderr


def test_exit_7_when_nobody_is_there_to_agree(town):
    with town.peer() as stranger:
        wait_until(lambda: [r for r in town.ask("agent.list", pending="")["items"] if r["key"] == stranger.public.hex()], 10,
                   "the key to wait")
        done = town.casfleet("agent", "approve", "ROM-CAS01", expect=7)
        assert "--yes or --agent-key" in done.stderr and "?" not in done.stdout
    assert town.casfleet("server", "list", "ROM-CAS01").returncode == 5


# Why: a script asks as fast as it can start programs; each answer counts.
def test_a_hundred_questions_in_a_row_are_all_answered(town):
    assert all(town.casfleet("server", "list", "-o", "name", key="ops.viewer").returncode == 0 for _ in range(100))


DOCUMENTS = [["status"], ["server", "list"], ["server", "show", "all"], ["patch", "report"], ["recycle", "list"], ["agent", "list"],
             ["why", "LON-CAS01"], ["recycle", "plan", "-l", "site=LON", "--floor", "50"]]


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=lambda a: " ".join(a[:2]))
def test_json_is_ascii_with_version_kind_and_items(town, arguments):
    done = town.casfleet(*arguments, "-o", "json")
    assert done.stdout.isascii()
    document = json.loads(done.stdout)
    assert document["apiVersion"] == "casfleet/v1" and document["kind"]
    assert isinstance(document.get("items", document.get("waves")), list)


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=lambda a: " ".join(a[:2]))
def test_csv_has_one_head_and_rows_as_wide_and_tables_no_blanks_at_the_end(town, arguments):
    rows = list(csv.reader(io.StringIO(town.casfleet(*arguments, "-o", "csv").stdout)))
    assert rows and all(len(row) == len(rows[0]) for row in rows)
    assert all(re.fullmatch("[a-z_0-9]+", key) for key in rows[0])
    for shape in ("table", "wide"):
        for line in lines_of(town.casfleet(*arguments, "-o", shape)):
            assert line == line.rstrip(), f"{shape}: {line!r}"


def test_names_are_one_a_line(town):
    names = lines_of(town.casfleet("server", "list", "-l", "site=LON", "-o", "name"))
    assert names == ["LON-CAS01", "LON-CAS02", "LON-CAS03", "LON-CAS04"]


def test_wide_has_more_columns_than_table(town):
    table, wide = (lines_of(town.casfleet("server", "list", "-o", shape))[0].split() for shape in ("table", "wide"))
    assert set(table) < set(wide)


@pytest.mark.parametrize("arguments,wanted", [
    (["LON-CAS[01-02]"], "1 2"), (["LON-CAS[01-02,04]"], "1 2 4"), (["lon-cas01", "LON-CAS04"], "1 4"), (["LON-CAS[01-04]", "-x", "LON-CAS[02-03]"], "1 4"),
    (["-l", "site=LON,fix=lacks"], "1 2 4"), (["-l", "site=LON,build<2016:CU11"], "1 2 4"), (["-l", "site=LON,fix=has"], "3"),
    (["-l", "site=LON,state=up", "-x", "LON-CAS04"], "1 2 3"), (["LON-CAS01,LON-CAS02"], "1 2"), (["-l", "product=2016,site=LON"], "2 3 4"),
])
def test_node_sets_selectors_and_exclusions(town, arguments, wanted):
    names = lines_of(town.casfleet("server", "list", *arguments, "-o", "name"))
    assert names == [f"LON-CAS0{n}" for n in wanted.split()]


def test_all_and_nothing_named_are_all_servers(town):
    every = lines_of(town.casfleet("server", "list", "-o", "name"))
    assert every == lines_of(town.casfleet("server", "list", "all", "-o", "name")) and len(every) == 6


def test_answers_fold_names_into_node_sets(town):
    assert "LON-CAS[01-02,04]" in town.casfleet("patch", "report").stdout
    plan = town.json("recycle", "plan", "-l", "site=LON", "--floor", "50", "--at-once", "2", "--no-canary")
    assert plan["servers"] == "LON-CAS[01-02,04]"


@pytest.mark.parametrize("noun,verb", [(noun, verb) for noun, verbs in NOUNS.items() for verb in verbs])
def test_each_verb_has_help(noun, verb):
    words = [noun, verb] if verb else [noun]
    done = Farm.run(CASFLEET, *words, "--help", expect=0)
    assert done.stdout.startswith(f"casfleet {' '.join(words)}") and len(lines_of(done)) >= 2
    assert Farm.run(CASFLEET, "help", *words, expect=0).stdout == done.stdout


def test_help_of_all_names_every_verb_and_every_exit_code():
    text = Farm.run(CASFLEET, "--help", expect=0).stdout
    for noun, verbs in NOUNS.items():
        for verb in verbs:
            assert f"  {noun} {verb}".rstrip() in text
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 10):
        assert re.search(rf"\b{code} [a-z]", text)
    assert Farm.run(CASFLEET, expect=0).stdout == text
    for program in ("controller/casfleet", "controller/casfleet-controller", "agent/casfleet-agent"):
        assert re.fullmatch(r"casfleet\S* \d+\.\d+\.\d+\n", Farm.run(BIN / program, "--version", expect=0).stdout)
        assert "--help" not in Farm.run(BIN / program, "--help", expect=0).stderr


# Why: NO_COLOR, and output that goes to a file or a pipe, must be plain.
def test_no_escape_sequences_without_a_terminal(town):
    for arguments in DOCUMENTS:
        assert "\033" not in town.casfleet(*arguments).stdout


USAGE = [
    (["frobnicate"], "casfleet frobnicate: no such command"),
    (["server", "frob"], "casfleet server frob: no such command"),
    (["server"], "casfleet server"),
    (["server", "list", "-o", "xml"], "-o xml: table, wide, json, csv or name"),
    (["server", "list", "-o"], "-o: its value is missing"),
    (["server", "list", "--gap", "1m"], "casfleet server list does not take --gap"),
    (["server", "list", "--selector"], "--selector: its value is missing"),
    (["server", "show"], "name the servers"),
    (["server", "list", "LON-CAS["], "LON-CAS["),
    (["server", "list", "LON-CAS[5-1]"], "5-1"),
    (["server", "list", "LON-CAS[1-99999999]"], "LON-CAS[1-99999999]"),
    (["server", "list", "-l", "colour=red"], "colour"),
    (["server", "list", "-l", "build<2016:CU99"], "2016:CU99"),
    (["server", "list", "-l", "site"], "site"),
    (["recycle", "plan"], "name the servers"),
    (["recycle", "plan", "all", "--at", "soon"], '"soon" is no time'),
    (["recycle", "plan", "all", "--at", "25:00"], '"25:00" is no time'),
    (["recycle", "plan", "all", "--at", "2026-02-30T00:00Z"], "2026-02-30"),
    (["recycle", "plan", "all", "--gap", "10"], "--gap: "),
    (["recycle", "plan", "all", "--gap", "25h"], "--gap: "),
    (["recycle", "plan", "all", "--at-once", "0"], "--at-once: "),
    (["recycle", "plan", "all", "--at-once", "two"], "--at-once: "),
    (["recycle", "plan", "all", "--floor", "101"], "--floor: "),
    (["recycle", "plan", "all", "--stop-after", "-1"], "--stop-after: "),
    (["recycle", "plan", "all", "--verb", "reboot"], "recycle, drain, undrain or probe"),
    (["recycle", "plan", "all", "--gap", "1m", "--settle", "30s"], "--settle is shorter than the gap"),
    (["recycle", "plan", "all", "--at", "now", "--now"], "given twice"),
    (["recycle", "plan", "all", "--until", "2020-01-01T00:00Z"], "--until is not after --at"),
    (["recycle", "run"], "ID is missing"),
    (["recycle", "run", "r-x"], '"r-x" is no rollout'),
    (["recycle", "show", "r-1", "r-2"], "r-2: one too many"),
    (["recycle", "watch", "r-1", "--every", "1"], "--every"),
    (["patch", "report", "--below", "2016:CUX"], "2016:CUX"),
    (["agent", "approve", "bad/name", "--agent-key", "00" * 32], "is no server name"),
    (["agent", "approve", "X", "--agent-key", "zz"], "zz"),
    (["status", "now"], "now: takes no target"),
    (["server", "label", "LON-CAS01"], "name a label"),
    (["server", "label", "LON-CAS01", "--site", "a b"], "is no label"),
    (["recycle", "retry", "r-1"], "name the servers"),
    (["key", "new"], "NAME is missing"),
]


# Why: a mistake is answered with what was typed and what is taken, never with a crash or with doing half of it.
@pytest.mark.parametrize("arguments,words", USAGE, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_what_is_typed_wrong_is_named(town, arguments, words):
    done = town.casfleet(*arguments)
    assert done.returncode in (2, 5) and done.stdout == "", f"{done.returncode}: {done.stdout}"
    assert done.returncode == 2 or arguments[:2] == ["agent", "approve"]
    assert words in done.stderr and len(lines_of_error(done)) == 1


def lines_of_error(done):
    return done.stderr.splitlines()


# Why: bytes of any kind may come by accident: none may crash a program or reach a terminal raw.
@pytest.mark.parametrize("word", ["\033[31mred", "a\x07b", "\udcff\udcfe", "%n%s%d", "x" * 20000, "'; drop table server; --", "../../etc/passwd",
                                  "$(reboot)", "", " ", "LON-CAS[01-16", "[]", "[[[[", "\u202e"])
@pytest.mark.parametrize("verb", [["server", "list"], ["why"], ["recycle", "show"], ["recycle", "plan", "all", "--at"], ["server", "list", "-l"]])
def test_hostile_words_are_refused_as_words(town, verb, word):
    done = subprocess.run([str(CASFLEET), "--controller", town.endpoints["operators"], "--controller-keys", str(town.public), "--key",
                           str(town.folder / "ops.admin.key"), *verb, word], capture_output=True, timeout=30, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode in (0, 2, 5), (done.returncode, done.stderr)
    assert all(byte == 10 or 32 <= byte < 127 for byte in done.stdout + done.stderr), done.stderr
    assert town.casfleet("agent", "list").returncode == 0

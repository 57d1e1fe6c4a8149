"""A CAS server of doubles in a Wine prefix of its own, with the real Windows programs on it; a part of a Farm.

One template is made a run; each server gets a copy of hard links. Everything runs in the caller's network namespace, which
must be its own: the TCP table that Wine shows is the namespace's. Programs are believed by their last line, not by their
exit code alone: a crash may come out as 0.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from farm import POOL, TOP, Process, wait_until
from proofs import copy_of

WINDOWS = pathlib.Path(os.environ.get("CASFLEET_WINDOWS", TOP / "build" / "windows"))
FAILPOINTS = pathlib.Path(os.environ.get("CASFLEET_WINDOWS_FAILPOINTS", TOP / "build" / "windows-failpoints"))
DOUBLES = TOP / "tests/windows"
INETSRV = "windows/system32/inetsrv"
EXCHANGE_BIN = "Program Files/Microsoft/Exchange Server/V15/bin"
STATES = r"HKLM\SOFTWARE\Microsoft\ExchangeServer\v15\ServerComponentStates\ActiveSyncProxy"
PROGRAM_FILES, PROGRAM_DATA = "Program Files/casfleet", "ProgramData/casfleet/agent"
AGENT = r"C:\Program Files\casfleet\casfleet-agent.exe"
SERVICE = "casfleet-agent"
OURS = "Sidelined"  # the requester that the agent drains under


def environment(prefix, more=None):
    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "CASFLEET_CONFIG")}
    return {**env, "WINEPREFIX": str(prefix), "WINEARCH": "win64", "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "winedbg.exe=d;mscoree,mshtml=d", **(more or {})}


def text_of(data):
    """What a Windows program printed: UTF-8, or the console's bytes."""
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return data.decode("cp850").replace("\r\n", "\n")


class Template:
    """A prefix with Exchange's traces and the doubles in it, and the health page's certificate."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.prefix, self.certificate = self.folder / "prefix", self.folder / "health.pem"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.wine("wineboot", "-i")
        self.wine("wine", "reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
        self.wine("wine", "regedit", "/S", str(DOUBLES / "exchange.reg"))
        self.wine("wineserver", "-w")
        drive = self.prefix / "drive_c"
        for folder in ("doubles", INETSRV, EXCHANGE_BIN):
            (drive / folder).mkdir(parents=True, exist_ok=True)
        for name in ("was", "w3wp", "appcmd", "slow"):
            shutil.copy(WINDOWS / f"tests/windows/{name}.exe", drive / INETSRV)
        shutil.copy(WINDOWS / "tests/windows/ExSetup.exe", drive / EXCHANGE_BIN)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=health", "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")],
                       check=True, capture_output=True)
        self.certificate.write_bytes((self.folder / "key.pem").read_bytes() + (self.folder / "cert.pem").read_bytes())

    def wine(self, *arguments):
        subprocess.run(arguments, env=environment(self.prefix), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=180)

    def copy_to(self, prefix):
        """Hard links, but for what Wine writes in place."""
        subprocess.run(["cp", "-al", str(self.prefix), str(prefix)], check=True)
        for name in ("system.reg", "user.reg", "userdef.reg"):
            (prefix / name).unlink()
            shutil.copy(self.prefix / name, prefix / name)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """One CAS server: WAS with a leaking worker, appcmd, Exchange's traces, a health page, and what is installed on it."""

    def __init__(self, farm, template, name="LON-CAS01", site="LON", sockets=20, megabytes=40, shutdown_ms=400):
        self.farm, self.template, self.name, self.site = farm, template, name, site
        self.folder = farm.folder / name
        self.folder.mkdir()
        self.prefix = self.folder / "prefix"
        self.drive = self.prefix / "drive_c"
        self.doubles = self.drive / "doubles"
        self.state = self.drive / PROGRAM_DATA
        self.process = self.was = self.health = None
        self.sockets, self.megabytes, self.shutdown_ms = sockets, megabytes, shutdown_ms
        self.log_n = self.by_hand = 0  # logs begun; recycles that no command asked for
        template.copy_to(self.prefix)
        # Where proofs look for them beside other agents' files.
        (self.folder / "effects.log").symlink_to(self.doubles / "effects.log")
        for name in ("ledger.db", "ledger.db-wal", "outbox.db", "outbox.db-wal"):
            (self.folder / name).symlink_to(self.state / name)
        # It stays when no program runs; services end otherwise.
        self.run_raw("wineserver", "-p")

    # ---- programs ----

    def run_raw(self, *arguments, seconds=60, env=None):
        """Output through files: what a program leaves running would hold a pipe open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run([str(a) for a in arguments], env=environment(self.prefix, env), stdout=out, stderr=err,
                                  timeout=seconds, check=False, stdin=subprocess.DEVNULL, cwd=self.folder)
            out.seek(0)
            err.seek(0)
            done.stdout, done.stderr = out.read(), err.read()
            return done

    def wine(self, *arguments, seconds=60, expect=0, env=None):
        """A program of this server's: its output, standard error behind it."""
        done = self.run_raw("wine", *arguments, seconds=seconds, env=env)
        text = text_of(done.stdout) + text_of(done.stderr)
        assert expect is None or done.returncode == expect, f"{arguments}: {done.returncode}\n{text}"
        return text

    def begin(self, name, *arguments, env=None):
        """A program that stays; its output goes to NAME.log."""
        self.log_n += 1
        return Process(["wine", *arguments], self.folder / f"{self.log_n}-{name}.log", environment(self.prefix, env))

    def path(self, windows_path):
        return self.drive / windows_path.replace("C:\\", "").replace("\\", "/")

    # ---- the doubles ----

    def start_doubles(self):
        self.was = self.begin("was", r"C:\windows\system32\inetsrv\was.exe", POOL, self.megabytes, self.sockets, self.shutdown_ms,
                              self.name)
        wait_until(lambda: "is ready" in self.was.text(), 30, lambda: f"was: {self.was.text()}")
        self.health = Process(["/usr/bin/python3", DOUBLES / "health.py", self.doubles, self.template.certificate],
                              self.folder / "health.log")
        wait_until(lambda: "health: ready" in self.health.text(), 20, lambda: f"health: {self.health.text()}")
        return self

    def mode(self, name, word):
        """How a double behaves from now on: was, appcmd or health."""
        path = self.doubles / f"{name}.mode"
        beside = path.with_suffix(".beside")
        beside.write_text(word + "\n", encoding="ascii")
        beside.rename(path)

    def effects(self, kind=None):
        path = self.doubles / "effects.log"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [e for e in found if kind is None or e["effect"] == kind]

    def state_set(self, requester, is_active):
        self.wine("reg", "add", STATES, "/v", requester, "/t", "REG_SZ", "/d", f"1:{int(is_active)}:638000000000000000", "/f")

    def state_get(self, requester):
        """The registry's value, such as 1:0:638000000000000000."""
        return re.search(r"REG_SZ\s+(\S+)", self.wine("reg", "query", STATES, "/v", requester))[1]

    def drained(self):
        """As an agent leaves the server that drained it and was ended before it could undrain."""
        self.wine("reg", "add", r"HKLM\SOFTWARE\casfleet\Agent", "/v", "DrainTicks", "/t", "REG_QWORD", "/d", "638000000000000000", "/f")
        self.state_set(OURS, False)

    def processes(self, name):
        """Pids of this prefix's programs of that file name, by the kernel."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_ours = f"WINEPREFIX={self.prefix}\0".encode() in (folder / "environ").read_bytes()
                if is_ours and name.encode() in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                    found.append(int(folder.name))
        return found

    def own_memory(self, name):
        """KiB in memory that are a program's own: its heaps, stacks and image, without the code of the system's libraries."""
        pid, = self.processes(name)
        kib = 0
        for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path(f"/proc/{pid}/smaps").read_text(), flags=re.M)[1:]:
            is_image = mapping.split("\n", 1)[0].endswith("/" + name)
            kib += int(re.search(r"^Rss:\s+(\d+)" if is_image else r"^Anonymous:\s+(\d+)", mapping, re.M)[1])
        return kib

    def close_wait(self):
        """CLOSE_WAIT sockets of the whole namespace, by the kernel."""
        out = subprocess.run(["ss", "-Htn", "state", "close-wait"], capture_output=True, text=True, check=True).stdout
        return len(out.splitlines())

    # ---- the package ----

    def msiexec(self, *arguments, expect=0):
        log = self.folder / f"msi{self.log_n}.log"
        self.log_n += 1
        done = self.run_raw("wine", "msiexec", *arguments, "/qn", "/l*v", f"Z:{log}", seconds=120)
        text = log.read_bytes() if log.exists() else b""
        said = text.decode("utf-16" if text.startswith(b"\xff\xfe") else "utf-8", errors="replace")
        assert done.returncode == expect, f"msiexec {arguments}: {done.returncode}\n{said[-3000:]}"
        return said

    def install(self, msi, *properties):
        return self.msiexec("/i", f"Z:{msi}", *properties)

    def controller_properties(self):
        return [f"CONTROLLER={self.farm.endpoints['agents']}", f"CONTROLLERKEYS=Z:{self.farm.public}"]

    def settings(self, **options):
        """Written into the service's file, as an administrator would: at its end, before or after the installation."""
        self.state.mkdir(parents=True, exist_ok=True)
        with open(self.state / "agent.ini", "a", encoding="utf-8", newline="") as file:
            file.writelines(f"{key} = {value}\r\n" for key, value in options.items())

    def service_state(self):
        found = re.search(r"STATE\s*:\s*\d+\s+(\w+)", self.wine("sc", "query", SERVICE, expect=None))
        return found[1] if found else None

    # ---- the agent without a service ----

    def unpack(self, build=None):
        """The agent as from the zip, with settings of its own, run at the console."""
        build = build or FAILPOINTS
        folder = self.drive / PROGRAM_FILES
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(build / "agent/casfleet-agent.exe", folder)
        self.state.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.farm.public, self.state / "controller.pub")
        (self.state / "agent.ini").write_text(
            f"controller = {self.farm.endpoints['agents']}\ncontroller_keys = C:\\ProgramData\\casfleet\\agent\\controller.pub\n"
            "sample = 1s\nreport = 1s\nredial = 1s\n", encoding="utf-8")
        return self

    def start(self, env=None):
        self.process = self.begin("agent", AGENT, "run", env=env)
        return self

    def restart(self, env=None):
        self.process.kill()
        return self.start(env)

    def key(self):
        out = self.wine(AGENT, "--fingerprint")
        return re.search(r"[0-9a-f]{64}", out)[0]

    def approve_waiting(self, seconds=40):
        """Waits until its key is shown as waiting, then lets it in; returns the key."""
        rows = wait_until(lambda: self.farm.ask("agent.list", pending="")["items"], seconds, self.words)
        key = rows[0]["key"]
        self.farm.casfleet("agent", "approve", self.name, "--agent-key", key, "--site", self.site, expect=0)
        return key

    def words(self):
        """What the agent says, for a message about a failure."""
        text = self.process.text() if self.process else ""
        log = self.state / "agent.log"
        if log.exists():
            text += log.read_text(errors="replace")
        return text[-4000:] + self.farm.controller.text()[-1500:]

    def shown(self):
        return self.farm.ask("server.show", target=self.name)["items"][0]

    def symptoms(self):
        return {s["name"]: s for s in self.shown()["symptoms"]}

    def is_up(self):
        row = next((r for r in self.farm.ask("server.list")["items"] if r["name"] == self.name), None)
        return row is not None and row["state"] == "up" and row["proof_age_ms"] is not None

    def wait_up(self, seconds=40):
        wait_until(self.is_up, seconds, self.words)
        return self

    # ---- proofs ----

    def ledger(self):
        """Commands of the agent's journal: (state, pid_before, pid_after), in order."""
        with copy_of(self.folder / "ledger.db") as ledger:
            return ledger.execute("SELECT state, pid_before, pid_after FROM command ORDER BY seq").fetchall()

    def close(self):
        for process in (self.process, self.health):
            if process:
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run_raw("wineserver", "-k", seconds=20)
            self.run_raw("wineserver", "-w", seconds=20)
        if self.was:
            self.was.kill()
        end = time.monotonic() + 5
        while self.prefix.exists() and time.monotonic() < end:
            shutil.rmtree(self.prefix, ignore_errors=True)

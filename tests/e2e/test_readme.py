"""Every command that README shows is typed here, in the order in which it stands there, against a farm made as README says."""
import re
import shlex
import subprocess

import pytest

from farm import BIN, TOP, Farm, Process, wait_until

README = TOP / "README.md"
PROGRAMS = {"casfleet": BIN / "controller/casfleet", "casfleet-controller": BIN / "controller/casfleet-controller",
            "casfleet-agent": BIN / "agent/casfleet-agent"}
FINE = {0: "done", 1: "needs attention", 10: "there is work"}


def commands():
    """The lines of all blocks marked sh; other blocks are output."""
    for block in re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


class Reader:
    """Somebody who does what README says, with folders and ports of the test's own."""

    def __init__(self, folder):
        self.folder, self.processes, self.farm = folder, [], None
        self.last_key = self.agent_key = None
        self.state = folder / "controller"
        (folder / "server.ini").write_text("name = LON-CAS01\nbuild = 15.1.1466.3\nspeed = 200\n")

    def local(self, word):
        word = re.sub(r"^/var/lib/casfleet(-controller)?", str(self.state), word)
        return re.sub(r"^tcp://[^:]+:\d+$", "tcp://127.0.0.1:*", word)

    def run(self, program, words):
        return subprocess.run([str(PROGRAMS[program]), *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, env={"CASFLEET_CONFIG": str(self.folder / "casfleet.conf"), "PATH": "/usr/bin:/bin"})

    def begin(self, program, words):
        process = Process([PROGRAMS[program], *words], self.folder / f"{program}.log")
        self.processes.append(process)
        wait_until(lambda: " start " in process.text() or not process.is_alive(), 20, process.text)
        assert process.is_alive(), process.text()
        return process

    def connected(self):
        """What an agent's and an operator's file say, once the controller has told where it listens."""
        ports = dict(line.split("=", 1) for line in (self.state / "endpoints").read_text().split())
        (self.folder / "agent.ini").write_text(
            f"controller = {ports['agents']}\ncontroller_keys = {self.state}/controller.pub\nstate = {self.folder}/agent\nhost = sim\n"
            f"host_settings = {self.folder}/server.ini\nsample = 1s\nreport = 1s\nredial = 1s\n")
        (self.folder / "casfleet.conf").write_text(
            f"controller = {ports['operators']}\ncontroller_keys = {self.state}/controller.pub\nkey = {self.folder}/ops.key\n")
        self.ports = ports

    def controller(self, words):
        words = [self.local(word).replace("KEY", self.last_key or "") for word in words]
        if words[0] == "run":
            self.begin("casfleet-controller", [*words[:-1], str(self.folder / words[-1])])
            self.connected()
            return
        done = self.run("casfleet-controller", words)
        assert done.returncode == 0, done.stderr

    def agent(self, words):
        words = [str(self.folder / word) if word.endswith(".ini") else word for word in words]
        if words[0] == "--config" and len(words) == 2:
            self.begin("casfleet-agent", words)
            wait_until(lambda: self.agent_key[:9] in self.run("casfleet", ["agent", "list", "--pending"]).stdout.replace("-", "")
                       or self.fingerprint in self.run("casfleet", ["agent", "list", "--pending"]).stdout, 20, "the agent to knock")
            return
        done = self.run("casfleet-agent", words)
        assert done.returncode in FINE, f"casfleet-agent {' '.join(words)}: {done.returncode} {done.stdout}{done.stderr}"
        if "--fingerprint" in words:
            self.agent_key = re.search(r"[0-9a-f]{64}", done.stdout)[0]
            self.fingerprint = re.search(r"fingerprint\s+(\S+)", done.stdout)[1]

    def casfleet(self, words):
        if words[:2] == ["recycle", "plan"]:
            self.more_servers()
        words = [word.replace("KEY", self.agent_key or "") if "--agent-key" in words else word for word in words]
        if words[:2] == ["recycle", "watch"]:
            self.watch(words)
            return
        done = self.run("casfleet", words)
        assert done.returncode in FINE, f"casfleet {' '.join(words)}: {done.returncode} {done.stdout}{done.stderr}"
        if words[:2] == ["key", "new"]:
            self.last_key = done.stdout.strip()
        if words[:2] == ["agent", "approve"]:
            wait_until(lambda: self.run("casfleet", ["server", "list", "-l", "state=up,fix=lacks"]).returncode == 0, 20,
                       "the agent to be let in and to report")

    def watch(self, words):
        """Left again as soon as it shows something: what is scheduled for tonight takes too long."""
        watching = subprocess.Popen([str(PROGRAMS["casfleet"]), *words], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    stdin=subprocess.DEVNULL, text=True, env={"CASFLEET_CONFIG": str(self.folder / "casfleet.conf")})
        assert words[2] in watching.stdout.readline()
        watching.send_signal(2)
        assert watching.wait(10) == 0

    def more_servers(self):
        """A plan needs a site of which one may be out."""
        for number in range(2, 6):
            folder = self.folder / f"LON-CAS{number:02}"
            if folder.exists():
                return
            folder.mkdir()
            (folder / "server.ini").write_text(f"name = {folder.name}\nbuild = 15.1.1466.3\nspeed = 200\n")
            config = folder / "agent.ini"
            config.write_text((self.folder / "agent.ini").read_text().replace(f"{self.folder}/agent", f"{folder}/agent")
                              .replace(f"{self.folder}/server.ini", f"{folder}/server.ini"))
            shown = self.run("casfleet-agent", ["--config", str(config), "--fingerprint"])
            key = re.search(r"[0-9a-f]{64}", shown.stdout)[0]
            assert self.run("casfleet", ["agent", "approve", folder.name, "--agent-key", key, "--site", "LON"]).returncode == 0
            self.begin("casfleet-agent", ["--config", str(config)])
        wait_until(lambda: self.run("casfleet", ["server", "list", "-l", "state=up", "-o", "name"]).stdout.count("\n") == 5, 30,
                   "five servers to be up")

    def quickstart(self, words):
        """Its help names each command and option; the demo itself is run by tests/run_all.sh."""
        text = Farm.run(TOP / "quickstart.sh", "--help", expect=0).stdout
        assert all(word in text for word in words if not word.isdigit()), f"{words} is not in its help"

    def close(self):
        for process in self.processes:
            process.signal(15)
        for process in self.processes:
            process.stop()


@pytest.fixture
def reader(tmp_path):
    made = Reader(tmp_path)
    yield made
    made.close()


# Why: a command that stands in README and does not work costs every reader's time.
def test_every_command_of_readme_does_what_it_should(reader):
    done = 0
    for words in commands():
        program = words[0]
        if program == "./quickstart.sh":
            reader.quickstart(words[1:])
        elif program == "casfleet-controller":
            reader.controller(words[1:])
        elif program == "casfleet-agent":
            reader.agent(words[1:])
        elif program == "casfleet":
            reader.casfleet(words[1:])
        else:
            pytest.fail(f"README shows {' '.join(words)}, and nothing here runs it")
        done += 1
    assert done >= 20, "README's commands stand in blocks marked sh"


def test_every_exit_code_and_file_that_readme_names_is_there():
    text = README.read_text()
    for path in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in path:
            assert (TOP / path).exists(), path
    for name in set(re.findall(r"`([a-z_]+\.(?:c|py))`", text)):
        assert list(TOP.glob(f"**/{name}")), name
    shown = Farm.run(PROGRAMS["casfleet"], "--help", expect=0).stdout
    for code in re.findall(r"\b(\d+) (?:done|a target|usage|controller un|not allowed|nothing m|refused|stopped|`recycle)", text):
        assert re.search(rf"\b{code} ", shown), code

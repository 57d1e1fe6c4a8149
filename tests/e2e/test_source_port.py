"""An agent with a reserved source port: it must get through when its server has no dynamic port left."""
import pathlib
import signal
import socket

from farm import wait_until

ESTABLISHED = "01"


def free_port():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        return taken.getsockname()[1]


def source_ports(remote_port):
    """Local ports of the connections to a port of this machine, as the kernel lists them."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows
            if row[3] == ESTABLISHED and int(row[2].split(":")[1], 16) == remote_port}


# Why: the agent tells of port exhaustion while it lasts; a port of its own must serve every connection, not the first alone.
def test_every_connection_comes_from_the_port_named(farm):
    target = farm.endpoints["agents"].removeprefix("tcp://")
    remote_port, port = int(target.rsplit(":", 1)[1]), free_port()
    agent = farm.agent("LON-CAS01", is_started=False)
    agent.options["controller"] = f"tcp://0.0.0.0:{port};{target}"
    agent.write()
    agent.start()
    farm.wait_up()
    assert source_ports(remote_port) == {port}

    for number in (signal.SIGTERM, signal.SIGKILL):
        farm.controller.signal(number)
        farm.controller.popen.wait(20)
        farm.start()
        wait_until(agent.is_up, 60, agent.process.text)
        assert source_ports(remote_port) == {port}
    assert agent.process.is_alive()

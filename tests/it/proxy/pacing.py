"""Says which congestion control a proxy has on its connections to peers in its machine and in another one.

usage: unshare --net pacing.py PROXY DIRECTORY

The other machine is a network namespace, and so is this one. Prints "system NAME", and "PLACE PEER NAME" for each
connection, where PLACE is client or node.
"""

import os
import signal
import socket
import subprocess
import sys
import time

PROXY, DIRECTORY = sys.argv[1:]
HERE, THERE = "10.0.0.1", "10.0.0.2"
PORT, NODE = 7000, 7001
SYSTEM = "/proc/sys/net/ipv4/tcp_congestion_control"
PATIENCE = 20

children = []


def start(*arguments, **options):
    children.append(subprocess.Popen(arguments, stdout=subprocess.DEVNULL, **options))
    return children[-1]


def run(*arguments):
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout


def eventually(what, attempt):
    until = time.monotonic() + PATIENCE
    while True:
        try:
            found = attempt()
        except OSError:
            found = None
        if found:
            return found
        if time.monotonic() > until:
            sys.exit(f"{what} within {PATIENCE} s")
        time.sleep(0.02)


def another_machine():
    """Starts a process in a network of its own, with a wire to ours, and answers what runs others beside it."""
    holder = start("unshare", "--net", "sleep", "600")
    ours = os.readlink("/proc/self/ns/net")
    theirs = f"/proc/{holder.pid}/ns/net"
    eventually("there is another network", lambda: os.readlink(theirs) != ours)
    there = ("nsenter", f"--net={theirs}")
    run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(holder.pid))
    for beside, device, address in [((), "here", HERE), (there, "there", THERE)]:
        run(*beside, "ip", "link", "set", "lo", "up")
        run(*beside, "ip", "address", "add", address + "/24", "dev", device)
        run(*beside, "ip", "link", "set", device, "up")
    return there


def redis(*beside, address):
    start(*beside, "redis-server", "--bind", address, "--port", str(NODE), "--save", "", "--protected-mode", "no")


def proxy():
    configuration = os.path.join(DIRECTORY, "pacing.yml")
    with open(configuration, "w", encoding="ascii") as file:
        file.write(f"a:\n  listen: 0.0.0.0:{PORT}\n  redis: true\n  timeout: 10000\n  servers:\n")
        file.writelines(f"   - {node}:{NODE}:1\n" for node in ["127.0.0.1", THERE])
    return start(PROXY, "-c", configuration, "-s", str(PORT + 2), stderr=subprocess.DEVNULL)


def talk():
    """A client of this machine, whose request goes to both nodes."""
    keys = [f"key{number}" for number in range(50)]
    client = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
    client.sendall(f"MGET {' '.join(keys)}\r\n".encode())
    wanted = b"*50\r\n" + b"$-1\r\n" * 50
    reply = b""
    while len(reply) < len(wanted):
        reply += client.recv(len(wanted)) or sys.exit("the proxy closed its client")
        if reply != wanted[: len(reply)]:
            client.close()
            raise ConnectionError("a node is not there yet")
    return client


def connections(pid):
    """Those of a process: its port, the peer's address and port, the congestion control."""
    for line in run("ss", "-HtniOp", "state", "established").splitlines():
        if f"pid={pid}," in line:
            _, _, ours, theirs, _, name = line.split()[:6]
            yield int(ours.rpartition(":")[2]), *theirs.rpartition(":")[::2], name


def main():
    there = another_machine()
    try:
        with open(SYSTEM, "w", encoding="ascii") as file:
            file.write("bbr")
    except OSError:
        pass  # Not every system has it.
    with open(SYSTEM, encoding="ascii") as file:
        print("system", file.read().strip())
    redis(address="127.0.0.1")
    redis(*there, address=THERE)
    pid = proxy().pid
    client = eventually("the proxy serves", talk)
    start(*there, "redis-cli", "-h", HERE, "-p", str(PORT), "subscribe", "news")
    for_clients = lambda: [peer for ours, peer, _, _ in connections(pid) if ours == PORT]
    eventually("the other machine has come", lambda: THERE in for_clients())
    for ours, peer, port, name in sorted(connections(pid)):
        if ours == PORT or port == str(NODE):
            print("client" if ours == PORT else "node", peer, name)
    client.close()


try:
    main()
finally:
    for child in children:
        child.send_signal(signal.SIGTERM)
    for child in children:
        child.wait()

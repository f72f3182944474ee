# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the mesh inside a guest, in one process: a namespace for each router, veth pairs
between them as links of its ratman0, and a ratmand in each.

    topology.py ROUTERS MODULE(0|1) RATMAND(or empty) PATIENCE(seconds for the daemons to answer)

The links are in /run/vm/topology (one "A B [netem arguments]" a line, checked by scripts/vm).
Everything goes through system calls and rtnetlink, since starting a program
costs 13 to 30 ms in a guest. On any error: a message to stderr and status 1.
"""

import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
import time

RUN = "/run/ratman"
API = ("127.0.0.1", 5852)

CLONE_NEWNET = 0x40000000
MS_BIND = 4096
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    pass


def syscall(result, what):
    if result != 0:
        raise Failure(f"{what}: {os.strerror(ctypes.get_errno())}")


def enter(router):
    """Move this process into the namespace of a router."""
    fd = os.open(f"/run/netns/r{router}", os.O_RDONLY)
    try:
        syscall(libc.setns(fd, CLONE_NEWNET), f"entering the namespace of router {router}")
    finally:
        os.close(fd)


def sysctl(name, value):
    """Network settings; /proc/sys/net shows those of the namespace we are in."""
    with open(f"/proc/sys/net/{name}", "w") as file:
        file.write(str(value))


class Netlink:
    """As much rtnetlink as a topology needs, bound to the namespace it was opened in."""

    RTM_NEWLINK = 16
    REQUEST, ACK, EXCL, CREATE = 0x1, 0x4, 0x200, 0x400
    ERROR = 2
    IFF_UP = 1
    IFNAME, MASTER, LINKINFO, NET_NS_FD = 3, 10, 18, 28
    INFO_KIND, INFO_DATA = 1, 2
    VETH_INFO_PEER = 1
    NESTED = 0x8000
    ACK_TLVS, MESSAGE = 0x200, 1
    SOL_NETLINK, EXT_ACK = 270, 11

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.setsockopt(self.SOL_NETLINK, self.EXT_ACK, 1)
        self.sequence = 0

    @staticmethod
    def attribute(kind, payload):
        length = 4 + len(payload)
        return struct.pack("=HH", length, kind) + payload + bytes(-length % 4)

    @classmethod
    def name(cls, name):
        return cls.attribute(cls.IFNAME, name.encode() + b"\0")

    def request(self, what, flags, index, up, attributes):
        state = self.IFF_UP if up else 0
        body = struct.pack("=BxHiII", 0, 0, index, state, state) + attributes
        self.sequence += 1
        self.socket.send(struct.pack("=IHHII", 16 + len(body), self.RTM_NEWLINK,
                                     self.REQUEST | self.ACK | flags, self.sequence, 0) + body)
        answer = self.socket.recv(65536)
        kind, flags = struct.unpack_from("=HH", answer, 4)
        error = -struct.unpack_from("=i", answer, 16)[0]
        if kind != self.ERROR or error != 0:
            raise Failure(f"{what}: {os.strerror(error)}{self.explanation(answer, flags)}")

    def explanation(self, answer, flags):
        """The kernel's own words about an error, if it has any."""
        if not flags & self.ACK_TLVS:
            return ""
        # the error code, then the head (or all) of our request, then attributes
        at = 20 + (16 if flags & 0x100 else struct.unpack_from("=I", answer, 20)[0])
        while at + 4 <= len(answer):
            length, kind = struct.unpack_from("=HH", answer, at)
            if length < 4:
                break
            if kind == self.MESSAGE:
                return ": " + answer[at + 4:at + length].rstrip(b"\0").decode()
            at += (length + 3) & ~3
        return ""

    def add(self, name, kind):
        info = self.attribute(self.INFO_KIND, kind.encode())
        self.request(f"ip link add {name} type {kind}", self.CREATE | self.EXCL, 0, False,
                     self.name(name) + self.attribute(self.LINKINFO | self.NESTED, info))

    def add_veth(self, name, peer, peer_namespace):
        far = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + self.name(peer) + \
            self.attribute(self.NET_NS_FD, struct.pack("=i", peer_namespace))
        data = self.attribute(self.VETH_INFO_PEER | self.NESTED, far)
        info = self.attribute(self.INFO_KIND, b"veth") + \
            self.attribute(self.INFO_DATA | self.NESTED, data)
        self.request(f"ip link add {name} type veth peer {peer}", self.CREATE | self.EXCL, 0, False,
                     self.name(name) + self.attribute(self.LINKINFO | self.NESTED, info))

    def up(self, name, master=None):
        """Set a link up, after it joined its master (the kernel keeps that order)."""
        what = f"ip link set {name} up"
        attributes = b""
        if master:
            what += f" master {master}"
            attributes = self.attribute(self.MASTER, struct.pack("=I", socket.if_nametoindex(master)))
        self.request(what, 0, socket.if_nametoindex(name), True, attributes)

    def close(self):
        self.socket.close()


def read_links(path):
    """The lines of a topology as (a, b, netem arguments)."""
    links = []
    with open(path) as file:
        for line in file:
            a, b, *netem = line.split()
            links.append((int(a), int(b), netem))
    return links


def add_namespace(router, with_module):
    """A namespace in which nothing speaks on its own and IPv6 addresses work at once."""
    path = f"/run/netns/r{router}"
    syscall(libc.unshare(CLONE_NEWNET), "making a network namespace")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o444))
    syscall(libc.mount(b"/proc/self/ns/net", path.encode(), b"none", MS_BIND, None),
            f"naming the namespace {path}")
    for which in "all", "default":
        sysctl(f"ipv6/conf/{which}/accept_dad", 0)
        sysctl(f"ipv6/conf/{which}/dad_transmits", 0)
    netlink = Netlink()
    netlink.up("lo")
    if with_module:
        netlink.add("ratman0", "ratman")
    netlink.close()


def add_links(links):
    for a, b, _ in links:
        enter(a)
        netlink = Netlink()
        far = os.open(f"/run/netns/r{b}", os.O_RDONLY)
        try:
            netlink.add_veth(f"v{b}", f"v{a}", far)
        finally:
            os.close(far)
            netlink.close()


def start_links(router, names, with_module):
    enter(router)
    netlink = Netlink()
    for name in names:
        if with_module:
            # the mesh carries IPv6; the links below it need none of their own
            sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
        netlink.up(name, "ratman0" if with_module else None)
    if with_module:
        netlink.up("ratman0")
    netlink.close()


def shape(router, qdiscs):
    """Delay, loss and so on; both ends of a link get the same."""
    enter(router)
    batch = "".join(f"qdisc add dev {name} root netem {' '.join(netem)}\n" for name, netem in qdiscs)
    done = subprocess.run(["tc", "-b", "-"], input=batch, text=True, capture_output=True)
    if done.returncode != 0:
        raise Failure(f"router {router}: tc does not take the netem arguments of the topology:\n"
                      f"{batch}{done.stderr.splitlines()[0]}")


class Daemon:
    def __init__(self, router, program):
        self.router = router
        self.home = f"{RUN}/r{router}"
        self.log = f"{self.home}/ratmand.log"
        config = f"{self.home}/ratmand.conf"
        with open(config, "w") as file:
            file.write(f'state_dir = "{self.home}/state"\n'
                       f'runtime_dir = "{self.home}"\n'
                       'device = "ratman0"\n'
                       'verbosity = "debug"\n'
                       'inbound = "open"\n'
                       f'api_bind = "{API[0]}:{API[1]}"\n')
        environment = dict(os.environ, HOME=f"{self.home}/home", RATMAN_ROUTER=str(router),
                           XDG_CONFIG_HOME=f"{self.home}/config")
        enter(router)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([program, "-c", config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=environment,
                                            start_new_session=True)
        with open(f"{self.home}/ratmand.pid", "w") as file:
            file.write(f"{self.process.pid}\n")

    def answers(self):
        status = self.process.poll()
        if status is not None:
            raise Failure(self.report(f"ended at once with status {status}"))
        enter(self.router)
        with socket.socket() as connection:
            connection.settimeout(1)
            return connection.connect_ex(API) == 0

    def report(self, what):
        with open(self.log, errors="replace") as log:
            tail = log.readlines()[-20:]
        return f"ratmand of router {self.router} {what}; the end of its log:\n" + "".join(tail).rstrip()


def start_daemons(routers, program, patience):
    waiting = [Daemon(router, program) for router in routers]
    deadline = time.monotonic() + patience
    while waiting:
        waiting = [daemon for daemon in waiting if not daemon.answers()]
        if waiting and time.monotonic() > deadline:
            raise Failure(waiting[0].report(f"does not answer on {API[0]}:{API[1]} "
                                            f"within {patience} seconds"))
        time.sleep(0.02 if waiting else 0)


def build(count, with_module, program, patience):
    links = read_links("/run/vm/topology")
    routers = range(1, count + 1)
    ends = {router: [] for router in routers}
    shaped = {}
    for a, b, netem in links:
        for here, there in (a, b), (b, a):
            ends[here].append(f"v{there}")
            if netem:
                shaped.setdefault(here, []).append((f"v{there}", netem))

    for router in routers:
        for name in "home", "config", "state":
            os.makedirs(f"{RUN}/r{router}/{name}", mode=0o700)
        os.chmod(f"{RUN}/r{router}", 0o755)
        add_namespace(router, with_module)
    add_links(links)
    for router, names in ends.items():
        start_links(router, names, with_module)
    for router, qdiscs in shaped.items():
        shape(router, qdiscs)
    if program:
        start_daemons(routers, program, patience)


def main():
    count, with_module, program, patience = sys.argv[1:]
    try:
        build(int(count), with_module == "1", program, int(patience))
    except Failure as failure:
        sys.exit(f"{failure}")
    except OSError as error:
        if error.errno == errno.ENOMEM:
            sys.exit(f"{error}; give the guest more memory (scripts/vm --memory MB)")
        sys.exit(f"{error}")


main()

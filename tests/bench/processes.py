# SPDX-License-Identifier: BSD-3-Clause
"""What the bench starts, and what the kernel says of it."""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time

NQN = 'nqn.2014-08.org.nvmexpress:bench'


CALLGRIND = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null']
# A string instruction would count once for each byte that it moves.
CALLGRIND_ENV = {'GLIBC_TUNABLES': 'glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000'}


class BenchError(Exception):
    pass


class Build:
    """Programs of a build directory."""

    def __init__(self, path):
        self.path = path
        self.target = os.path.join(path, 'examples/target/nvmft-target')
        self.library = os.path.join(path, 'libnvmft.so.0')
        for name in ('floor_server', 'lean_gen', 'loopback_bench', 'tcp_target', 'alloc_count.so', 'count_steps', 'ssd_bench',
                     'ssd_bench_model', 'rdma_bench'):
            setattr(self, name.split('.')[0], os.path.join(path, 'tests/bench', name))

    def buildtype(self):
        out = subprocess.run(['meson', 'introspect', '--buildoptions', self.path], capture_output=True, text=True, check=True).stdout
        options = {o['name']: o['value'] for o in json.loads(out)}
        return options['buildtype']


def allow_files():
    """Let this process and its children have many connections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pin(cpu):
    """For preexec_fn: bind to a processor."""
    cpus = sorted(os.sched_getaffinity(0))

    def apply():
        if len(cpus) > 1:
            os.sched_setaffinity(0, {cpus[cpu % len(cpus)]})
    return apply


def schedstat(pid):
    """(seconds on a processor, seconds waiting for one) of all threads."""
    on = waited = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        fields = open(f'/proc/{pid}/task/{task}/schedstat').read().split()
        on += int(fields[0])
        waited += int(fields[1])
    return on / 1e9, waited / 1e9


def switches(pid):
    """Times that the threads went to sleep."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        text = open(f'/proc/{pid}/task/{task}/status').read()
        total += int(re.search(r'^voluntary_ctxt_switches:\s*(\d+)', text, re.M).group(1))
    return total


def rss(pid):
    text = open(f'/proc/{pid}/status').read()
    return int(re.search(r'^VmRSS:\s*(\d+)', text, re.M).group(1)) * 1024


class Server:
    """A process that serves on self.port until the with-block ends."""

    def __init__(self, argv, cpu=0, env=None, deadline=30):
        self.argv, self.cpu, self.env, self.deadline = argv, cpu, env, deadline
        self.port = None

    def __enter__(self):
        self.errors = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=self.errors, text=True, preexec_fn=pin(self.cpu),
                                        env={**os.environ, **(self.env or {})})
        self.pid = self.process.pid
        self.wait_ready()
        return self

    def complaint(self):
        self.errors.seek(0)
        return self.errors.read()[-2000:]

    def wait_ready(self):
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            raise BenchError(f'{self.argv[0]} does not start: {line}{self.complaint()}')
        self.port = int(line)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Target(Server):
    """nvmft-target with one namespace."""

    def __init__(self, build, namespace='null:1TiB,block=4096', poll='adaptive', prefix=(), **kwargs):
        self.want = free_port()
        super().__init__([*prefix, build.target, '--listen', f'tcp:127.0.0.1:{self.want}', '--subsystem', NQN, '--namespace', namespace,
                          '--poll', poll, '--log', 'warn'], **kwargs)

    def wait_ready(self):
        for line in self.process.stdout:
            if line.strip() == 'ready':
                self.port = self.want
                return
        raise BenchError(f'nvmft-target does not start: {self.complaint()}')


class Floor(Server):
    def __init__(self, build, engine, rw, bs):
        super().__init__([build.floor_server, engine, rw, str(bs)])


class Bare(Server):
    """tcp_target, which sleeps in an event loop of its own, under callgrind or another program."""

    def __init__(self, build, prefix=CALLGRIND, env=CALLGRIND_ENV):
        super().__init__([*prefix, build.tcp_target], env=env, deadline=60)


def generate(build, server, **options):
    """Run lean_gen; its result, with the server's processor time."""
    args = [f'{k}={v}' for k, v in options.items()]
    before = schedstat(server.pid)
    done = subprocess.run([build.lean_gen, str(server.port), NQN, *args], capture_output=True, text=True, preexec_fn=pin(1))
    after = schedstat(server.pid)
    if done.returncode:
        raise BenchError(f'lean_gen {" ".join(args)}: {done.stderr or done.stdout}')
    result = json.loads(done.stdout)
    result['server_cpu'] = after[0] - before[0]
    result['server_wait'] = after[1] - before[1]
    return result


class Idle:
    """Connections of lean_gen that do nothing."""

    def __init__(self, build, server, queues, depth):
        self.argv = [build.lean_gen, str(server.port), NQN, 'idle=1', f'queues={queues}', f'depth={depth}']

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pin(1))
        if self.process.stdout.readline().strip() != 'idle':
            raise BenchError('lean_gen does not connect')
        return self

    def __exit__(self, *_):
        self.process.communicate()


def loopback(build, *args, preload=False, callgrind=False):
    env = {**os.environ, **(CALLGRIND_ENV if callgrind else {})}
    prefix = CALLGRIND if callgrind else ()
    if preload:
        env['LD_PRELOAD'] = build.alloc_count
    done = subprocess.run([*prefix, build.loopback_bench, *map(str, args)], capture_output=True, text=True, env=env, preexec_fn=pin(0))
    if done.returncode:
        raise BenchError(f'loopback_bench {args}: {done.stderr}')
    return json.loads(done.stdout), done.stderr


def settle(value, tries=50):
    """Wait until a number stops changing."""
    last = value()
    for _ in range(tries):
        time.sleep(0.1)
        now = value()
        if now == last:
            break
        last = now
    return last

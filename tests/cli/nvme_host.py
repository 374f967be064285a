# SPDX-License-Identifier: BSD-3-Clause
"""A very small NVMe/TCP host, enough to see what a target serves: connect, identify, discovery log, read and write."""
import socket
import struct

DISCOVERY = 'nqn.2014-08.org.nvmexpress.discovery'
HOSTNQN = 'nqn.2024-01.org.nvmft:test-host'


class NvmeError(Exception):
    """A completion with a status other than 0."""

    def __init__(self, status):
        super().__init__('status %#x' % status)
        self.status = status & 0x7ff


class Queue:
    """One connection. Commands go one at a time."""

    def __init__(self, address, subnqn, hostnqn=HOSTNQN, qid=0, cntlid=0xffff, timeout=10):
        self.sock = socket.create_connection(address, timeout=timeout)
        self.cid = 0
        self.sock.sendall(struct.pack('<BBBBIHBBI', 0, 0, 128, 0, 128, 0, 0, 0, 0).ljust(128, b'\0'))
        kind, _, body = self.receive()
        if kind != 1:
            raise ConnectionError('no ICResp but PDU type %d' % kind)
        data = b'\x5a' * 16 + struct.pack('<H', cntlid)
        data = data.ljust(256, b'\0') + subnqn.encode().ljust(256, b'\0') + hostnqn.encode().ljust(256, b'\0')
        self.cntlid = self.command(0x7f, nsid=1, cdw10=qid << 16, cdw11=31, data=data.ljust(1024, b'\0'))[0] & 0xffff

    def exactly(self, n):
        """n bytes."""
        out = b''
        while len(out) < n:
            piece = self.sock.recv(n - len(out))
            if not piece:
                raise ConnectionError('closed by the target')
            out += piece
        return out

    def receive(self):
        """One PDU: its type, flags, and what is behind the common header."""
        kind, flags, hlen, pdo, plen = struct.unpack('<BBBBI', self.exactly(8))
        return kind, flags, self.exactly(plen - 8)

    def command(self, opcode, nsid=0, cdw10=0, cdw11=0, cdw12=0, data=b'', expect=0):
        """Submit and wait. Gives dword 0 of the completion and the data."""
        self.cid = (self.cid + 1) & 0xffff
        if data:
            sgl = struct.pack('<QI3xB', 0, len(data), 0x01)
        else:
            sgl = struct.pack('<QI3xB', 0, expect, 0x5a)
        sqe = struct.pack('<BBHIQQ16sIIIIII', opcode, 0x40, self.cid, nsid, 0, 0, sgl, cdw10, cdw11, cdw12, 0, 0, 0)
        self.sock.sendall(struct.pack('<BBBBI', 4, 0, 72, 72 if data else 0, 72 + len(data)) + sqe + data)
        got = bytearray(expect)
        while True:
            kind, flags, body = self.receive()
            if kind == 7:
                cid, _, offset, length = struct.unpack('<HHII', body[:12])
                got[offset:offset + length] = body[-length:]
                if flags & 8:
                    return 0, bytes(got)
            elif kind == 5:
                dw0, _, _, _, cid, status = struct.unpack('<IIHHHH', body[:16])
                if status >> 1:
                    raise NvmeError(status >> 1)
                return dw0, bytes(got)
            else:
                raise ConnectionError('PDU type %d' % kind)

    def close(self):
        """Hang up."""
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Controller(Queue):
    """An admin queue with the controller enabled."""

    def __init__(self, address, subnqn=DISCOVERY, hostnqn=HOSTNQN):
        super().__init__(address, subnqn, hostnqn)
        self.address, self.subnqn, self.hostnqn = address, subnqn, hostnqn
        self.command(0x7f, nsid=0, cdw11=0x14, cdw12=0x460001)

    def identify(self, cns, nsid=0):
        """4096 bytes."""
        return self.command(0x06, nsid=nsid, cdw10=cns, expect=4096)[1]

    def text(self, start, end):
        """A field of Identify Controller."""
        return self.identify(1)[start:end].rstrip(b' \0').decode()

    def namespaces(self):
        """NSIDs in use."""
        return [n for n in struct.unpack('<1024I', self.identify(2)) if n]

    def namespace(self, nsid):
        """Size in bytes and block size."""
        data = self.identify(0, nsid)
        block = 1 << data[128 + 4 * (data[26] & 15) + 2]
        return struct.unpack('<Q', data[:8])[0] * block, block

    def discovery(self):
        """Records of the discovery log: (subtype, trtype, traddr, trsvcid, subnqn, portid)."""
        head = self.command(0x02, cdw10=0x70 | (1024 // 4 - 1) << 16, expect=1024)[1]
        count = struct.unpack('<Q', head[8:16])[0]
        size = 1024 * (count + 1)
        log = self.command(0x02, cdw10=0x70 | (size // 4 - 1) << 16, expect=size)[1]
        out = []
        for i in range(count):
            e = log[1024 * (i + 1):1024 * (i + 2)]
            out.append((e[2], e[0], e[512:768].rstrip(b' \0').decode(), e[32:64].rstrip(b' \0').decode(),
                        e[256:512].rstrip(b'\0').decode(), struct.unpack('<H', e[4:6])[0]))
        return out

    def served(self):
        """Names of the NVM subsystems in the discovery log."""
        return sorted({e[4] for e in self.discovery() if e[0] == 2})

    def io_queue(self):
        """An I/O queue of this controller."""
        return Queue(self.address, self.subnqn, self.hostnqn, qid=1, cntlid=self.cntlid)


def write_block(queue, nsid, lba, data, block=512):
    """Write."""
    queue.command(0x01, nsid=nsid, cdw10=lba, cdw12=len(data) // block - 1, data=data)


def read_block(queue, nsid, lba, length, block=512):
    """Read."""
    return queue.command(0x02, nsid=nsid, cdw10=lba, cdw12=length // block - 1, expect=length)[1]

# SPDX-License-Identifier: BSD-3-Clause
"""A small NVMe/TCP target that misbehaves as it is told, to see what the host makes of it."""
import socket
import struct
import threading

BLOCK = 4096


class Stub:
    """
    Serves 64 blocks. faults: a set of
      connect     refuse Connect, HOSTNQN          status    fail each read
      corrupt     flip a bit of block 5            stale     ignore the second write of a block
      success     C2HData SUCCESS with flow control
      r2t         ask for more than there is       cid       answer another command
      short       succeed without all the data     term      terminate instead of the first I/O
      close       hang up instead of the first I/O silent    never answer an I/O
      cqe         set reserved bytes               keepalive fail Keep Alive
    """

    def __init__(self, *faults, in_capsule=8192):
        self.faults = set(faults)
        self.in_capsule = in_capsule
        self.blocks = {}
        self.written = set()
        self.keep_alives = 0
        self.shut_down = False
        self.largest_h2c = 0
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = 'tcp:127.0.0.1:%d' % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with sock:
            try:
                Connection(self, sock).run()
            except (OSError, EOFError):
                pass


class Connection:
    def __init__(self, stub, sock):
        self.stub, self.sock = stub, sock
        self.qid = 0
        self.enabled = self.shn = 0

    def read(self, n):
        data = b''
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def pdu(self):
        head = self.read(8)
        return head + self.read(struct.unpack_from('<I', head, 4)[0] - 8)

    def resp(self, cid, status=0, dw0=0, dw1=0):
        sqid = 7 if 'cqe' in self.stub.faults and self.qid else 0
        self.sock.sendall(struct.pack('<BBBBI', 5, 0, 24, 0, 24) + struct.pack('<IIHHHH', dw0, dw1, 0, sqid, cid, status << 1))

    def data(self, cid, data, flags=4):
        self.sock.sendall(struct.pack('<BBBBIHHIII', 7, flags, 24, 24, 24 + len(data), cid, 0, 0, len(data), 0) + data)

    def run(self):
        self.pdu()
        self.sock.sendall(struct.pack('<BBBBIHBBI', 1, 0, 128, 0, 128, 0, 0, 0, 8192) + bytes(112))
        while True:
            pdu = self.pdu()
            if pdu[0] != 4:
                return
            self.command(pdu[8:72], pdu[72:])

    def command(self, sqe, inline):
        opcode, _, cid = struct.unpack_from('<BBH', sqe)
        cdw = struct.unpack_from('<6I', sqe, 40)
        if opcode == 0x7f:
            self.fabrics(cid, sqe[4], cdw)
        elif self.qid:
            self.io(opcode, cid, cdw, inline)
        else:
            self.admin(opcode, cid, cdw)

    def fabrics(self, cid, fctype, cdw):
        if fctype == 1:
            self.qid = cdw[0] >> 16
            if 'connect' in self.stub.faults:
                self.resp(cid, 0x4182, 1 << 16 | 512)
            else:
                self.resp(cid, 0, 1)
        elif fctype == 0:
            self.enabled, self.shn = cdw[2] & 1, cdw[2] >> 14 & 3
            self.stub.shut_down |= bool(self.shn)
            self.resp(cid)
        elif cdw[1] == 0:
            self.resp(cid, 0, 63 | 1 << 24, 1 << 5)
        else:
            self.resp(cid, 0, self.enabled | (2 << 2 if self.shn else 0))

    def admin(self, opcode, cid, cdw):
        if opcode == 0x06:
            self.data(cid, self.identify(cdw[0] & 0xff))
            self.resp(cid)
        elif opcode == 0x09:
            self.resp(cid, 0, cdw[1])
        else:
            self.stub.keep_alives += opcode == 0x18
            self.resp(cid, 0x19 if 'keepalive' in self.stub.faults else 0)

    def identify(self, cns):
        page = bytearray(4096)
        if cns == 0:
            struct.pack_into('<Q', page, 0, 64)
            page[130] = 12
        elif cns == 1:
            page[24:40] = b'stub            '
            struct.pack_into('<H', page, 78, 1)
            struct.pack_into('<I', page, 1792, (64 + self.stub.in_capsule) // 16)
        else:
            struct.pack_into('<I', page, 0, 1)
        return bytes(page)

    def io(self, opcode, cid, cdw, inline):
        faults, first, count = self.stub.faults, cdw[0], (cdw[2] & 0xffff) + 1
        if 'term' in faults:
            self.sock.sendall(struct.pack('<BBBBIHHH', 3, 0, 24, 0, 24, 2, 0, 0) + bytes(10))
            self.sock.recv(1)
            raise EOFError
        if 'close' in faults:
            raise EOFError
        if 'silent' in faults:
            return
        if opcode == 2:
            self.read_blocks(cid, first, count)
        else:
            self.write_blocks(cid, first, count, inline)

    def read_blocks(self, cid, first, count):
        faults = self.stub.faults
        if 'status' in faults:
            self.resp(cid, 0x281)
            return
        data = bytearray(b''.join(self.stub.blocks.get(lba, bytes(BLOCK)) for lba in range(first, first + count)))
        if 'corrupt' in faults and first <= 5 < first + count:
            data[(5 - first) * BLOCK + 1000] ^= 4
        if 'short' in faults:
            self.resp(cid)
            return
        self.data(cid + 50 if 'cid' in faults else cid, bytes(data), 12 if 'success' in faults else 4)
        self.resp(cid)

    def fetch(self, cid, length):
        """Host data by one R2T."""
        extra = 4096 if 'r2t' in self.stub.faults else 0
        self.sock.sendall(struct.pack('<BBBBIHHIII', 9, 0, 24, 0, 24, cid, 99, 0, length + extra, 0))
        data = b''
        while len(data) < length:
            pdu = self.pdu()
            if pdu[0] == 4:
                self.command(pdu[8:72], pdu[72:])
                continue
            if pdu[0] != 6:
                raise EOFError
            assert struct.unpack_from('<HHI', pdu, 8) == (cid, 99, len(data))
            self.stub.largest_h2c = max(self.stub.largest_h2c, len(pdu) - pdu[3])
            data += pdu[pdu[3]:]
        return data

    def write_blocks(self, cid, first, count, inline):
        data = inline or self.fetch(cid, count * BLOCK)
        for i in range(count):
            lba = first + i
            if 'stale' not in self.stub.faults or lba not in self.stub.written:
                self.stub.blocks[lba] = data[i * BLOCK:(i + 1) * BLOCK]
            self.stub.written.add(lba)
        self.resp(cid)

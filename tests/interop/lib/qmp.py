#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ask QEMU: qmp.py SOCKET COMMAND [NAME=VALUE...]. Prints its answer; fails with its error."""
import json
import socket
import sys


def argument(text):
    name, value = text.split("=", 1)
    return name, int(value) if value.isdigit() else value


def execute(stream, command, arguments):
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "error" in answer:
            sys.exit(command + ": " + answer["error"]["desc"])
        if "return" in answer:
            return answer["return"]


with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(10)
    s.connect(sys.argv[1])
    qemu = s.makefile("rw")
    qemu.readline()
    execute(qemu, "qmp_capabilities", {})
    result = execute(qemu, sys.argv[2], dict(map(argument, sys.argv[3:])))
    if result:
        print(json.dumps(result))

# SPDX-License-Identifier: BSD-3-Clause
# Helpers for the tests, sourced in the guest. Busybox sh: POSIX plus local; run under set -eu.
# Its applets come before programs of the same name, and cost no exec (see README.md).

A1=10.77.0.1 A2=10.77.0.2 PORT=4420
NQN=nqn.2024-01.org.nvmft:interop
DISC=nqn.2014-08.org.nvmexpress.discovery
HOSTNQN=$(cat /etc/nvme/hostnqn)
HOSTID=$(cat /etc/nvme/hostid)

# ---- assertions: what they print is read only when a test fails

say() { echo "--- $*"; }
fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }
eq() { # eq WHAT GOT WANTED
	[ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
	echo "ok: $1 = $2"
}
ge() { # ge WHAT GOT LEAST
	[ "$2" -ge "$3" ] || fail "$1 is $2, expected at least $3"
	echo "ok: $1 = $2 (>= $3)"
}
has() { # has WHAT TEXT PATTERN: some line of TEXT matches the extended regular expression
	printf '%s\n' "$2" | grep -qE -- "$3" || fail "$1 has no line matching '$3':
$2"
	echo "ok: $1 has $3"
}
hasnt() {
	! printf '%s\n' "$2" | grep -qE -- "$3" || fail "$1 has a line matching '$3':
$2"
	echo "ok: $1 lacks $3"
}
refused() { # refused WHAT COMMAND...: the command must fail; its output is left in $REFUSAL
	local w=$1; shift
	if REFUSAL=$(set +x; "$@" 2>&1); then fail "$w succeeded: $REFUSAL"; fi
	echo "ok: $w refused: $REFUSAL"
}
within() { # within SECONDS WHAT COMMAND...: the command succeeds before the time is over
	local t=$(($1 * 10)) w=$2; shift 2
	until "$@" > /dev/null 2>&1; do
		t=$((t - 1))
		[ $t -gt 0 ] || fail "not in time: $w"
		sleep 0.1
	done
	echo "ok: $w"
}
# Lines of the kernel log that this test provokes (extended regular expression).
kernel_may_say() { echo "$1" > /tmp/t/kernel-may-say; }

# ---- the host side

open_control() {
	local p
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat "$p/name" 2> /dev/null)" = nvmft.control ] && exec 7<> "/dev/${p##*/}" && return
	done
	return 1
}
tell() { # one line to the host; its answer on stdout, its status as ours
	local a
	printf '%s\n' "$*" >&7
	while IFS= read -r a <&7; do
		case $a in '|'*) printf '%s\n' "${a#|}" ;; =*) return "${a#=}" ;; esac
	done
}
host() { tell "do $*"; } # see lib/agent.sh for the commands
target() { host start "$@" || fail "the target did not start: $*"; }
# target_with NAMESPACE...: the usual target, one subsystem on both addresses
target_with() {
	local n
	for n; do set -- "$@" --namespace "$n"; shift; done
	target --listen tcp:$A1:$PORT --listen tcp:$A2:$PORT --subsystem $NQN "$@"
}

# ---- target.json: conf_new, then any number of conf FILTER, then target --config target.json
# (and host reload after a later conf)

conf_new() {
	jq -n --arg n $NQN --arg a $A1 --arg b $A2 --arg p $PORT '
	def port(id; a): {portid: id, addr: {trtype: "tcp", adrfam: "ipv4", traddr: a, trsvcid: $p,
		treq: "not specified"}, param: {}, referrals: [], subsystems: [$n]};
	{hosts: [], ports: [port(1; $a), port(2; $b)], subsystems: [{nqn: $n, allowed_hosts: [],
		attr: {allow_any_host: "1"}, namespaces: []}]}' > /host/target.json
}
conf() {
	jq "$@" /host/target.json > /tmp/t/target.json
	cat /tmp/t/target.json > /host/target.json
}
conf_file() { # conf_file NSID PATH [SUBSYSTEM INDEX]
	conf --argjson i "$1" --arg p "$2" ".subsystems[${3:-0}].namespaces += [{nsid: \$i, enable: 1, device: {path: \$p}}]"
}
conf_without() { # conf_without NSID
	conf --argjson i "$1" '.subsystems[0].namespaces |= map(select(.nsid != $i))'
}
conf_subsystem() { # conf_subsystem NQN: on both ports, open to all hosts
	conf --arg n "$1" '.subsystems += [{nqn: $n, allowed_hosts: [], attr: {allow_any_host: "1"},
		namespaces: []}] | .ports[].subsystems += [$n]'
}

# ---- the initiator

# connect [NVME CONNECT OPTIONS]: to $NQN at $A1 if the options name nothing else
connect() {
	case " $* " in *' -n '*) ;; *) set -- -n $NQN "$@" ;; esac
	case " $* " in *' -a '*) ;; *) set -- -a $A1 "$@" ;; esac
	case " $* " in *' -k '*) ;; *) set -- -k 10 "$@" ;; esac
	nvme connect -t tcp -s $PORT --ctrl-loss-tmo=60 --reconnect-delay=1 "$@"
}
discover() { nvme discover -t tcp -s $PORT -a "${1:-$A1}" -o json; }
attr() { cat "/sys/class/nvme/$1/$2"; }
# controllers NQN [ADDRESS]: names of the controllers of a subsystem, oldest first
controllers() {
	local c
	for c in $(ls /sys/class/nvme | sort -V); do
		[ "$(attr "$c" subsysnqn 2> /dev/null)" = "$1" ] || continue
		case $(attr "$c" address) in *"traddr=${2:-}"*) echo "$c" ;; esac
	done
}
live() { [ "$(attr "$1" state)" = live ]; }
not_live() { [ "$(attr "$1" state)" != live ]; }
gone() { ! [ -e "$1" ]; }
# disk NSID [NQN]: the block device of a namespace, waited for. Neither number in nvmeXnY can
# be predicted: X counts subsystems, Y the order in which namespaces were found.
disk() {
	local d=0
	while [ $d -lt 100 ]; do
		find_disk "$1" "${2:-$NQN}" && return
		d=$((d + 1))
		sleep 0.1
	done
	echo "no disk for namespace $1" >&2
	return 1
}
find_disk() {
	local q b
	for q in /sys/block/nvme*n*; do
		[ -e "$q/nsid" ] && [ "$(cat "$q/nsid")" = "$1" ] || continue
		[ "$(cat "$q/device/subsysnqn")" = "$2" ] || continue
		b=/dev/${q##*/}
		case ${q##*/} in *c*n*) continue ;; esac
		[ -b "$b" ] && echo "$b" && return
	done
	return 1
}
no_disk() { ! find_disk "$1" "${2:-$NQN}"; }
does_io() { [ "$(awk '{ print $1 + $5 }' "/sys/block/${1#/dev/}/stat")" -gt "${2:-200}" ]; } # DISK [SO MANY SO FAR]
size_is() { [ "$(blockdev --getsize64 "$1")" = "$2" ]; }
random_file() { head -c "$2" /dev/urandom > "$1"; } # random_file PATH BYTES

# verify DISK [FIO OPTIONS]: random mixed I/O with checksums. Small: the CPU is emulated.
verify() {
	local f=$1; shift
	fio --name=verify --filename="$f" --ioengine=io_uring --direct=1 --rw=randrw --bs=4k \
		--size=8m --iodepth=16 --verify=crc32c --verify_fatal=1 --verify_backlog=256 \
		--output=fio.out "$@" && grep -qE 'err= *0' fio.out || { cat fio.out; fail "fio on $f"; }
	! grep -iE 'verify failed|bad (magic|header)|io_u error' fio.out || fail "fio on $f"
	grep -E 'read *:|write *:' fio.out
}
# The same in the background; fio_wait gives its verdict.
verify_start() {
	(set +x; verify "$@") > verify.out 2>&1 &
	FIO=$!
	sleep 1
	kill -0 $FIO || fail "fio ended early: $(cat verify.out)"
}
verify_wait() { wait $FIO || fail "$(cat verify.out)"; cat verify.out; }

# ---- a target in the guest, for devices that only the guest has

# Put the programs that the host side shares, and libraries that are missing here, where they start fast.
inner_programs() {
	local f
	[ -d /tmp/bin ] && return
	[ -x /host/bin/nvmft-target ] || fail "no target in /host/bin"
	mkdir /tmp/bin
	for f in /host/bin/*; do
		[ -e "/usr/lib/x86_64-linux-gnu/${f##*/}" ] || cp "$f" /tmp/bin/
	done
}
# inner_target ARGUMENTS...: start it and wait until it accepts connections, on 127.0.0.1
inner_target() {
	inner_programs
	inner_start --listen tcp:127.0.0.1:$PORT --subsystem $NQN "$@"
}
inner_start() {
	# Here and not in the background, where it may be late: the log of the target before also says that it is ready.
	[ ! -s inner.log ] || cat inner.log >> inner.old
	: > inner.log
	ASAN_OPTIONS=fast_unwind_on_malloc=0 LSAN_OPTIONS=suppressions=/host/lib/lsan.supp:print_suppressions=0 \
		LD_LIBRARY_PATH=/tmp/bin /tmp/bin/nvmft-target "$@" >> inner.log 2>&1 &
	INNER=$!
	local t=100
	until grep -qx ready inner.log; do
		t=$((t - 1))
		kill -0 $INNER 2> /dev/null && [ $t -gt 0 ] || fail "no target: $(cat inner.log)"
		sleep 0.1
	done
}
inner_connect() { connect -a 127.0.0.1 "$@" > /dev/null; }
# Two connections, used in turn: where the guest has one processor, each has one I/O queue, of a thread of its own.
inner_connect_twice() {
	local s
	inner_connect -i 2
	inner_connect -i 2 --duplicate-connect
	for s in /sys/class/nvme-subsystem/*; do
		[ "$(cat "$s/subsysnqn")" != $NQN ] || echo round-robin > "$s/iopolicy"
	done
}
# As whoever restarts a program, wait for its end: until then it has the device.
inner_kill9() {
	kill -9 $INNER
	wait $INNER || :
}
inner_end() {
	kill $INNER
	wait $INNER || fail "the target ended with status $?: $(cat inner.log)"
}
# ---- RDMA: soft-RoCE in the guest, for the target in the guest

R1=10.9.1.1 R2=10.9.2.1
how_to() { awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on' "/host/lib/$1"; } # the commands of a document

# rdma_link N: an RDMA device rxeN, with the address 10.9.N.1
rdma_link() {
	modprobe -a rdma_rxe rdma_ucm ib_uverbs dummy nvme-rdma
	[ -e "/sys/class/net/rd$1" ] || ip link add "rd$1" type dummy
	ip addr replace "10.9.$1.1/24" dev "rd$1"
	ip link set "rd$1" up mtu 4200
	rdma link add "rxe$1" type rxe netdev "rd$1"
}
# rdma_target ARGUMENTS...: on the addresses of all RDMA devices
rdma_target() {
	local d
	inner_programs
	for d in /sys/class/infiniband/rxe*; do
		set -- --listen "rdma:10.9.${d##*/rxe}.1:$PORT" "$@"
	done
	inner_start --subsystem $NQN "$@"
}
rdma_connect() { # rdma_connect [NVME CONNECT OPTIONS]: to $R1 if the options name nothing else
	case " $* " in *' -n '*) ;; *) set -- -n $NQN "$@" ;; esac
	case " $* " in *' -a '*) ;; *) set -- -a $R1 "$@" ;; esac
	case " $* " in *' -k '*) ;; *) set -- -k 10 "$@" ;; esac
	nvme connect -t rdma -s $PORT --ctrl-loss-tmo=60 --reconnect-delay=1 "$@"
}

# ssd NSID [NAME]: the character device of a namespace of an emulated SSD
ssd() {
	local b
	modprobe nvme
	b=$(disk "$1" nqn.2019-08.org.qemu:${2:-NVMFT-SSD}) && echo "/dev/ng${b#/dev/nvme}"
}

# pci SERIAL [N]: PCI address of the first or N-th controller of an emulated SSD, while the kernel's driver has it
pci() {
	local c
	modprobe nvme
	within 10 "a controller of $1" eval "grep -q $1 /sys/class/nvme/nvme*/serial" >&2
	for c in $(grep -l "$1" /sys/class/nvme/nvme*/serial); do
		basename "$(readlink -f "${c%/serial}/device")"
	done | sort | sed -n "${2:-1}p" | grep .
}
driver_of() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
# vfio_bind ADDRESS..., vfio_back ADDRESS...: what docs/nvme-ssds.md says
vfio_bind() { vfio_move --bind vfio-pci "$@"; }
vfio_back() { vfio_move --back nvme "$@"; }
vfio_move() {
	local how=$1 driver=$2 a
	shift 2
	inner_programs
	for a; do
		/tmp/bin/nvme-devices $how $a > commands || fail "no commands: nvme-devices $how $a"
		sh -e commands
		eq "driver of $a" "$(driver_of $a)" $driver
	done
}
# kernel_disk SERIAL NSID: the block device by which the guest's own driver has a namespace of an SSD
kernel_disk() { disk "$2" "nqn.2019-08.org.qemu:$1"; }
# inner_restart NAMESPACES...: what follows inner_kill9
inner_restart() { inner_start --listen tcp:127.0.0.1:$PORT --subsystem $NQN "$@"; }
no_dma_fault() { hasnt "kernel log" "$(dmesg)" 'DMAR:.*[Ff]ault|DMAR.*(Read|Write).*fault'; }

# copy OPERANDS OF dd: with GNU dd, which knows direct I/O; what it says only if it fails
copy() {
	/usr/bin/dd "$@" 2> dd.out || fail "dd $*: $(cat dd.out)"
}
# verify_all DISKS [-- FIO OPTIONS]: verify on all at the same time
verify_all() {
	verify_all_start "$@"
	verify_all_wait
}
verify_all_start() {
	local d disks=
	while [ $# -gt 0 ] && [ "$1" != -- ]; do disks="$disks $1"; shift; done
	[ $# = 0 ] || shift
	FIOS=
	for d in $disks; do
		mkdir -p "of-${d##*/}"
		(set +x; cd "of-${d##*/}"; verify $d "$@") > "of-${d##*/}.out" 2>&1 &
		FIOS="$FIOS $!:${d##*/}"
	done
	sleep 1
}
verify_all_wait() {
	local f
	for f in $FIOS; do
		wait "${f%:*}" || fail "fio on ${f#*:}: $(cat "of-${f#*:}.out")"
		echo "ok: fio on ${f#*:}"
		cat "of-${f#*:}.out"
	done
}
# verify_while_start DISKS: verify on each of them over and over, until verify_while_end, which gives the verdict
verify_while_start() {
	local d
	rm -f over
	FIOS=
	for d; do
		mkdir -p "of-${d##*/}"
		(set +x; cd "of-${d##*/}"; until [ -e ../over ]; do verify $d --size=1m; done) > "of-${d##*/}.out" 2>&1 &
		FIOS="$FIOS $!:${d##*/}"
	done
}
verify_while_end() {
	: > over
	verify_all_wait
}
# does_more_io DISK: what is under way goes on
does_more_io() {
	local before
	before=$(awk '{ print $1 + $5 }' "/sys/block/${1#/dev/}/stat")
	within 60 "I/O on $1" does_io $1 $((before + 100))
}
# load_start DISK: writes until one fails, which load_fails waits for
load_start() {
	fio --name=load --filename=$1 --allow_file_create=0 --ioengine=io_uring --direct=1 --rw=randwrite --bs=4k --size=8m --iodepth=16 \
		--time_based --runtime=3600 > load.out 2>&1 &
	LOAD=$!
}
load_over() { ! kill -0 $LOAD; }
load_fails() {
	within 60 "the load has ended" load_over
	has "its errors" "$(cat load.out)" "err= *(5|6|19|28|121)"
}
# plug_in: NVMFT-HOT, which is alone behind its root port, unless it is there
plug_in() {
	[ ! -e /sys/bus/pci/devices/0000:01:00.0 ] || return 0
	host qmp device_add driver=nvme id=hot bus=port1 serial=NVMFT-HOT mdts=5 drive=hot || :
	echo 1 > /sys/bus/pci/rescan
}

# ---- instructions, counted by single steps

# per_io FILE IOS: from the last line of what count_steps printed; leaves hundredths of instructions in $PER_IO
per_io() {
	PER_IO=$(tail -n 1 $1 | jq ".instructions * 100 / $2 | round")
	tail -n 1 $1 | jq -r --argjson n "$2" '"\(.instructions / $n | round) instructions, \(.syscalls / $n * 100 | round / 100) system calls per I/O"'
}
# count NAME IOS PROGRAM ARGUMENT...: between its marks; what was printed is in ./counted
count() {
	local name=$1 n=$2
	shift 2
	/tmp/bin/count_steps run "$@" > counted 2> complaint || fail "$name: $(cat counted complaint)"
	per_io counted $n > text
	echo "$name: $(cat text)"
}

# A private extension, see README.md.
[ ! -e /host/local.sh ] || . /host/local.sh

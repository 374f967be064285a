# SPDX-License-Identifier: BSD-3-Clause
# The host side of the guest's `host` command, sourced by run. Each function host_NAME is one
# command; what it prints and its status go back to the test. The working directory is the
# directory that the guest sees as /host.

target_pid='' target_args=() target_logs=0

# Start the target and wait until it says that it accepts connections.
host_start() {
	[ -z "$target_pid" ] || { echo "a target is already running"; return 1; }
	target_args=("$@")
	target_logs=$((target_logs + 1))
	target_log=log/$test.target.$target_logs
	: > "$target_log"
	"$target" "$@" > "$target_log" 2>&1 < /dev/null 7>&- 8>&- &
	target_pid=$!
	local tries
	for ((tries = 200; tries > 0; tries--)); do
		grep -qx ready "$target_log" && return
		target_runs || break
		sleep 0.05
	done
	cat "$target_log"
	return 1
}
host_restart() { host_start "${target_args[@]}"; }

target_runs() { [ -n "$target_pid" ] && kill -0 "$target_pid" 2> /dev/null; }
host_alive() { target_runs; }
host_pid() { echo "$target_pid"; }

# Collect the exit status of a target that was told to end; 124 if it does not within $1 s.
target_wait() {
	local tries rc=0
	for ((tries = $1 * 20; tries > 0; tries--)); do
		target_runs || break
		sleep 0.05
	done
	if target_runs; then
		kill -9 "$target_pid"
		wait "$target_pid" 2> /dev/null
		rc=124
	else
		wait "$target_pid" 2> /dev/null || rc=$?
	fi
	target_pid=''
	return $rc
}

# Every signal goes to a live target: one that is gone already is a failure of its own.
host_signal() { target_runs && kill -s "$1" "$target_pid"; }
host_kill9() { host_signal KILL && { target_wait 5; [ $? = 137 ]; }; } 2> /dev/null # bash would tell us "Killed"
host_term() { host_signal TERM && target_wait "${1:-10}"; } # [SECONDS]; exit status of the target
host_reload() { host_signal HUP; }

# qmp COMMAND [NAME=VALUE...]: ask QEMU, e.g. device_del id=hot
host_qmp() { python3 "$here/lib/qmp.py" "$run_dir/qmp" "$@"; }

# Stop the guest for SECONDS; prints how many connections the target then still has.
host_freeze() {
	kill -STOP "$guest_pid"
	sleep "$1"
	host_connections
	kill -CONT "$guest_pid"
}
host_connections() { ss -tnH state established sport = :4420 | wc -l; }

# A path that goes silent, as if a cable were pulled; and one that comes back.
host_ip-del() { ip addr del "$(with_prefix "$1")" dev lo; }
host_ip-add() { ip addr add "$(with_prefix "$1")" dev lo; }
with_prefix() { case $1 in *:*) echo "$1/128" ;; *) echo "$1/32" ;; esac; }

# The target's own log; any other command, in the shared directory.
host_log() { cat log/"$test".target.*; }
host_run() { "$@" 2>&1; }
# host_peers N FILE: N connections to the target that send FILE (may be empty) and stay open
host_peers() {
	python3 "$here/lib/peers.py" "$@" < /dev/null 7>&- 8>&- &
	peers_pid=$!
}
host_peers-end() { kill "$peers_pid" 2> /dev/null; wait "$peers_pid" 2> /dev/null; peers_pid=''; }

host_now() { echo "${EPOCHREALTIME/./}"; } # microseconds

# Answer one request of the guest.
answer() {
	local name=$1 out rc=0
	shift
	if [ "$(type -t "host_$name")" != function ]; then
		out="no such host command: $name" rc=2
	else
		# Not in a subshell: commands change our variables. Output by way of a file.
		"host_$name" "$@" > "$run_dir/answer" 2>&1 || rc=$?
		out=$(cat "$run_dir/answer")
	fi
	[ -z "$out" ] || printf '%s\n' "$out" | sed 's/^/|/' >&8
	echo "=$rc" >&8
}

# After a test: the target must still run unless the test ended it, and must end with status 0
# when asked. Prints what is wrong.
target_verdict() {
	local rc=0
	if [ -n "$target_pid" ]; then
		kill -CONT "$target_pid" 2> /dev/null
		if target_runs; then
			host_term 10 || { rc=$?; echo "the target ended with status $rc after SIGTERM (124: not at all)"; }
		else
			target_wait 0 || rc=$?
			echo "the target died (status $rc)"
			rc=1
		fi
	fi
	if grep -lE 'ERROR: .*Sanitizer|runtime error:|Assertion .* failed' log/"$test".target.* 2> /dev/null; then
		rc=1
	fi
	return $rc
}

# Put the host side back as a test expects to find it.
host_reset() {
	local a
	[ -z "${peers_pid:-}" ] || host_peers-end
	ip addr flush dev lo
	for a in 127.0.0.1 10.77.0.1 10.77.0.2; do ip addr add "$a" dev lo; done
	find . -mindepth 1 -maxdepth 1 -type f ! -name tests ! -name local.sh -delete
	target_args=() target_logs=0
}

# SPDX-License-Identifier: BSD-3-Clause
# get-log: SMART counters count, the error log has the failed command, effects, firmware
host run truncate -s 32M disk.img
target_with disk.img
connect > /dev/null
c=$(controllers $NQN) d=$(disk 1)

say "SMART"
smart() { nvme smart-log /dev/$c -o json | jq -r ".$1 | tonumber"; }
r=$(smart host_read_commands) w=$(smart host_write_commands)
ur=$(smart data_units_read) uw=$(smart data_units_written)
dd if=/dev/zero of=$d bs=128k count=64 oflag=direct 2> /dev/null
dd if=$d of=/dev/null bs=64k count=128 iflag=direct 2> /dev/null
eq "host_read_commands" $(($(smart host_read_commands) - r)) 128
eq "host_write_commands" $(($(smart host_write_commands) - w)) 64
# 8 MiB are 16.4 units of 1000 blocks; reported rounded up.
ge "data_units_read" $(($(smart data_units_read) - ur)) 16
ge "data_units_written" $(($(smart data_units_written) - uw)) 16
eq "critical_warning" "$(smart critical_warning)" 0
ge "temperature in kelvin" "$(smart temperature)" 273
ge "spare" "$(smart avail_spare)" 1
eq "media errors" "$(smart media_errors)" 0

say "error log"
n=$(smart num_err_log_entries)
end=$((33554432 / 512))
refused "read beyond the end" nvme read $d -s $end -c 0 -z 512
has "its status" "$REFUSAL" "LBA Out of Range"
nvme error-log /dev/$c -o json > errors
ge "entries counted by SMART" "$(smart num_err_log_entries)" $((n + 1))
ge "count of the newest entry" "$(jq '.errors[0].error_count' errors)" $((n + 1))
entry() { jq "[.errors[] | select(.lba == $end)][0].$1" errors; }
ge "count of its entry" "$(entry error_count)" $((n + 1))
eq nsid "$(entry nsid)" 1
ge sqid "$(entry sqid)" 1
eq "status code" $(($(entry status_field) & 0xff)) $((0x80))

say "command effects agree with what is offered"
has "effects-log" "$(nvme effects-log /dev/$c)" "[Ww]rite"
log() { nvme get-log /dev/$c --log-id="$1" --log-len="$2" --lpo="$3" --raw-binary; }
log 5 4096 0 > effects.bin
eq "length" "$(stat -c %s effects.bin)" 4096
effect() { od -An -tu4 -j$(($1 * 4)) -N4 effects.bin | tr -d ' '; }
for o in 2 6 9 10 12 24; do ge "admin opcode $o supported" $(($(effect $o) & 1)) 1; done
for o in 0 1 2 8 9; do ge "I/O opcode $o supported" $(($(effect $((256 + o))) & 1)) 1; done
ge "write changes content" $(($(effect $((256 + 1))) >> 1 & 1)) 1
eq "reserved part is zero" "$(tail -c 2048 effects.bin | tr -d '\000' | wc -c)" 0

say "firmware, changed namespaces, supported logs"
has "active slot" "$(nvme fw-log /dev/$c)" "^afi *: 0x1$"
has "its revision" "$(nvme fw-log /dev/$c)" "^frs1 *: 0x.*\($(attr $c firmware_rev | xargs)"
nvme changed-ns-list-log /dev/$c > out || fail "changed-ns-list-log"
nvme supported-log-pages /dev/$c > out || fail "supported-log-pages"

say "log page offsets: in the middle, at the end, beyond it"
log 5 512 1024 > part
dd if=effects.bin of=want bs=512 skip=2 count=1 2> /dev/null
cmp part want
refused "an offset beyond the page" log 2 512 $((1 << 20))
refused "an unknown log page" log 0xbf 512 0
within 1 "the controller is live" live $c

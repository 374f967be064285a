# SPDX-License-Identifier: BSD-3-Clause
# id-ctrl, id-ns, ns-descs, list-ns, list, list-subsys: what was configured, and consistent
host run truncate -s 32M a.img b.img
conf_new
conf_file 1 a.img
conf_file 5 b.img
conf '.subsystems[0].attr += {serial: "INTEROP0001", model: "Interop test disk"} |
	.subsystems[0].namespaces[0].device += {uuid: "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
		nguid: "6e766d66-7401-4000-8000-000000000001"}'
target --config target.json
connect > /dev/null
c=$(controllers $NQN)

say "id-ctrl"
nvme id-ctrl /dev/$c -o json > id
id() { jq -r ".$1" id | sed 's/ *$//'; }
eq sn "$(id sn)" INTEROP0001
eq mn "$(id mn)" "Interop test disk"
[ -n "$(id fr)" ] || fail "no firmware revision"
eq subnqn "$(id subnqn)" $NQN
eq "cntlid, as in Connect" "$(id cntlid)" "$(attr $c cntlid)"
eq cntrltype "$(id cntrltype)" 1
ge nn "$(id nn)" 5
ge ver "$(id ver)" $((0x10300))
ge "MDTS, published" "$(id mdts)" 1
ge kas "$(id kas)" 1
ge ioccsz "$(id ioccsz)" 4
ge iorcsz "$(id iorcsz)" 1
eq icdoff "$(id icdoff)" 0
eq "SQ entry size" "$(id sqes)" $((0x66))
eq "CQ entry size" "$(id cqes)" $((0x44))
ge maxcmd "$(id maxcmd)" 1
ge "sgls: supported" $(($(id sgls) & 3)) 1
ge "oncs: write zeroes and dataset management" $((($(id oncs) & 0xc) == 0xc)) 1
ge "oaes: namespace attribute notices" $(($(id oaes) >> 8 & 1)) 1
ge "cmic: several controllers" $(($(id cmic) >> 1 & 1)) 1
ge "fuses: compare and write" $(($(id fuses) & 1)) 1
eq "sysfs serial" "$(attr $c serial | xargs)" INTEROP0001

say "id-ns and descriptors"
d1=$(disk 1) d5=$(disk 5)
nvme id-ns $d1 -o json > ns
eq nsze "$(jq .nsze ns)" 65536
eq ncap "$(jq .ncap ns)" 65536
eq "block size" "$(jq '.lbafs[.flbas % 16].ds' ns)" 9
ge "nmic: shared" $(($(jq .nmic ns) & 1)) 1
eq nguid "$(jq -r .nguid ns)" 6e766d66740140008000000000000001
nvme ns-descs $d1 -o json > descs
eq uuid "$(jq -r '.["ns-descs"][] | select(.uuid) | .uuid' descs)" 6ba7b810-9dad-41d1-80b4-00c04fd430c8
eq "csi" "$(jq -r '.["ns-descs"][] | select(has("csi")) | .csi' descs)" 0
eq "sysfs uuid" "$(cat /sys/block/${d1#/dev/}/uuid)" 6ba7b810-9dad-41d1-80b4-00c04fd430c8
w1=$(cat /sys/block/${d1#/dev/}/wwid) w5=$(cat /sys/block/${d5#/dev/}/wwid)
hasnt "identifier made up by the kernel for lack of one" "$w5" "^nvme\.0000-"
[ "$w1" != "$w5" ] || fail "two namespaces with one identifier"
refused "id-ns of an absent namespace" nvme id-ns /dev/$c -n 99999
eq "id-ns of an inactive one" "$(nvme id-ns /dev/$c -n 3 -o json | jq .nsze)" 0
eq list-ns "$(nvme list-ns /dev/$c -o json | jq -c '[.nsid_list[].nsid]')" "[1,5]"
eq "list-ns from 1" "$(nvme list-ns /dev/$c -n 2 -o json | jq -c '[.nsid_list[].nsid]')" "[5]"
nvme nvm-id-ctrl /dev/$c -o json > /dev/null || fail "nvm-id-ctrl"
nvme cmdset-ind-id-ns $d1 -o json > ind
ge "independent nstat: ready" $(($(jq .nstat ind) & 1)) 1

say "list and list-subsys"
has list "$(nvme list)" "^$d1 .*INTEROP0001 +Interop test disk"
has list-subsys "$(nvme list-subsys)" "NQN=$NQN"
has list-subsys "$(nvme list-subsys)" "$c tcp traddr=$A1,trsvcid=$PORT.* live"
eq "registers: version" "$(nvme show-regs /dev/$c -o json | jq .vs)" "$(id ver)"

say "identifiers stay over a restart of the target"
host kill9
host restart
within 20 "$c is live again" live $c
nvme disconnect -n $NQN > /dev/null
connect > /dev/null
eq wwid "$(cat /sys/block/$(basename $(disk 5))/wwid)" "$w5"

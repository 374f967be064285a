# SPDX-License-Identifier: BSD-3-Clause
# ext4 on a file namespace: make, mount, copy a tree, remount, compare, fsck
host run truncate -s 256M disk.img
target_with disk.img
connect > /dev/null
d=$(disk 1)
mkfs.ext4 -q $d
mount $d /mnt
tree=/usr/lib/x86_64-linux-gnu/perl-base
cp -a $tree /mnt/tree
ge "KiB copied" "$(du -sk /mnt/tree | cut -f1)" 2048
random_file big 16777216
cp big /mnt/
umount /mnt
fsck.ext4 -f -n $d

say "through a new connection, so that nothing comes from a cache"
nvme disconnect -n $NQN > /dev/null
connect > /dev/null
d=$(disk 1)
mount $d /mnt
/usr/bin/diff -r --no-dereference $tree /mnt/tree || fail "the tree differs"
cmp big /mnt/big
rm -rf /mnt/tree
fstrim /mnt
umount /mnt
fsck.ext4 -f -n $d

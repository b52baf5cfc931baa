#!/bin/busybox sh
# First program of the guest, in the initramfs: makes the host's root the guest's, under a layer in
# memory that takes what is written, and goes over to it.
/bin/busybox --install -s /bin
export PATH=/bin
end() {
    echo "init: $1"
    sync
    poweroff -f
}
mount -t devtmpfs dev /dev
for module in /modules/*; do
    insmod "$module" || end "cannot load $module"
done
mount -t virtiofs -o ro host /lower || end "the host's root is not there"
mount -t tmpfs -o mode=755 upper /upper
mkdir /upper/new /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/new,workdir=/upper/work root /root ||
    end "no layer over the host's root"
cp /work.sh /upper/new/.egress-vm
mount --move /dev /root/dev
exec switch_root /root /bin/sh /.egress-vm

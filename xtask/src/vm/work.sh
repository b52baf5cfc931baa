# Second program of the guest, on the host's root. The variables above are the host's; what goes to
# the second serial line is what the host reads, the first is the kernel's own.
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
# The kernel calls modprobe for what the tests ask of it.
mount --bind "$MODULES" /lib/modules
# What is left of the host there are sockets that nobody serves. Not where that hides what is needed.
for folder in /run /tmp; do
    case " $KEPT" in
    *" $folder"/*) ;;
    *) mount -t tmpfs -o mode=1777 empty "$folder" ;;
    esac
done
ip link set lo up
hostname egress-vm
work
echo "egress-vm: exit $?"
sync
echo o >/proc/sysrq-trigger
# The machine goes off while this waits; the first program may not end.
while :; do sleep 1; done

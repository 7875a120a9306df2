#!/usr/bin/env bash
# Boots systemd over a throw-away copy of this machine, and runs a program in it as root.
#
#   machine.sh DIR    runs DIR/run; DIR is /machine in there, and the only thing that is written through
#
# Namespaces of its own for mounts, processes, network and cgroups, an overlay in memory over the root: nothing of it is left, and
# nothing of the machine is changed. Ends with the program's code, or with 77 where such a thing can't be made, saying why.
set -euo pipefail

stage=${2:-outside} cgroup=${3:-aspine-machine.$$}

if [ "$stage" = outside ]; then
    if [ "$(id -u)" != 0 ] || [ ! -x /lib/systemd/systemd ]; then
        echo "it takes root, and systemd (apt-get install systemd)"
        exit 77
    fi
    namespaces=(--mount --propagation private --pid --fork --kill-child --uts --ipc --net)
    if ! why=$(unshare "${namespaces[@]}" --cgroup true 2>&1); then
        echo "namespaces are denied: $why"
        exit 77
    fi
    code=0
    unshare "${namespaces[@]}" "$0" "$(realpath "$1")" inside "$cgroup" || code=$?
    # Its cgroups outlive it.
    # shellcheck disable=SC2016 # the inner shell is meant to expand that
    unshare --mount --propagation private bash -c '
        mount -t cgroup2 cgroup2 /mnt && find "/mnt$1" -depth -type d -exec rmdir {} +' bash "$(sed -n 's/^0:://p' /proc/self/cgroup)/$cgroup"
    exit "$code"
fi

dir=$1
# Mounts over it are seen by nobody else.
over=/mnt
if [ "$stage" = inside ]; then
    # systemd takes the cgroup it finds itself in for the root of all.
    mount -t cgroup2 cgroup2 $over || exit 77
    home=$over$(sed -n 's/^0:://p' /proc/self/cgroup)/$cgroup
    mkdir "$home" && echo 0 >"$home/cgroup.procs" || exit 77
    umount $over
    exec unshare --cgroup "$0" "$dir" booting
fi

mount -t tmpfs -o mode=0755 tmpfs $over
mkdir $over/upper $over/work $over/root
root=$over/root
mount -t overlay -o "lowerdir=/,upperdir=$over/upper,workdir=$over/work" overlay $root || exit 77
mount -t proc proc "$root/proc"
mount -o bind,ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do cp -a "/dev/$node" "$root/dev/"; done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mkdir -p "$root/machine"
mount --bind "$dir" "$root/machine"
ip link set lo up

# Images forbid packages to start services; a machine does not.
rm -f "$root/usr/sbin/policy-rc.d"
# The index of all manuals is not needed, and takes seconds at each change of a package.
rm -f "$root/var/lib/man-db/auto-update"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
units=$root/etc/systemd/system
for unit in systemd-udevd systemd-udev-trigger systemd-sysctl systemd-modules-load systemd-random-seed systemd-logind; do
    ln -sf /dev/null "$units/$unit.service"
done
cat >"$units/machine.service" <<'UNIT'
[Unit]
SuccessAction=exit-force
FailureAction=exit-force

[Service]
Type=oneshot
ExecStart=/machine/run
WorkingDirectory=/machine
StandardOutput=file:/machine/output
StandardError=inherit
TimeoutStartSec=5min
UNIT
cat >"$units/machine.target" <<'UNIT'
[Unit]
Requires=machine.service
UNIT
mkdir "$root/.old"
cd $root
pivot_root . .old
umount -l /.old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=other \
    /lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no </dev/null >/dev/null 2>&1

#!/usr/bin/env bash
# Keeps interrupts, kernel work and other processes off the CPUs that Aspine is to have.
#
#   tuning/cpus.sh 2-5            what it would do; changes nothing
#   tuning/cpus.sh --apply 2-5    does it, and remembers what was there before
#   tuning/cpus.sh --undo         puts that back
#
# Moved to the other CPUs: the interrupts of all devices (and those of devices to come), unbound kernel work, and what runs in
# system.slice, user.slice and init.scope. aspine.slice, where aspine.service is, gets the CPUs named. Their frequency governor
# becomes `performance`. Nothing outlives a reboot; tuning/README.md says how to have it at each start.
#
# --root DIR works on the /proc, /sys and /run below DIR. irqbalance moves interrupts back: stop it, or ban the CPUs there.
set -euo pipefail

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
    exit "${1:-0}"
}

fail() {
    echo "cpus.sh: $*" >&2
    exit 1
}

mode=dry root='' list=''
while [ $# -gt 0 ]; do
    case $1 in
    --apply) mode=apply ;;
    --undo) mode=undo ;;
    --root) root=${2:?--root wants a directory} && shift ;;
    -h | --help) usage ;;
    -*) usage 2 >&2 ;;
    *) [ -z "$list" ] || usage 2 >&2 && list=$1 ;;
    esac
    shift
done
saved=$root/run/aspine-cpus.saved
refused=0

# The numbers of a list like 0,2-5, one a line, ascending.
expand() {
    local part first last
    for part in ${1//,/ }; do
        [[ $part =~ ^([0-9]{1,4})(-([0-9]{1,4}))?$ ]] || fail "'$1' is no list of CPUs; write it as 2-5 or 1,3"
        first=${BASH_REMATCH[1]} last=${BASH_REMATCH[3]:-${BASH_REMATCH[1]}}
        [ "$first" -le "$last" ] || fail "'$part' runs backwards"
        seq "$first" "$last"
    done | sort -nu
}

# Ascending numbers, one a line, as a list like 0,2-5: what the kernel prints, so that what is there already is seen.
join() {
    awk 'NR == 1 || $1 != last + 1 { if (NR > 1) out = out range(first, last) ","; first = $1 } { last = $1 }
        END { print out range(first, last) } function range(a, b) { return a == b ? a : a "-" b }'
}

# Numbers, one a line, as a mask of 32 bits a group, the highest group first.
mask() {
    local cpu groups=(0)
    while read -r cpu; do
        while [ ${#groups[@]} -le $((cpu / 32)) ]; do groups+=(0); done
        groups[cpu / 32]=$((groups[cpu / 32] | 1 << cpu % 32))
    done
    local text i
    text=$(printf '%x' "${groups[-1]}")
    for ((i = ${#groups[@]} - 2; i >= 0; i--)); do text+=$(printf ',%08x' "${groups[i]}"); done
    echo "$text"
}

# Writes a value to a file if it has another, and remembers the old one; without --apply only says so.
put() {
    local value=$1 path=$2 now
    [ -e "$path" ] || return 0
    now=$(cat "$path" 2>/dev/null) || return 0
    [ "$now" != "$value" ] || return 0
    if [ $mode = dry ]; then
        echo "would write '$value' to ${path#"$root"} (now '$now')"
    elif { echo "$value" >"$path"; } 2>/dev/null; then
        printf '%s\t%s\n' "${path#"$root"}" "$now" >>"$saved"
        echo "wrote '$value' to ${path#"$root"} (was '$now')"
    else
        # The kernel keeps some interrupts where they are, as those of NVMe queues.
        echo "kept '$now' in ${path#"$root"}: the kernel refuses a change"
        refused=$((refused + 1))
    fi
}

# Where systemd runs it owns the cgroups, and would undo what is written past it.
slice() {
    local cpus=$1 unit=$2
    if [ -d "$root/run/systemd/system" ]; then
        if [ $mode = dry ]; then
            echo "would run systemctl set-property --runtime $unit AllowedCPUs=$cpus"
            return
        fi
        [ -z "$cpus" ] || printf 'systemctl\t%s\n' "$unit" >>"$saved"
        systemctl set-property --runtime "$unit" "AllowedCPUs=$cpus"
        echo "$unit may use CPUs ${cpus:-as before}"
    else
        put "$cpus" "$root/sys/fs/cgroup/$unit/cpuset.cpus"
    fi
}

undo() {
    [ -e "$saved" ] || fail "nothing to undo: ${saved#"$root"} does not exist"
    local path value
    # The last first: what was changed twice gets its first value.
    tac "$saved" | while IFS=$'\t' read -r path value; do
        if [ "$path" = systemctl ]; then
            slice '' "$value"
        elif { echo "$value" >"$root$path"; } 2>/dev/null; then
            echo "wrote '$value' to $path"
        else
            echo "cpus.sh: $path does not take '$value' back" >&2
        fi
    done
    rm -f "$saved"
}

if [ $mode = undo ]; then
    [ -z "$list" ] || usage 2 >&2
    undo
    exit
fi
[ -n "$list" ] || usage 2 >&2

ours=$(expand "$list")
online=$(expand "$(cat "$root/sys/devices/system/cpu/online")")
missing=$(comm -23 <(sort <<<"$ours") <(sort <<<"$online") | sort -n | join)
[ -z "$missing" ] || fail "CPU $missing is not online; there are $(join <<<"$online")"
others=$(comm -13 <(sort <<<"$ours") <(sort <<<"$online") | sort -n)
[ -n "$others" ] || fail "$list is every CPU there is; leave one to interrupts and to the system"
ours_list=$(join <<<"$ours") others_list=$(join <<<"$others")
if [ $mode = apply ]; then
    mkdir -p "$root/run"
    { : >>"$saved"; } 2>/dev/null || fail "can't write ${saved#"$root"}; --apply wants root"
fi

echo "CPUs $ours_list for Aspine, $others_list for all else"
put "$(mask <<<"$others")" "$root/proc/irq/default_smp_affinity"
for irq in "$root"/proc/irq/[0-9]*; do
    put "$others_list" "$irq/smp_affinity_list"
done
put "$(mask <<<"$others")" "$root/sys/devices/virtual/workqueue/cpumask"
for cpu in $ours; do
    put performance "$root/sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor"
done
for unit in system.slice user.slice init.scope; do
    slice "$others_list" "$unit"
done
slice "$ours_list" aspine.slice
if [ $mode = dry ]; then
    echo "nothing was changed; --apply does it"
elif [ $refused -gt 0 ]; then
    echo "$refused files kept their value"
fi

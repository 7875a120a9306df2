#!/usr/bin/env bash
# What a machine goes through with the package: install, serve, crash, hang, reload, upgrade, remove, purge. Run by
# tests/scripts/package.py as root on a throw-away machine, in a directory that has the package as aspine.deb.
set -euo pipefail

step() { echo "-- $*"; }

fail() {
    echo "FAILED: $*"
    systemctl status --no-pager --full aspine || true
    journalctl --no-pager -q -u aspine | tail -40 || true
    exit 1
}

same() { [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"; }

show() { systemctl show --value -p "$1" aspine; }

# The reply to one inline command.
ask() {
    exec 3<>/dev/tcp/127.0.0.1/5116
    printf '%s\r\n' "$1" >&3
    local line
    IFS= read -r -t 20 line <&3
    case $line in \$[0-9]*) IFS= read -r -t 20 line <&3 ;; esac
    exec 3>&-
    echo "${line%$'\r'}"
}

# Until the rest of the line is true.
await() {
    local what=$1 deadline=$((SECONDS + 60))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "$what: not within a minute"
        sleep 0.05
    done
}

# Whether systemd has started it as another process than $1.
is_new() { [ "$(show ActiveState)" = active ] && [ "$(show MainPID)" != "$1" ]; }

# Whether the journal has it. grep reads to the end, or journalctl would fail on the pipe.
told() { journalctl --no-pager -q -u aspine | grep "$1" >/dev/null || fail "the journal does not say: $1"; }

drop_in() {
    mkdir -p /run/systemd/system/aspine.service.d
    printf '[Service]\n%s\n' "$1" >/run/systemd/system/aspine.service.d/test.conf
    systemctl daemon-reload
}

step "install: enabled, and serving as a user of its own"
dpkg -i aspine.deb
same "state" "$(systemctl is-active aspine)" active
same "enablement" "$(systemctl is-enabled aspine)" enabled
pid=$(show MainPID)
same "user" "$(ps -o user= -p "$pid")" aspine
same "mode and owner of the settings" "$(stat -c '%a %U %G' /etc/aspine)" "750 root aspine"
same "mode and owner of the data" "$(stat -c '%a %U' /var/lib/aspine)" "700 aspine"
aspine ping
same "SET" "$(ask 'SET a 1')" +OK
same "GET" "$(ask 'GET a')" 1

step "confined: a filter, no capability, no way to new ones, a read-only system"
same "capabilities" "$(sed -n 's/^Cap\(Prm\|Eff\|Bnd\|Amb\):\t0*\([1-9a-f].*\)$/\1\2/p' "/proc/$pid/status")" ""
same "NoNewPrivs" "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")" 1
same "Seccomp" "$(sed -n 's/^Seccomp:\t//p' "/proc/$pid/status")" 2
for place in / /etc /usr /var; do
    mount=$(awk -v place="$place" '$5 == place { print $6 }' "/proc/$pid/mountinfo" | tail -1)
    case ${mount:-ro} in ro*) ;; *) fail "$place is mounted $mount" ;; esac
done
# What it asks for, or as much as this machine's systemd may give.
for limit in 'Max locked memory' 'Max open files'; do
    case $limit in *memory) asked=67108864 ;; *) asked=1048576 ;; esac
    most=$(sed -n "s/^$limit *[0-9a-z]* *\([0-9a-z]*\) .*/\1/p" /proc/1/limits)
    if [ "$most" = unlimited ] || [ "$most" -gt "$asked" ]; then most=$asked; fi
    same "$limit" "$(sed -n "s/^$limit *\([0-9]*\) .*/\1/p" "/proc/$pid/limits")" "$most"
done

step "snapshots: saved, and there after a restart"
same "SAVE" "$(ask SAVE)" +OK
same "mode and owner of the snapshot" "$(stat -c '%a %U' /var/lib/aspine/dump.aspine)" "600 aspine"
sed -i 's/^#persist = true/persist = true/' /etc/aspine/aspine.toml
sed -i 's|^#log-file = |log-file = |; s|^#unixsocket = |unixsocket = |; s|^#admin-addr = |admin-addr = |' /etc/aspine/aspine.toml
systemctl restart aspine
same "GET after the restart" "$(ask 'GET a')" 1
same "SET" "$(ask 'SET b 2')" +OK
systemctl restart aspine
same "GET of what the last snapshot has" "$(ask 'GET b')" 2
same "the socket" "$(stat -c '%F %G' /run/aspine/aspine.sock)" "socket aspine"

step "watched: ready by HTTP, and nothing that the doctor fails"
exec 3<>/dev/tcp/127.0.0.1/9116
printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
IFS= read -r -t 20 line <&3
exec 3>&-
case $line in "HTTP/1."?" 200"*) ;; *) fail "/readyz says $line" ;; esac
aspine doctor --max-memory 256mb
if [ "$(nproc)" -gt 1 ]; then
    would=$(/usr/share/aspine/cpus.sh 0)
    case $would in
    *"would run systemctl set-property --runtime aspine.slice AllowedCPUs=0"*) ;;
    *) fail "the script does not see that systemd owns the slices: $would" ;;
    esac
fi

step "reload: the log file is opened anew"
mv /var/log/aspine/aspine.log /var/log/aspine/old
systemctl reload aspine
await "a new log file" test -e /var/log/aspine/aspine.log

step "killed: started again"
pid=$(show MainPID)
kill -KILL "$pid"
await "started again" is_new "$pid"
same "GET" "$(ask 'GET b')" 2

step "hung: the watchdog has it started again"
drop_in "WatchdogSec=1s"
systemctl restart aspine
pid=$(show MainPID)
kill -STOP "$pid"
await "started again" is_new "$pid"
told 'Watchdog timeout'

step "CPUAffinity: a core for each"
drop_in "CPUAffinity=0"
systemctl restart aspine
same "CPUs" "$(taskset -cp "$(show MainPID)" | sed 's/.*: //')" 0
same "cores" "$(aspine info | sed -n 's/^cores://p' | tr -d '\r')" 1

step "io_uring denied: a failure whose reason is in the journal"
drop_in "SystemCallFilter=~io_uring_setup"
sed -i 's|^log-file = |#log-file = |' /etc/aspine/aspine.toml
if systemctl restart aspine; then fail "it serves without io_uring"; fi
systemctl stop aspine
told 'cannot use io_uring'
rm -r /run/systemd/system/aspine.service.d
systemctl daemon-reload
systemctl reset-failed aspine
systemctl start aspine

step "upgrade: settings that were changed stay, and it serves"
pid=$(show MainPID)
dpkg -i aspine.deb
await "started again" is_new "$pid"
grep -q '^persist = true' /etc/aspine/aspine.toml || fail "the settings were lost"
same "GET" "$(ask 'GET b')" 2

step "remove: ended in order, settings and data stay"
dpkg -r aspine
same "state" "$(systemctl is-active aspine || true)" inactive
for kept in /etc/aspine/aspine.toml /var/lib/aspine/dump.aspine; do
    [ -e $kept ] || fail "a removal took $kept"
done

step "purge: nothing is left"
dpkg -P aspine
for left in /etc/aspine /var/lib/aspine /var/log/aspine /run/aspine /usr/share/aspine /usr/share/doc/aspine; do
    [ ! -e $left ] || fail "$left is still there"
done
if getent passwd aspine; then fail "the user is still there"; fi
find /etc/systemd /var/lib/systemd/deb-systemd-helper-* -name 'aspine*' | grep . && fail "systemd remembers it"
echo "all of it went well"

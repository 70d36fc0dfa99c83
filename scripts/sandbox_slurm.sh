#!/usr/bin/env bash
# A one-node Slurm cluster on this machine, to try `hydra/launcher=submitit_slurm` without a real one.
#   scripts/sandbox_slurm.sh start     munge, slurmctld and slurmd (needs root and the packages slurm-wlm munge)
#   scripts/sandbox_slurm.sh status    what the scheduler says
#   scripts/sandbox_slurm.sh stop      end what start began
set -euo pipefail

folder=${ULT_SLURM_DIR:-/var/tmp/ult-sandbox-slurm}
node=$(hostname -s)
export SLURM_CONF="$folder/slurm.conf"

say() { printf 'sandbox_slurm: %s\n' "$*" >&2; }

write_config() {
    local cores memory
    cores=$(nproc)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    cat > "$SLURM_CONF" <<CONF
ClusterName=sandbox
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MailProg=/bin/true
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE OverSubscribe=YES State=UP
CONF
    # A container may have no cgroups; before release 23 there is no word for that, and none is needed.
    if [ "$(slurmd -V | grep -oE '[0-9]+' | head -n 1)" -ge 23 ]; then
        printf 'CgroupPlugin=disabled\n' > "$folder/cgroup.conf"
    else
        printf 'CgroupPlugin=autodetect\n' > "$folder/cgroup.conf"
    fi
}

start_munge() {
    dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
    chmod 600 "$folder/munge.key"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
}

wait_until_idle() {
    for _ in $(seq 60); do
        if sinfo --noheader --format=%T 2>/dev/null | grep -qE '^(idle|mixed|allocated)$'; then
            return 0
        fi
        sleep 0.5
    done
    say "the node did not come up; the logs lie in $folder"
    tail -n 20 "$folder"/*.log >&2 || true
    return 1
}

start() {
    if [ "$(id -u)" -ne 0 ]; then
        say "start needs root"
        exit 1
    fi
    for program in munged slurmctld slurmd; do
        if ! command -v "$program" >/dev/null; then
            say "$program is not installed; apt-get install slurm-wlm munge"
            exit 1
        fi
    done
    if running slurmctld; then
        say "it runs already; export SLURM_CONF=$SLURM_CONF"
        return 0
    fi
    rm -rf "$folder"
    mkdir -p "$folder/state" "$folder/spool"
    chmod 711 "$folder"
    write_config
    start_munge
    slurmctld -c
    slurmd
    wait_until_idle
    say "ready; export SLURM_CONF=$SLURM_CONF"
}

running() { [ -s "$folder/$1.pid" ] && kill -0 "$(cat "$folder/$1.pid")" 2>/dev/null; }

stop() {
    for program in slurmd slurmctld munged; do
        if running "$program"; then
            kill "$(cat "$folder/$program.pid")"
        fi
    done
    for _ in $(seq 40); do
        running slurmd || running slurmctld || running munged || break
        sleep 0.25
    done
    rm -rf "$folder"
    say "stopped"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    status) sinfo && squeue ;;
    *)
        sed -n '2,5p' "$0" | sed 's/^# \{0,1\}//'
        exit 2
        ;;
esac

#!/usr/bin/env bash
# A SLURM of one machine, for trying sweeps before they go to a cluster. Debian or Ubuntu, as root.
#
# usage: scripts/slurm_localhost.sh start    install what is missing, start it, wait for the node
#        scripts/slurm_localhost.sh status   what runs; exit code 1 if the node does not answer
#        scripts/slurm_localhost.sh stop     cancel all jobs and stop every daemon
#        scripts/slurm_localhost.sh demo     a sweep of four runs through it (PYTHON=.venv/bin/python)
#
# The daemons are started directly, so it works in containers, where there is no systemd. Accounting
# is there because the launcher learns from sacct, and from nothing else, that a job was killed; its
# database has its own socket and files. Jobs are not confined to their cores and memory, as a cluster
# would do it; they are only counted.
set -euo pipefail

readonly CONF=/etc/slurm/slurm.conf DATABASE_CONF=/etc/slurm/slurmdbd.conf
readonly MARK="# written by slurm_localhost.sh"
readonly STATE=/var/lib/slurm LOGS=/var/log/slurm PIDS=/run/slurm MUNGE_PID=/run/munge/munged.pid
readonly PACKAGES=(slurm-wlm slurmdbd munge mariadb-server)
export MYSQL_UNIX_PORT=$PIDS/mariadb.sock # the database's socket, for slurmdbd
readonly WAIT_S=30 # for the node, and for each daemon to end

fail() {
  echo "error: $*" >&2
  exit 1
}

main() {
  case "${1:-}" in
    start) start ;;
    status) status ;;
    stop) stop ;;
    demo) demo ;;
    *)
      sed -n '4,7s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
}

start() {
  require_root
  install_packages
  if [[ -e $CONF ]] && ! grep -qxF "$MARK" "$CONF"; then
    fail "$CONF is not ours: this machine has a SLURM already; move the file away to try this one"
  fi
  write_conf
  start_munge
  start_database
  start_daemon slurmdbd
  register_cluster
  start_daemon slurmctld
  start_daemon slurmd
  wait_for_node
  sinfo
}

require_root() {
  [[ $EUID -eq 0 ]] || fail "installing and starting SLURM needs root; try: sudo $0 ..."
}

install_packages() {
  local missing=()
  for command in slurmctld slurmd slurmdbd sbatch munged mariadbd; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ ! -e /etc/debian_version ]] || ! command -v apt-get >/dev/null; then
    fail "this is not Debian or Ubuntu (no apt-get); install what they call ${PACKAGES[*]}"
  fi
  echo "installing ${PACKAGES[*]}"
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "${PACKAGES[@]}" >/dev/null
}

# Every core can take a job of its own: cores and memory are counted, and a job that does not say how
# much memory it needs gets its cores' share instead of all. A job that queues again may start once its
# old credential has expired: soon.
write_conf() {
  local node cpus memory host
  node=$(slurmd -C | head -n 1)
  host=$(sed -E 's/.*NodeName=([^ ]+).*/\1/' <<<"$node")
  cpus=$(sed -E 's/.*CPUs=([0-9]+).*/\1/' <<<"$node")
  memory=$(sed -E 's/.*RealMemory=([0-9]+).*/\1/' <<<"$node")
  install -d -o slurm -g slurm "$STATE" "$STATE/slurmctld" "$LOGS" "$PIDS"
  install -d "$STATE/slurmd"
  cat >"$CONF.new" <<END
$MARK
ClusterName=localhost
SlurmctldHost=$host(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=cred_expire=10
StateSaveLocation=$STATE/slurmctld
SlurmdSpoolDir=$STATE/slurmd
SlurmctldPidFile=$PIDS/slurmctld.pid
SlurmdPidFile=$PIDS/slurmd.pid
SlurmctldLogFile=$LOGS/slurmctld.log
SlurmdLogFile=$LOGS/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=$((memory / cpus))
ReturnToService=2
KillWait=5
$node NodeAddr=127.0.0.1 State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
  mv "$CONF.new" "$CONF"
  install -o slurm -g slurm -m 600 /dev/stdin "$DATABASE_CONF" <<END
$MARK
AuthType=auth/munge
DbdHost=localhost
SlurmUser=slurm
PidFile=$PIDS/slurmdbd.pid
LogFile=$LOGS/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=slurm
END
}

start_munge() {
  ! munge_answers || return 0
  [[ -s /etc/munge/munge.key ]] || runuser -u munge -- mungekey --create
  install -d -o munge -g munge -m 755 /run/munge
  install -d -o munge -g munge -m 700 /var/lib/munge /var/log/munge
  # --force: take over the socket that a killed munged has left
  runuser -u munge -- munged --force
  munge_answers || fail "munged does not answer; see /var/log/munge/munged.log"
}

munge_answers() {
  munge --no-input 2>/dev/null | unmunge >/dev/null 2>&1
}

# No network and no password: who runs the database is its administrator.
start_database() {
  local files=$STATE/mariadb
  ! running mariadbd "$PIDS/mariadbd.pid" || return 0
  if [[ ! -d $files/mysql ]]; then
    install -d -o slurm -g slurm -m 700 "$files"
    mariadb-install-db --no-defaults --user=slurm --datadir="$files" --skip-test-db \
      --auth-root-authentication-method=socket --auth-root-socket-user=slurm >/dev/null
  fi
  setsid mariadbd --no-defaults --user=slurm --datadir="$files" --socket="$MYSQL_UNIX_PORT" \
    --pid-file="$PIDS/mariadbd.pid" --skip-networking --innodb-buffer-pool-size=64M \
    --innodb-lock-wait-timeout=900 </dev/null >>"$LOGS/mariadbd.log" 2>&1 &
  wait_for "the database" "$LOGS/mariadbd.log" runuser -u slurm -- mariadb --no-defaults --execute="select 1"
}

register_cluster() {
  wait_for slurmdbd "$LOGS/slurmdbd.log" sacctmgr --noheader list cluster
  [[ -n $(sacctmgr --noheader list cluster localhost) ]] ||
    sacctmgr --immediate --quiet add cluster localhost >/dev/null
}

# Wait until a command succeeds.
wait_for() {
  local what=$1 logfile=$2
  shift 2
  for ((second = 0; second < WAIT_S; second++)); do
    ! "$@" >/dev/null 2>&1 || return 0
    sleep 1
  done
  fail "$what does not answer after $WAIT_S s; see $logfile"
}

start_daemon() {
  local name=$1
  ! running "$name" "$PIDS/$name.pid" || return 0
  "$name" || fail "$name does not start; see $LOGS/$name.log"
}

# A process id alone proves nothing: after a crash another process may have it, and where nobody
# reaps the dead, as in many containers, it stays a zombie.
running() {
  local name=$1 file=$2 pid
  pid=$(cat "$file" 2>/dev/null) || return 1
  [[ -n $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]] || return 1
  ! grep -q "^State:.Z" "/proc/$pid/status" 2>/dev/null
}

wait_for_node() {
  local host state=""
  host=$(sed -nE 's/^NodeName=([^ ]+).*/\1/p' "$CONF")
  scontrol reconfigure 2>/dev/null || true # of daemons that ran before with another configuration
  for ((second = 0; second < WAIT_S; second++)); do
    state=$(sinfo --noheader --Node --Format=StateLong 2>/dev/null | tr -d ' ') || true
    case "$state" in
      idle | mixed | allocated) return 0 ;;
      down | drained) scontrol update "nodename=$host" state=resume 2>/dev/null || true ;;
    esac
    sleep 1
  done
  fail "the node is '$state' after $WAIT_S s; see $LOGS/slurmctld.log and $LOGS/slurmd.log"
}

status() {
  for name in mariadbd slurmdbd slurmctld slurmd; do
    running "$name" "$PIDS/$name.pid" && echo "$name runs" || echo "$name does not run"
  done
  running munged "$MUNGE_PID" && echo "munged runs" || echo "munged does not run"
  [[ -e $CONF ]] && command -v sinfo >/dev/null && scontrol ping >/dev/null 2>&1 || exit 1
  sinfo
  squeue
}

stop() {
  require_root
  if running slurmctld "$PIDS/slurmctld.pid"; then
    cancel_jobs
  fi
  stop_daemon slurmd "$PIDS/slurmd.pid"
  stop_daemon slurmctld "$PIDS/slurmctld.pid"
  stop_daemon slurmdbd "$PIDS/slurmdbd.pid"
  stop_daemon mariadbd "$PIDS/mariadbd.pid"
  stop_daemon munged "$MUNGE_PID"
  echo "stopped"
}

# Jobs would outlive their daemon.
cancel_jobs() {
  local jobs
  for ((second = 0; second < WAIT_S; second++)); do
    jobs=$(squeue --noheader --format=%i 2>/dev/null) || return 0
    [[ -n $jobs ]] || return 0
    xargs scancel <<<"$jobs" 2>/dev/null || true
    sleep 1
  done
  echo "warning: jobs left after $WAIT_S s: $(tr '\n' ' ' <<<"$jobs")" >&2
}

stop_daemon() {
  local name=$1 file=$2 pid
  running "$name" "$file" || return 0
  pid=$(cat "$file")
  kill "$pid"
  for ((tenth = 0; tenth < 10 * WAIT_S; tenth++)); do
    running "$name" "$file" || return 0
    sleep 0.1
  done
  kill -KILL "$pid"
}

demo() {
  local repository python experiment="slurm-demo" sweep
  repository=$(cd "$(dirname "$0")/.." && pwd)
  python=${PYTHON:-$repository/.venv/bin/python}
  command -v "$python" >/dev/null || fail "no $python; set PYTHON to a Python that has alupdate"
  if ! command -v sinfo >/dev/null || ! sinfo >/dev/null 2>&1; then
    fail "SLURM does not answer; run: $0 start"
  fi
  "$python" -m alupdate.run -m hydra/launcher=slurm_localhost "experiment_name=$experiment" \
    dataset=digits backbone=pixels strategy=random,margin seed=0,1 n_cycles=10 progress=false &
  sweep=$!
  while kill -0 "$sweep" 2>/dev/null; do
    squeue --noheader --format="%.12i %.10P %.10j %.10T %.6M %.5C %R" || true
    sleep 2
  done
  wait "$sweep" || fail "the sweep failed; logs: results/$experiment/.submitit"
  scontrol show job | grep -E "JobId=|JobState=|RunTime=|NumCPUs=" || true
  "$python" "$repository/scripts/tables.py" "results/$experiment"
}

main "$@"

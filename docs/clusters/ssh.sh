#!/usr/bin/env bash
# A Dask cluster on a few hosts that ssh reaches without asking for a password.
#
#   docs/clusters/ssh.sh PYTHON HOST [HOST...]
#
# PYTHON is the interpreter, the same path on every host, of an environment with this program and
# its `dask` extra. The scheduler runs here, on loopback, and each host's workers reach it through
# their own ssh connection, so that nothing listens on a network. Ctrl-C ends them all.
set -euo pipefail

python=${1:?the path of the Python interpreter}
shift
: "${1:?at least one host}"
port=${PORT:-8786}

cleanup() { kill $(jobs -p) 2>/dev/null || true; }
trap cleanup EXIT INT TERM

"$python" -m distributed.cli.dask_scheduler --host "tcp://127.0.0.1:$port" --no-dashboard &

number=0
for host in "$@"; do
  number=$((number + 1))
  # At the other end the scheduler is a port of that host's loopback; the worker there is a port of
  # this host's. They differ, so that one machine can play both.
  scheduler=$((port + 1000 + number)) worker=$((port + number)) listens=$((port + 2000 + number))
  # A terminal (-tt), so that the worker ends with the connection.
  ssh -tt ${SSH_OPTIONS:-} -o ExitOnForwardFailure=yes \
    -R "127.0.0.1:$scheduler:127.0.0.1:$port" -L "127.0.0.1:$worker:127.0.0.1:$listens" "$host" \
    "$python -m distributed.cli.dask_worker tcp://127.0.0.1:$scheduler --nthreads 1 --no-nanny \
     --no-dashboard --listen-address tcp://127.0.0.1:$listens \
     --contact-address tcp://127.0.0.1:$worker" </dev/null &
done

echo "bench run SCENARIO --engine tcp://127.0.0.1:$port"
wait

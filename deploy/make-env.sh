#!/bin/sh
# Makes .env for compose.yaml: random passwords and the first API key, which only this account can read.
# A file that is there is not touched.
set -eu
cd "$(dirname "$0")/.."
umask 077
set -C # > makes a new file or fails

if [ -e .env ]; then
  echo "$PWD/.env is there already; move it away to have a new one made" >&2
  exit 1
fi

random() { od -An -vtx1 -N "$1" /dev/urandom | tr -d ' \n'; }

cat > .env <<END
EVENTFLOW_BOOTSTRAP_KEY=ef_$(random 6)_$(random 32)
POSTGRES_ADMIN_PASSWORD=$(random 32)
POSTGRES_PASSWORD=$(random 32)
REDIS_ADMIN_PASSWORD=$(random 32)
REDIS_PASSWORD=$(random 32)
GRAFANA_PASSWORD=$(random 32)
END
echo "made $PWD/.env: the first API key and the passwords are in it"

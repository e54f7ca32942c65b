#!/bin/sh
# Creates .env for compose.yaml, with random passwords and the first API key. Only this account can read the file.
# An existing file is not changed.
set -eu
cd "$(dirname "$0")/.."
umask 077
set -C # > creates a new file or fails

if [ -e .env ]; then
  echo "$PWD/.env already exists; move it away to create a new one" >&2
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
echo "created $PWD/.env with the first API key and the passwords"

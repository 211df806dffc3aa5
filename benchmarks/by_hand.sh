#!/bin/sh
# What a person types on a bare Debian 13 without a GPU to get what gpurig sets up: the yardstick of
# bare.py. LOCK, WORKLOAD, INDEX and DATA are given by it.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends docker.io docker-cli apparmor virtualenv python3 ca-certificates >/dev/null
systemctl enable -q --now docker
useradd --system --no-create-home --shell /usr/sbin/nologin gpurig
mkdir -p /opt/gpurig/venvs /var/lib/gpurig/datasets
chown gpurig: /var/lib/gpurig/datasets
virtualenv -q --python /usr/bin/python3 /opt/gpurig/tools
/opt/gpurig/tools/bin/pip install -q --index-url "$INDEX" --trusted-host "$INDEX_HOST" uv
virtualenv -q --python /usr/bin/python3 /opt/gpurig/venvs/tensorflow
/opt/gpurig/tools/bin/uv pip install -q --cache-dir /var/tmp/uv --require-hashes --default-index "$INDEX" \
    --python /opt/gpurig/venvs/tensorflow/bin/python -r "$LOCK"
docker info >/dev/null
install -d -o gpurig /tmp/by-hand
cd /tmp
runuser -u gpurig -- env HOME=/tmp/by-hand /opt/gpurig/venvs/tensorflow/bin/python "$WORKLOAD" \
    --data-dir /var/lib/gpurig/datasets --data-mirror "$DATA" --out /tmp/by-hand

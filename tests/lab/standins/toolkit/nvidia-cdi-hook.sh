#!/bin/sh
# nvidia-cdi-hook: our specs name no hook, so that it only tells its version.
case $1 in
--version) echo 'NVIDIA CDI Hook version @VERSION@' ;;
*) echo "level=warning msg=\"Unsupported CDI hook: $1\"" >&2 ;;
esac

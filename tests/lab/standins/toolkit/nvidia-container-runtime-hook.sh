#!/bin/sh
# nvidia-container-runtime-hook: what runc calls for --gpus; without nvidia-container-cli it fails.
case $1 in
--version) echo 'NVIDIA Container Runtime Hook version @VERSION@' ;;
prestart)
    echo 'couldn'\''t find binary nvidia-container-cli in PATH:' \
        'exec: "nvidia-container-cli": executable file not found in $PATH' >&2
    exit 1
    ;;
*)
    echo 'Usage of nvidia-container-runtime-hook:' >&2
    exit 2
    ;;
esac

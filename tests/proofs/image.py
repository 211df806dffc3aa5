"""An image for proofs, made of the host itself so that no registry is needed."""

# The host's own shell and C library are image enough. A root file system as tar, on stdout.
TAR = r"""
files=$(for program in /bin/sh /bin/ls /bin/cat /bin/sleep /sbin/ldconfig; do
    echo "$program"; ldd "$program" 2>/dev/null | grep -o '/[^ ]*'; done
    for library in libdl.so.2 librt.so.1 libpthread.so.0 libm.so.6 libgcc_s.so.1; do
    ldconfig -p | sed -n "s#.*$library .*x86-64.*=> ##p; s#.*$library .*AArch64.*=> ##p" | head -n 1
    done)
tar -chf - $(printf '%s\n' $files | sort -u) 2>/dev/null
"""

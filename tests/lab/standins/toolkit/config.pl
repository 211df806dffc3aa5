# The toolkit's config.toml: its values by table, in the order and with the comments of NVIDIA's.
my $CONFIG = '/etc/nvidia-container-runtime/config.toml';
my $CLI = 'nvidia-container-cli';
my $RUNTIME = 'nvidia-container-runtime';
# Every file has these where it does not set them.
my %COMMENTED = (
    '' => {
        'accept-nvidia-visible-devices-as-volume-mounts' => 'false',
        'accept-nvidia-visible-devices-envvar-when-unprivileged' => 'true',
        'swarm-resource' => '"DOCKER_RESOURCE_GPU"',
    },
    $CLI => {
        debug => '"/var/log/nvidia-container-toolkit.log"', ldcache => '"/etc/ld.so.cache"',
        'no-cgroups' => 'false', path => '"/usr/bin/nvidia-container-cli"',
        root => '"/run/nvidia/driver"', user => '"root:video"',
    },
    $RUNTIME => { debug => '"/var/log/nvidia-container-runtime.log"' },
);

# What holds where there is no file.
sub default_config () {
    my $ldconfig = -e '/sbin/ldconfig.real' ? '@/sbin/ldconfig.real' : '@/sbin/ldconfig';
    return {
        '' => {
            'disable-require' => 'false',
            'supported-driver-capabilities' => '"compat32,compute,display,graphics,ngx,utility,video"',
        },
        $CLI => { environment => '[]', ldconfig => qq("$ldconfig"), 'load-kmods' => 'true' },
        $RUNTIME => { 'log-level' => '"info"', mode => '"auto"', runtimes => '["runc", "crun"]' },
        "$RUNTIME.modes" => {},
        "$RUNTIME.modes.cdi" => {
            'annotation-prefixes' => '["cdi.k8s.io/"]', 'default-kind' => qq("$KIND"),
            'spec-dirs' => '["/etc/cdi", "/var/run/cdi"]',
        },
        "$RUNTIME.modes.csv" => { 'mount-spec-path' => '"/etc/nvidia-container-runtime/host-files-for-container.d"' },
        "$RUNTIME.modes.legacy" => { 'cuda-compat-mode' => '"ldconfig"' },
        "$RUNTIME-hook" => { path => qq("$RUNTIME-hook"), 'skip-mode-detection' => 'false' },
        'nvidia-ctk' => { path => '"nvidia-ctk"' },
    };
}

# The values of a file as they are written, by table and key; the defaults where there is none.
sub read_config ($file, $doing) {
    my $text = contents($file) // return default_config();
    my ($table, $number, %config) = ('', 0, '' => {});
    my $value = qr/"[^"]*"|'[^']*'|\[[^\]]*\]|[^#\s]+/;
    for my $line (split /\n/, $text) {
        $number++;
        next if $line =~ /^\s*(?:#.*)?$/;
        if ($line =~ /^\s*\[([^\]]+)\]/) { $config{ $table = $1 } //= {} }
        elsif ($line =~ /^\s*([\w-]+)\s*=\s*($value)\s*(?:#.*)?$/) { $config{$table}{$1} = $2 }
        else { fail(sprintf '%s: failed to load specified config file: (%d, 1): expecting a value', $doing, $number + 1) }
    }
    return \%config;
}

# As NVIDIA's writes it: by name, its own comments, none of the user's.
sub config_text ($config) {
    my %tables = map { $_ => 1 } keys %$config, keys %COMMENTED;
    my %order = map { $_ => tr/./\0/r } keys %tables; # a table before those inside it
    return join "\n", map {
        my ($set, $comment) = ($config->{$_} // {}, $COMMENTED{$_} // {});
        my %lines = (
            (map { $_ => "#$_ = $comment->{$_}\n" } keys %$comment),
            (map { $_ => "$_ = $set->{$_}\n" } keys %$set),
        );
        ($_ eq '' ? '' : "[$_]\n") . join '', map { $lines{$_} } sort keys %lines
    } sort { $order{$a} cmp $order{$b} } keys %tables;
}

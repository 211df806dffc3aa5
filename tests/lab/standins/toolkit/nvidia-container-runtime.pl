# nvidia-container-runtime: puts the GPUs that a container asks for into its config.json, then runc
# goes on. Under the names .cdi and .legacy the mode is theirs.
my $MODIFYING = 'could not apply required modification to OCI specification: error modifying OCI spec';
my $CREATING = 'failed to create NVIDIA Container Runtime';

sub main (@arguments) {
    my ($bundle, $create) = ('.', 0);
    my @words = @arguments;
    while (defined(my $word = shift @words)) {
        if ($word =~ /^--?b(?:undle)?(?:=(.*))?$/) { $bundle = $1 // shift @words }
        elsif ($word =~ /^--?log(?:=(.*))?$/) { $error_file = $1 // shift @words }
        elsif ($word eq 'create') { $create = 1 }
    }
    say "NVIDIA Container Runtime version $VERSION\nspec: 1.3.0\n" if grep { $_ eq '--version' } @arguments;
    my $config = read_config($CONFIG, 'error loading config');
    my $runc = low_level_runtime($config);
    modify("$bundle/config.json", mode($config)) if $create;
    { no warnings 'exec'; exec { $runc } $runc, @arguments }
    fail("$CREATING: could not execute $runc: " . reason());
}

sub mode ($config) {
    return $1 if $0 =~ /\.(cdi|legacy)$/;
    return ($config->{$RUNTIME}{mode} // 'auto') =~ s/^"(.*)"$/$1/r;
}

sub low_level_runtime ($config) {
    my @names = ($config->{$RUNTIME}{runtimes} // '["runc", "crun"]') =~ /"([^"]*)"/g;
    for my $name (@names) {
        for my $file ($name =~ m{/} ? $name : map { "$_/$name" } split /:/, $ENV{PATH} // '') {
            return $file if -f $file && -x _;
        }
    }
    fail("$CREATING: error constructing low-level runtime: error locating runtime: no runtime binary found from candidate list: [@names]");
}

sub modify ($file, $mode) {
    my $text = contents($file)
        // fail("$CREATING: failed to construct OCI spec modifier: failed to load OCI spec: error opening OCI specification file: open $file: " . reason());
    my $oci = eval { parse_json($text) }
        // fail("$CREATING: failed to construct OCI spec modifier: failed to load OCI spec: $@" =~ s/\n$//r);
    my @wanted = wanted($oci);
    my @annotated = annotated($oci);
    # What is named in full lies in a file, whatever the mode.
    if (@annotated) { ($mode, @wanted) = ('cdi', @annotated) }
    elsif ($mode =~ /^(?:auto|jit-cdi)$/ && @wanted && !grep { !m{/.*=} } @wanted) { $mode = 'cdi' }

    if ($mode =~ /^(?:auto|jit-cdi)$/) { made_now($oci, @wanted) if @wanted }
    elsif ($mode eq 'cdi') { from_files($oci, @wanted) if @wanted }
    elsif ($mode eq 'csv') { push $oci->{process}{env}->@*, 'NVIDIA_VISIBLE_DEVICES=void' if @wanted }
    elsif ($mode eq 'legacy') {
        my $hook = "$RUNTIME-hook";
        push $oci->{hooks}{prestart}->@*, { path => "/usr/bin/$hook", args => [$hook, 'prestart'] };
    }
    else { fail(qq($CREATING: failed to construct OCI spec modifier: invalid mode "$mode")) }
    write_file($file, json($oci)) or fail("$MODIFYING: open $file: " . reason());
}

# The GPUs that the container's environment asks for; an old CUDA image asks for all of them.
sub wanted ($oci) {
    my %env = map { /^([^=]*)=(.*)$/s } ($oci->{process}{env} // [])->@*;
    my $asked = $env{NVIDIA_VISIBLE_DEVICES} // ($env{CUDA_VERSION} ? 'all' : '');
    return $asked eq 'void' ? () : split /,/, $asked;
}

sub annotated ($oci) {
    my $annotations = $oci->{annotations} // {};
    return map { split /,/, $annotations->{$_} } grep { m{^cdi\.k8s\.io/} } sort keys %$annotations;
}

# As the driver is now: no file is read.
sub made_now ($oci, @wanted) {
    my $doing = qq($MODIFYING: failed to create the automatic CDI modifier: failed to generate CDI spec for mode "auto");
    my $spec = spec($doing);
    my %named = map { $_->{name} => $_ } $spec->{devices}->@*;
    my @edits;
    for my $name (@wanted) {
        if ($name eq 'none') { push $oci->{process}{env}->@*, 'NVCT_EMPTY_DEVICE='; next }
        fail("$doing: failed to construct device spec generators: " . ($name =~ /^\d+$/
            ? 'failed to get device handle from index: ERROR_INVALID_ARGUMENT'
            : qq(identifier is not a valid UUID or index: "$name"))) unless $named{$name};
        push @edits, $named{$name}{containerEdits};
    }
    apply($oci, @edits, $spec->{containerEdits});
}

# As the specs in CDI's folders say it.
sub from_files ($oci, @wanted) {
    my @names = map { m{/.*=} ? $_ : "$KIND=$_" } @wanted;
    my ($devices) = registry();
    my $doing = "$MODIFYING: failed to inject CDI devices";
    my @unknown = grep { !$devices->{$_} } @names;
    fail("$doing: unresolvable CDI devices " . join ', ', @unknown) if @unknown;
    my (%seen, @edits);
    for my $found (map { $devices->{$_} } @names) {
        push @edits, $found->{spec}{containerEdits} unless $seen{ $found->{file} }++;
        push @edits, $found->{device}{containerEdits};
    }
    for my $path (map { $_->{path} } map { ($_->{deviceNodes} // [])->@* } @edits) {
        -e $path or fail(qq($doing: failed to inject devices: failed to stat CDI host device "$path": ) . reason());
    }
    apply($oci, @edits);
}

sub apply ($oci, @edits) {
    my %done;
    for my $node (grep { !$done{ $_->{path} }++ } map { ($_->{deviceNodes} // [])->@* } @edits) {
        my $path = $node->{path};
        my %here = node($path)->%*;
        my %numbers = (type => 'c', major => $here{major}, minor => $here{minor} // \'0');
        my $devices = $oci->{linux}{devices} //= [];
        @$devices = grep { $_->{path} ne $path } @$devices;
        push @$devices, { path => $path, %numbers, fileMode => $here{fileMode} };
        push $oci->{linux}{resources}{devices}->@*, { allow => \'true', %numbers, access => 'rwm' };
    }
    for my $edit (@edits) {
        push $oci->{process}{env}->@*, ($edit->{env} // [])->@*;
        push $oci->{mounts}->@*, map {
            { source => $_->{hostPath}, destination => $_->{containerPath}, options => $_->{options} }
        } ($edit->{mounts} // [])->@*;
    }
}

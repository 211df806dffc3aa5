# What of the driver is on this host, and the CDI spec that follows from it.
my $KIND = 'nvidia.com/gpu';
my $CDI_VERSION = '0.5.0';
my @LIBRARIES = ('/usr/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu/nvidia/current');
my @MOUNTED = qw(ro nosuid nodev rbind rprivate);

# What NVML answers stands at the end of the lab's NVML (nvml.c), behind GPURIG-LAB. Gives its
# file and these answers, or nothing where it cannot be loaded.
sub nvml () {
    my ($link) = grep { -s } map { "$_/libnvidia-ml.so.1" } @LIBRARIES or return;
    my $file = Cwd::realpath($link);
    my (undef, $answers) = split /GPURIG-LAB\n(?=gpus )/, contents($file), 2;
    return $answers ? ($file, { $answers =~ /^(\S+) (.*)$/mg }) : ();
}

# The GPUs whose nodes are there: index, uuid, node.
sub gpus ($answers) {
    my @nodes = grep { -e $_->[1] } map { [$_, "/dev/nvidia$_"] } 0 .. $answers->{gpus} - 1;
    return map {
        my ($minor, $path) = $nodes[$_]->@*;
        { index => $_, uuid => $answers->{uuid} . sprintf('%012d', $minor), node => node($path) }
    } 0 .. $#nodes;
}

# A device node as CDI writes it; a minor number of 0 and its type are left out.
sub node ($path) {
    my (undef, undef, $mode, undef, undef, undef, $number) = stat $path or return;
    my $major = $number >> 8 & 0xfff;
    my $minor = $number & 0xff | $number >> 12 & 0xfff00;
    return {
        path => $path, major => \"$major", $minor ? (minor => \"$minor") : (),
        fileMode => \($mode & 0777), permissions => 'rwm',
    };
}

sub mount_of ($host, $container = $host) {
    return { hostPath => $host, containerPath => $container, options => [@MOUNTED] };
}

# What every container gets, whichever GPUs it has. NVML comes at its own place and once more
# where the loader looks, so that no hook has to write the container's cache.
sub common_edits ($nvml) {
    my ($version) = $nvml =~ /\.so\.([\d.]+)$/;
    my %found = map { Cwd::realpath($_) => 1 } map { glob "$_/lib*.so.$version" } @LIBRARIES;
    my @libraries = sort keys %found;
    my %folders = map { File::Basename::dirname($_) => 1 } @libraries;
    my @nodes = map { node("/dev/$_") } qw(nvidia-uvm nvidia-uvm-tools nvidiactl);
    my @programs = grep { -e } qw(/usr/bin/nvidia-persistenced /usr/bin/nvidia-smi);
    return {
        env => ['NVIDIA_CTK_LIBCUDA_DIR=' . join(':', sort keys %folders), 'NVIDIA_VISIBLE_DEVICES=void'],
        @nodes ? (deviceNodes => \@nodes) : (),
        mounts => [(map { mount_of($_) } @programs, @libraries), mount_of($nvml, "$LIBRARIES[0]/libnvidia-ml.so.1")],
    };
}

# The spec of this host; each GPU by its number, by its UUID, and all of them.
sub spec ($doing) {
    my ($file, $answers) = nvml()
        or fail("$doing: failed to construct device spec generators: failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND");
    my @gpus = gpus($answers);
    my @devices = map { my $by = $_; map { [$_->{$by}, $_->{node}] } @gpus } qw(index uuid);
    push @devices, [all => map { $_->{node} } @gpus];
    return {
        cdiVersion => $CDI_VERSION, kind => $KIND, containerEdits => common_edits($file),
        devices => [map { my ($name, @nodes) = @$_; { name => $name, containerEdits => { deviceNodes => \@nodes } } } @devices],
    };
}

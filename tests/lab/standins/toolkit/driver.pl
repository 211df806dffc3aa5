# What of the driver is on this host, and the CDI spec that follows from it.
my $KIND = 'nvidia.com/gpu';
my $CDI_VERSION = '0.5.0';
my @LIBRARIES = ('/usr/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu/nvidia/current');
my @MOUNTED = qw(ro nosuid nodev rbind rprivate);

# NVML's file and the UUIDs of its GPUs by the numbers of their nodes, or nothing where it cannot
# be loaded. The lab's NVML (nvml.c) has its answers behind the last zero byte of its file.
sub nvml () {
    my ($link) = grep { -s } map { "$_/libnvidia-ml.so.1" } @LIBRARIES or return;
    my $file = Cwd::realpath($link);
    my ($answers) = contents($file) =~ /([^\0]*)\z/;
    my %uuids = $answers =~ /^(\d+)\.uuid (\S+)$/mg or return;
    return ($file, \%uuids);
}

# The GPUs whose nodes are there, numbered from 0.
sub gpus ($uuids) {
    my @minors = grep { -e "/dev/nvidia$_" } sort { $a <=> $b } keys %$uuids;
    return map {
        { index => $_, uuid => $uuids->{ $minors[$_] }, node => node("/dev/nvidia$minors[$_]") }
    } 0 .. $#minors;
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
    my ($file, $uuids) = nvml()
        or fail("$doing: failed to construct device spec generators: failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND");
    my @gpus = gpus($uuids);
    my @devices = map { my $by = $_; map { [$_->{$by}, $_->{node}] } @gpus } qw(index uuid);
    push @devices, [all => map { $_->{node} } @gpus];
    return {
        cdiVersion => $CDI_VERSION, kind => $KIND, containerEdits => common_edits($file),
        devices => [map { my ($name, @nodes) = @$_; { name => $name, containerEdits => { deviceNodes => \@nodes } } } @devices],
    };
}

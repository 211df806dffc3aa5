# nvidia-ctk: the CDI spec, the devices of the specs that are there, config.toml, links to nodes.
my %FLAGS = map { $_ => 1 } qw(quiet q debug version v config config-file in-place output format mode
    spec-dir dry-run help h feature-flags feature-flag);
my %SWITCHES = map { $_ => 1 } qw(quiet q debug version v in-place dry-run help h);
my %COMMANDS = (
    'cdi generate' => \&cdi_generate, 'cdi list' => \&cdi_list,
    'config' => \&config, 'config default' => \&config,
    'system create-dev-char-symlinks' => \&dev_char_links,
);

sub main (@arguments) {
    my (%flags, @words);
    while (defined(my $word = shift @arguments)) {
        my ($flag, $value) = $word =~ /^--?([a-z.-]+)(?:=(.*))?$/s;
        unless ($flag) { push @words, $word; next }
        unless ($FLAGS{$flag}) {
            print "Incorrect Usage: flag provided but not defined: -$flag\n\nNAME:\n   nvidia-ctk\n";
            exit 1;
        }
        $flags{$flag} = $value // ($SWITCHES{$flag} ? 1 : shift @arguments);
    }
    $quiet = $flags{quiet} // $flags{q};
    return say "NVIDIA Container Toolkit CLI version $VERSION" if $flags{version} // $flags{v};
    my $command = join ' ', @words;
    return $COMMANDS{$command}->(%flags) if $COMMANDS{$command};
    return say "NAME:\n   nvidia-ctk" if $command eq '' || grep { /^\Q$command\E / } keys %COMMANDS;
    say STDERR "No help topic for '$words[-1]'";
    exit 3;
}

sub cdi_generate (%flags) {
    my $mode = $flags{mode} // 'auto';
    fail("invalid discovery mode: $mode") unless $mode =~ /^(?:auto|nvml)$/;
    my $file = $flags{output} // $ENV{NVIDIA_CTK_CDI_OUTPUT_FILE_PATH} // '';
    my ($ending) = $file =~ /\.(json|yaml)$/;
    my $format = $ending // $flags{format} // 'yaml';
    my $spec = spec('failed to generate CDI spec: failed to create device CDI specs');
    my $to = $file ? $file : 'STDOUT';
    fail(qq(failed to write CDI spec to $to: failed to write spec: invalid CDI Spec: failed add device "0": invalid device, empty device edits))
        if $spec->{devices}->@* == 1;
    my $text = $format eq 'json' ? json($spec) : "---\n" . yaml($spec);
    if ($file) { write_spec($ending ? $file : "$file.$format", $text) }
    else { print $text }
    logged(info => "Generated CDI spec with version $CDI_VERSION");
}

# By a rename, so that nobody reads half of it. The specs that are there are read before, and
# one that was cut off at a bad place ends the program.
sub write_spec ($file, $text) {
    my $folder = File::Basename::dirname($file);
    File::Path::make_path($folder, { mode => 0755, error => \my $ignored });
    registry(@FOLDERS, $folder);
    my $partial = "$folder/spec.$$.tmp";
    write_file($partial, $text)
        or fail("failed to write spec: failed to create Spec file: open $partial: " . reason());
    chmod 0644, $partial;
    rename $partial, $file or fail("failed to write spec: rename $partial $file: " . reason());
}

sub cdi_list (%flags) {
    my ($devices, $wrong) = registry($flags{'spec-dir'} // ());
    if (%$wrong) {
        logged(warning => 'The following registry errors were reported:');
        logged(warning => "$_: [@{ $wrong->{$_} }]") for sort keys %$wrong;
    }
    logged(info => 'Found ' . keys(%$devices) . ' CDI devices');
    say for sort keys %$devices;
}

sub config (%flags) {
    my $file = $flags{'config-file'} // $flags{config} // $CONFIG;
    my $text = config_text(read_config($file, 'unable to create config'));
    return print $text unless $flags{'in-place'};
    File::Path::make_path(File::Basename::dirname($file), { mode => 0755, error => \my $ignored });
    write_file($file, $text) or fail("unable to open $file for writing: " . reason());
}

sub dev_char_links (%flags) {
    for my $node (map { node($_) } grep { -c && !m{/nvidia-(?:fs|nv)} } sort glob '/dev/nvidia*') {
        my $link = "/dev/char/${ $node->{major} }:${ $node->{minor} // \0 }";
        logged(info => "Creating link $link => $node->{path}");
        next if $flags{'dry-run'};
        symlink $node->{path}, $link
            or logged(warning => "Could not create symlink: symlink $node->{path} $link: " . reason());
    }
}

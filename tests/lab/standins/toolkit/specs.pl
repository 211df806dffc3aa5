# The specs that lie in CDI's folders, read as the CDI library reads them.
my @FOLDERS = ('/etc/cdi', '/var/run/cdi'); # what lies in the later one counts

# A spec's file as data; dies with what is wrong with it. A device node, a hook or a mount without
# a value ends the program, as it ends NVIDIA's.
sub read_spec ($file) {
    my $text = contents($file) // die qq(failed to read CDI Spec "$file": open $file: ) . reason() . "\n";
    my $spec = eval { $file =~ /\.json$/ ? parse_json($text) : parse_yaml($text) };
    die qq(failed to parse CDI Spec "$file": $@) if $@;
    die qq(failed to parse CDI Spec "$file", no Spec data\n) unless defined $spec;
    typed($spec, 'HASH', $file);
    my $wrong = 'invalid CDI Spec:';
    die "$wrong invalid version\n" unless ($spec->{cdiVersion} // '') =~ /^\d+\.\d+\.\d+$/;
    die "$wrong invalid kind\n" unless ($spec->{kind} // '') =~ m{^[\w.-]+/[\w.-]+$};
    my $devices = typed($spec->{devices} // [], 'ARRAY', $file);
    die "$wrong invalid spec, no devices\n" unless @$devices;
    edits($_, $file) for map { typed($_, 'HASH', $file) } @$devices;
    for my $device (@$devices) {
        my $edits = $device->{containerEdits} // {};
        die qq($wrong failed add device "$device->{name}": invalid device, empty device edits\n) unless %$edits;
    }
    edits($spec, $file);
    return $spec;
}

sub typed ($value, $type, $file) {
    return $value if ref $value eq $type;
    die qq(failed to parse CDI Spec "$file": cannot unmarshal into \L$type\E\n);
}

sub edits ($holder, $file) {
    my $edits = typed($holder->{containerEdits} // {}, 'HASH', $file);
    for my $each (map { typed($edits->{$_} // [], 'ARRAY', $file)->@* } qw(deviceNodes hooks mounts)) {
        crash() unless defined $each;
        typed($each, 'HASH', $file);
    }
}

# The devices of these folders by their full names, each with its spec; and what is wrong, by file.
sub registry (@folders) {
    my (%devices, %wrong);
    for my $folder (@folders ? @folders : @FOLDERS) {
        my %here;
        for my $file (sort glob "$folder/*.yaml $folder/*.json") {
            my $spec = eval { read_spec($file) };
            if ($@) { $wrong{$file} = ['failed to load CDI Spec ' . $@ =~ s/\n$//r]; next }
            for my $device ($spec->{devices}->@*) {
                push $here{"$spec->{kind}=$device->{name}"}->@*, { file => $file, spec => $spec, device => $device };
            }
        }
        for my $name (sort keys %here) {
            my @found = $here{$name}->@*;
            if (@found == 1) { $devices{$name} = $found[0]; next }
            delete $devices{$name};
            my $between = join ', ', map { qq("$_->{file}") } reverse @found;
            push $wrong{ $_->{file} }->@*, qq(conflicting device "$name" (specs $between)) for @found;
        }
    }
    return (\%devices, \%wrong);
}

# What each program says: lines of a log on standard error, and how it ends when it cannot go on.
our $quiet = 0;      # only errors are said
our $error_file;     # the file of --log, where Docker's shim looks for the words of an error

sub now { POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime) }

sub logged ($level, $text) {
    return if $quiet && $level ne 'error';
    say STDERR sprintf 'time="%s" level=%s msg=%s', now(), $level, quoted($text);
}

sub fail ($text) {
    if (defined $error_file && open my $file, '>>', $error_file) {
        say $file json({ level => 'error', msg => $text, time => now() });
    }
    logged(error => $text);
    exit 1;
}

# Go's end when it follows a pointer that leads nowhere.
sub crash () {
    say STDERR 'panic: runtime error: invalid memory address or nil pointer dereference';
    exit 2;
}

# The last error of the system, as Go words it.
sub reason () { lcfirst "$!" }

sub contents ($file) {
    open my $in, '<', $file or return undef;
    local $/;
    return <$in> // '';
}

sub write_file ($file, $text) {
    open my $out, '>', $file or return 0;
    print $out $text;
    return close $out;
}

# The YAML of CDI specs: maps and lists by indentation, and nothing finer.
sub yaml ($value, $indent = '', $deeper = '    ') {
    return join '', map { yaml_item($_, $indent) } @$value if ref $value eq 'ARRAY';
    return join '', map {
        my $inner = $value->{$_};
        ref $inner && ref $inner ne 'SCALAR'
            ? "$indent$_:\n" . yaml($inner, $indent . $deeper)
            : "$indent$_: " . yaml_word($inner) . "\n"
    } in_order($value);
}

sub yaml_item ($value, $indent) {
    return "$indent- " . yaml_word($value) . "\n" unless ref $value eq 'HASH';
    return yaml($value, "$indent  ", '  ') =~ s/^$indent  /$indent- /r;
}

sub yaml_word ($value) {
    return $$value if ref $value;
    return $value =~ /^\d+$/ ? qq("$value") : $value;
}

# The value of a text, undef of an empty one; all that is no list and no map is a string.
# Dies of a text that is no YAML.
sub parse_yaml ($text) {
    my @lines = grep { /\S/ && !/^\s*#/ && !/^---\s*$/ } split /\n/, $text;
    s/\s+$// for @lines;
    my $value = yaml_block(\@lines);
    die "yaml: a line stands where none can\n" if @lines;
    return $value;
}

sub depth ($line) { $line =~ /^( *)/; return length $1 }

# The block that begins with the first line, whose lines are taken.
sub yaml_block ($lines) {
    return undef unless @$lines;
    my $depth = depth($lines->[0]);
    return yaml_list($lines, $depth) if $lines->[0] =~ /^ *-(?: |$)/;
    return yaml_map($lines, $depth) if $lines->[0] =~ /^ *[^\s"][^:]*:(?: |$)/;
    return yaml_scalar(shift(@$lines) =~ s/^ +//r);
}

sub yaml_list ($lines, $depth) {
    my @items;
    while (@$lines && depth($lines->[0]) == $depth && $lines->[0] =~ /^ *-(?: |$)/) {
        $lines->[0] =~ s/^( *)-/$1 /;
        shift @$lines unless $lines->[0] =~ /\S/;
        push @items, @$lines && depth($lines->[0]) > $depth ? yaml_block($lines) : undef;
    }
    return \@items;
}

sub yaml_map ($lines, $depth) {
    my %map;
    while (@$lines && depth($lines->[0]) == $depth) {
        my ($key, $inline) = $lines->[0] =~ /^ *([^\s"][^:]*):(?: +(.*))?$/
            or die "yaml: could not find expected ':'\n";
        shift @$lines;
        my $nested = @$lines && (depth($lines->[0]) > $depth
            || depth($lines->[0]) == $depth && $lines->[0] =~ /^ *-(?: |$)/);
        $map{$key} = defined $inline ? yaml_scalar($inline) : $nested ? yaml_block($lines) : undef;
    }
    return \%map;
}

sub yaml_scalar ($text) {
    return [] if $text eq '[]';
    return {} if $text eq '{}';
    return $text =~ /^"(.*)"$/ ? json_string($1) : $text =~ /^'(.*)'$/ ? $1 : $text;
}

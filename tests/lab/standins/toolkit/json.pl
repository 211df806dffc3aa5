# JSON, since perl-base has none. Objects are hashes, arrays are arrays, strings are strings of
# bytes, and numbers, true, false and null are references to their text (\'195').
my %ESCAPES = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
# What comes first in an object; what is not named here follows by its name.
my @RANKED = qw(cdiVersion kind name hostPath containerPath path major minor fileMode permissions
    devices containerEdits env deviceNodes mounts options);
my %RANK = map { $RANKED[$_] => $_ } 0 .. $#RANKED;

sub in_order ($object) {
    return sort { ($RANK{$a} // 99) <=> ($RANK{$b} // 99) || $a cmp $b } keys %$object;
}

sub json ($value) {
    return 'null' unless defined $value;
    return $$value if ref $value eq 'SCALAR';
    return '[' . join(',', map { json($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return quoted($value) unless ref $value;
    return '{' . join(',', map { quoted($_) . ':' . json($value->{$_}) } in_order($value)) . '}';
}

sub quoted ($text) {
    my %short = reverse %ESCAPES;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f])/$short{$1} ? "\\$short{$1}" : sprintf '\\u%04x', ord $1/ge;
    return qq("$text");
}

# The value of a text; dies of a text that is no JSON.
sub parse_json ($text) {
    my $value = json_value(\$text);
    die "JSON: something follows the value\n" if $text =~ /\G\s*\S/gc;
    return $value;
}

sub json_value ($text) {
    $$text =~ /\G\s*/gc;
    return \"$1" if $$text =~ /\G(-?\d[-+.eE\d]*|true|false|null)/gc;
    return json_string($1) if $$text =~ /\G"((?:[^"\\]|\\.)*)"/gcs;
    if ($$text =~ /\G\[\s*/gc) {
        my @items;
        return \@items if $$text =~ /\G\]/gc;
        do { push @items, json_value($text) } while $$text =~ /\G\s*,/gc;
        $$text =~ /\G\s*\]/gc or die "JSON: an array does not end\n";
        return \@items;
    }
    $$text =~ /\G\{\s*/gc or die "JSON: a value is missing\n";
    my %object;
    return \%object if $$text =~ /\G\}/gc;
    do {
        $$text =~ /\G\s*"((?:[^"\\]|\\.)*)"\s*:/gcs or die "JSON: a key is missing\n";
        my $key = json_string($1);
        $object{$key} = json_value($text);
    } while $$text =~ /\G\s*,/gc;
    $$text =~ /\G\s*\}/gc or die "JSON: an object does not end\n";
    return \%object;
}

sub json_string ($text) {
    my $unit = qr/\\u([0-9a-fA-F]{4})/;
    $text =~ s{\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)}
        {utf8_bytes(0x10000 + ((hex($1) - 0xd800) << 10) + hex($2) - 0xdc00)}ge;
    $text =~ s{$unit|\\(.)}{defined $1 ? utf8_bytes(hex $1) : $ESCAPES{$2} // $2}ges;
    return $text;
}

sub utf8_bytes ($number) {
    my $character = chr $number;
    utf8::encode($character);
    return $character;
}

#!/usr/bin/perl
# write.pl - the databases of the tests, with Debian's libmaxmind-db-writer-perl:
#     perl write.pl
# The networks are of documentation, of private use and of loopback. What is
# made differs from time to time in its build time only.
use strict;
use warnings;
use File::Basename qw(dirname);
use MaxMind::DB::Writer::Tree;

my $here  = dirname(__FILE__);
my %types = (
    continent                      => 'map',
    country                        => 'map',
    registered_country             => 'map',
    code                           => 'utf8_string',
    iso_code                       => 'utf8_string',
    geoname_id                     => 'uint32',
    names                          => 'map',
    en                             => 'utf8_string',
    autonomous_system_organization => 'utf8_string',
);

sub place {
    my ($continent, $country) = @_;
    my %data = (continent => { code => $continent, names => { en => "continent $continent" } });
    $data{country} = { iso_code => $country, geoname_id => 42, names => { en => $country } }
        if defined $country;
    return \%data;
}

my @v4 = (
    ['127.1.0.0/16'     => place('AS', 'KR')],
    ['127.2.0.0/16'     => place('AS', 'JP')],
    ['127.3.0.0/16'     => place('AS', 'TW')],
    ['127.4.0.0/16'     => place('EU')],
    ['127.5.0.0/25'     => place('AS', 'KR')],
    ['127.5.0.128/25'   => place('AS', 'JP')],
    ['127.6.0.0/16'     => place('NA', 'US')],
    ['10.1.0.0/16'      => place('AS', 'KR')],
    ['10.2.0.0/15'      => place('AS', 'JP')],
    ['10.2.64.0/18'     => place('AS', 'KR')],
    ['192.0.2.0/24'     => place('EU', 'DE')],
    ['198.51.100.77/32' => place('AS', 'KR')],
);
my @v6 = (
    ['2001:db8:1::/48'          => place('AS', 'KR')],
    ['2001:db8:2::/48'          => place('AS', 'JP')],
    ['2001:db8:2:8000::/49'     => place('EU')],
    ['2001:db8:3:4::/64'        => place('AS', 'TW')],
    ['2001:db8:4:4:1::/80'      => place('AS', 'KR')],
    ['fd00:1::/32'              => place('AS', 'KR')],
);

sub write_file {
    my ($name, $version, $size, $type, @networks) = @_;
    my $tree = MaxMind::DB::Writer::Tree->new(
        database_type            => $type,
        description              => { en => 'made for tests' },
        ip_version               => $version,
        record_size              => $size,
        map_key_type_callback    => sub { $types{ $_[0] } },
        remove_reserved_networks => 0,
        $version == 6 ? (alias_ipv6_to_ipv4 => 1) : (),
    );
    $tree->insert_network($_->[0], $_->[1]) for @networks;
    open my $file, '>:raw', "$here/$name" or die "$name: $!";
    $tree->write_tree($file);
    close $file or die "$name: $!";
}

write_file('country.mmdb',  6, 24, 'Test-Country', @v4, @v6);
write_file('country4.mmdb', 4, 28, 'Test-Country', @v4);
write_file('country32.mmdb', 6, 32, 'Test-Country', @v4, @v6);
write_file('provider.mmdb', 4, 24, 'Test-ASN',
    ['127.0.0.0/8' => { autonomous_system_organization => 'nobody' }]);

# More than an index of two bytes is made for: 16 networks in each of 256.
my @many;
for my $i (0 .. 255) {
    push @many, ["10.$i." . $_ * 4 . '.0/23' => place('AS', $_ % 2 ? 'KR' : 'JP')] for 0 .. 15;
}
write_file('many.mmdb', 4, 24, 'Test-Country', @many);

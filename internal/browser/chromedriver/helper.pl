# Stands on both sides of chromedriver, in a network that has nobody else in it.
#
#   helper.pl serve PROGRAM ARGUMENT...
#
# brings the loopback of the network up, runs chromedriver in it, and passes what
# comes in on the socket that is its descriptor 3 on to chromedriver's port. With any
# other arguments it is the browser that chromedriver believes to start: it joins the
# pipe of DevTools, which is its descriptors 3 and 4, to devtools.sock beside it.
#
# It needs no more of Perl than what every Debian has.
use strict;
use warnings;
use Socket;

use constant {
    PORT         => 9515,   # nobody else can have it: the network is chromedriver's own
    SIOCSIFFLAGS => 0x8914, # netdevice(7)
    IFF_UP       => 1,
    WNOHANG      => 1,
};

# copy writes all that it reads from one handle to another, until either ends.
sub copy {
    my ($from, $to) = @_;
    while (my $read = sysread($from, my $chunk, 65536)) {
        for (my $sent = 0; $sent < $read;) {
            my $n = syswrite($to, $chunk, $read - $sent, $sent);
            return unless defined $n;
            $sent += $n;
        }
    }
}

# both copies in both directions. done is called once the first direction has ended.
sub both {
    my ($here, $back, $there, $done) = @_;
    my $child = fork() // die "fork: $!\n";
    if ($child == 0) {
        copy($there, $back);
        $done->($back);
        exit 0;
    }
    copy($here, $there);
    shutdown($there, SHUT_WR);
    waitpid($child, 0);
    exit 0;
}

sub browser {
    my ($folder) = $0 =~ m{^(.*)/} or die "no folder\n";
    chdir($folder) or die "chdir: $!\n"; # the address of a socket is at most 107 bytes
    open(my $from, '<&=', 3) or die "open the pipe: $!\n";
    open(my $to, '>&=', 4) or die "open the pipe: $!\n";
    socket(my $devtools, AF_UNIX, SOCK_STREAM, 0) or die "make a socket: $!\n";
    connect($devtools, pack_sockaddr_un('devtools.sock')) or die "connect: $!\n";
    # A browser that is gone has no process, either.
    both($from, $to, $devtools, sub { kill('TERM', getppid()) });
}

# connected is a connection to chromedriver, which may be starting.
sub connected {
    for (1 .. 1000) {
        socket(my $to, AF_INET, SOCK_STREAM, 0) or die "make a socket: $!\n";
        return $to if connect($to, pack_sockaddr_in(PORT, INADDR_LOOPBACK));
        select(undef, undef, undef, 0.01);
    }
    die "chromedriver does not listen: $!\n";
}

sub serve {
    my @program = @_;
    socket(my $any, AF_INET, SOCK_DGRAM, 0) or die "make a socket: $!\n";
    my $up = pack('a16 s x22', 'lo', IFF_UP);
    ioctl($any, SIOCSIFFLAGS, $up) or die "bring the loopback up: $!\n";

    my $driver = fork() // die "fork: $!\n";
    if ($driver == 0) {
        exec { $program[0] } @program, '--port=' . PORT or die "run chromedriver: $!\n";
    }
    $SIG{CHLD} = sub {
        while ((my $ended = waitpid(-1, WNOHANG)) > 0) {
            exit 1 if $ended == $driver;
        }
    };
    open(my $listening, '+<&=', 3) or die "open the socket: $!\n";
    while (1) {
        accept(my $client, $listening) or next;
        my $child = fork() // next;
        next if $child;
        $SIG{CHLD} = 'DEFAULT';
        my $to = connected();
        both($client, $client, $to, sub { shutdown($_[0], SHUT_WR) });
    }
}

if (@ARGV && $ARGV[0] eq 'serve') {
    shift;
    serve(@ARGV);
}
browser();

# Runs in a container: opens for writing whatever file of another tree it finds behind a process,
# as its program or in its memory. Says SAW and TOOK, a line each, in /report.
use strict;
use warnings;
use Fcntl;

my ($mine, %seen, @held) = ($$);
open(my $report, '>', '/report') or die;
$report->autoflush(1);

# A link of /proc whose path does not lead to the same file here.
sub foreign {
  my ($link) = @_;
  my $path = readlink $link;
  return unless defined $path && $path =~ m{^/};
  my @file = stat $link or return;
  my @here = stat $path;
  return if @here && $file[0] == $here[0] && $file[1] == $here[1];
  return "$path $file[1]";
}

sub take {
  my ($path, $file) = @_;
  sysopen(my $again, '/proc/self/fd/' . fileno($file), O_WRONLY | O_APPEND) or return 0;
  # Only what is made for this test is written to; that another file opens is enough.
  return 1 unless $path =~ m{probe-target|memfd};
  return (syswrite($again, 'taken') // 0) == 5;
}

until (-e '/stop') {
  opendir(my $processes, '/proc') or die;
  for my $pid (grep { /^\d+$/ && $_ != 1 && $_ != $mine } readdir $processes) {
    for my $link ("/proc/$pid/exe", glob("/proc/$pid/map_files/*")) {
      my $path = foreign($link) // next;
      next if $seen{$path};
      sysopen(my $file, $link, O_RDONLY) or next;
      # Meanwhile the process may have executed a program of the container's own.
      my @opened = stat $file;
      next unless $path eq (readlink("/proc/self/fd/" . fileno($file)) // '') . " $opened[1]";
      $seen{$path} = 1;
      print $report "SAW $path\n";
      push @held, [$path, $file];
      # A program that runs cannot be written to.
      kill 9, $pid if $path =~ m{probe-target};
    }
  }
  for my $held (@held) {
    next if $seen{"taken $held->[0]"} || !take(@$held);
    $seen{"taken $held->[0]"} = 1;
    print $report "TOOK $held->[0]\n";
  }
}
print $report "DONE\n";
# The container ends with this, and the report with the container.
sleep 1 while 1;

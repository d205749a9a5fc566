/** How the outside tells that a workload does what it is for. */
export type Readiness =
  /** A line of its output says so. */
  | { readonly by: 'output'; readonly marker: string }
  /** A request to a port of the host's loopback is answered, asked every 10 ms. */
  | { readonly by: 'redis' | 'postgres'; readonly port: number }
  | { readonly by: 'http'; readonly port: number; readonly marker: string }
  /** systemd in it says that start-up has ended. */
  | { readonly by: 'systemd' }

/** A root filesystem of Debian packages, and what runs in it. */
export interface Workload {
  readonly name: string
  readonly packages: readonly string[]
  /** mmdebstrap’s. Default `minbase`. */
  readonly variant?: 'extract'
  /** Shell commands with the tree in `$1`, after the packages are in. */
  readonly hooks?: readonly string[]
  /** The command; empty boots the init. */
  readonly argv: readonly string[]
  readonly ready: Readiness
}

const MARKER = 'the-workload-is-ready'
const PYTHON_MODULES = [
  ...['argparse', 'asyncio', 'concurrent.futures', 'csv', 'ctypes', 'dataclasses', 'decimal'],
  ...['difflib', 'doctest', 'email.mime.multipart', 'encodings.idna', 'fractions', 'ftplib'],
  ...['html.parser', 'http.server', 'imaplib', 'importlib.metadata', 'inspect', 'json'],
  ...['lib2to3.refactor', 'logging.config', 'multiprocessing.pool', 'optparse', 'pdb', 'pickle'],
  ...['plistlib', 'pydoc', 'random', 'smtplib', 'socketserver', 'sqlite3', 'ssl', 'statistics'],
  ...['subprocess', 'tarfile', 'tempfile', 'typing', 'unittest.mock', 'urllib.request', 'uuid'],
  ...['venv', 'wsgiref.simple_server', 'xml.dom.minidom', 'xml.etree.ElementTree', 'xml.sax'],
  ...['xmlrpc.client', 'zipfile', 'zoneinfo']
]
const PYTHON = `import time, ${PYTHON_MODULES.join(', ')}
print('${MARKER}', flush=True)
time.sleep(1e6)`
const C_PROGRAM = [
  ...['#include <stdio.h>', '#include <stdlib.h>', '#include <string.h>', '#include <unistd.h>'],
  `int main(void) { puts("${MARKER}"); fflush(stdout); pause(); return 0; }`
].join('\\n')

/**
 * None ends by itself, nor reads anything more once it is ready: what was fetched can be asked then.
 * Starts with what small images do and ends with what servers do.
 */
export const WORKLOADS: readonly Workload[] = [
  {
    name: 'echo',
    packages: ['busybox-static', 'base-files'],
    variant: 'extract',
    argv: [
      ...['/bin/busybox', 'sh', '-c'],
      `/bin/busybox echo ${MARKER} && exec /bin/busybox sleep 1000000`
    ],
    ready: { by: 'output', marker: MARKER }
  },
  {
    name: 'systemd',
    packages: ['systemd', 'systemd-sysv', 'dbus'],
    hooks: [': > "$1"/etc/machine-id', 'echo bench > "$1"/etc/hostname'],
    argv: [],
    ready: { by: 'systemd' }
  },
  {
    name: 'python3',
    packages: ['python3', 'python3-lib2to3', 'python3-venv'],
    argv: ['python3', '-c', PYTHON],
    ready: { by: 'output', marker: MARKER }
  },
  {
    name: 'node',
    packages: ['nodejs'],
    argv: ['node', '-e', `console.log('${MARKER}'); setTimeout(() => {}, 1e9)`],
    ready: { by: 'output', marker: MARKER }
  },
  {
    name: 'gcc',
    packages: ['gcc', 'libc6-dev'],
    hooks: [`printf '${C_PROGRAM}' > "$1"/root/ready.c`],
    argv: ['sh', '-c', 'gcc -O2 /root/ready.c -o /root/ready && exec /root/ready'],
    ready: { by: 'output', marker: MARKER }
  },
  {
    name: 'redis',
    packages: ['redis-server'],
    argv: ['redis-server', '--bind', '127.0.0.1', '--port', '6390', '--save', ''],
    ready: { by: 'redis', port: 6390 }
  },
  {
    name: 'postgres',
    packages: ['postgresql'],
    hooks: [
      // Anybody who reaches the container's loopback may connect.
      'echo "host all all 127.0.0.1/32 trust" > "$1"/etc/postgresql/15/main/pg_hba.conf',
      'echo "ssl = off" >> "$1"/etc/postgresql/15/main/postgresql.conf'
    ],
    argv: [
      ...['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'],
      ...['/usr/lib/postgresql/15/bin/postgres', '-D', '/var/lib/postgresql/15/main'],
      ...['-c', 'config_file=/etc/postgresql/15/main/postgresql.conf', '-c', 'port=6391'],
      // Its directories in /run are systemd's to make, which does not run here.
      ...['-c', 'unix_socket_directories=', '-c', 'external_pid_file=']
    ],
    ready: { by: 'postgres', port: 6391 }
  },
  {
    name: 'php',
    packages: ['nginx-light', 'php-fpm'],
    hooks: [
      `printf '<?php echo "${MARKER}", " ", PHP_VERSION, "\\\\n";' > "$1"/var/www/html/index.php`,
      'printf "[www]\\nuser = www-data\\nlisten = 127.0.0.1:6392\\npm = static\\npm.max_children = 2\\n" > "$1"/etc/php/8.2/fpm/pool.d/www.conf',
      'printf "server { listen 127.0.0.1:6393; root /var/www/html; location / { include fastcgi_params; fastcgi_param SCRIPT_FILENAME /var/www/html/index.php; fastcgi_pass 127.0.0.1:6392; } }\\n" > "$1"/etc/nginx/sites-available/default'
    ],
    argv: [
      ...['sh', '-c'],
      'mkdir -p /run/php && php-fpm8.2 --daemonize && exec nginx -g "daemon off;"'
    ],
    ready: { by: 'http', port: 6393, marker: MARKER }
  }
]

/** @throws RangeError when there is none of that name */
export function workloadNamed(name: string): Workload {
  const found = WORKLOADS.find((workload) => workload.name === name)
  if (!found) {
    throw new RangeError(`no workload ${name}: ${WORKLOADS.map(({ name }) => name).join(', ')}`)
  }
  return found
}

/** What programs of the host need to find their way; none of it is anybody's secret. */
const PASSED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LC_[A-Z]+|TZ|TMPDIR|XDG_RUNTIME_DIR|SYSTEMROOT|WINDIR|COMSPEC|PATHEXT|TEMP|TMP|APPDATA|LOCALAPPDATA|USERPROFILE|PROGRAMDATA)$/i

/**
 * The environment for programs of the host that are started around an image or a guest: of this process's
 * variables those that such a program needs. An attacker who takes such a program over finds nothing else in them.
 */
export function hostEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => PASSED.test(name)))
}

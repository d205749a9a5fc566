/** What programs of the host need to find their way; none of it is anybody's secret. */
const PASSED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LC_[A-Z]+|TZ|TMPDIR|XDG_RUNTIME_DIR|SYSTEMROOT|WINDIR|COMSPEC|PATHEXT|TEMP|TMP|APPDATA|LOCALAPPDATA|USERPROFILE|PROGRAMDATA)$/i

/**
 * The environment for programs of the host that are started around an image or a guest: of this process's
 * variables those that such a program needs. Whoever takes such a program over reads nothing else.
 */
export function hostEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => PASSED.test(name)))
}

import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import {
  formatKeyId,
  parsePublicKey,
  verifyMinisign
} from '../../../src/machine/os-image/minisign.ts'

/** Made with minisign 0.11: `minisign -G -W`, `minisign -S` and `minisign -S -l`. */
const KEY = 'RWQXrAA1Un0fwAJcVaS9SNZuojpLaqVwAWGNxOQeDFXzjeS0NzTYRGh/'
const KEY_FILE = `untrusted comment: minisign public key C01F7D523500AC17\n${KEY}\n`
const MESSAGE = Buffer.from('hello machine\n')
const PREHASHED = `untrusted comment: signature from minisign secret key
RUQXrAA1Un0fwPAIso3N4OfoRAVoAUvsT6Uxc7jeKumbDXiH1ff1vbeVH9xJ5WLtlFib4wfg/3TQ5i4Oi3z8oh5R3Kzyx3NPEw0=
trusted comment: trusted: prehashed
Xl+w2mZDmRvIxOlIQC6AZ3xy2Rek3XxswYIJKoTWaZShCOSDQfov1FnmKHoov88ADxR+KOtkwqVyebekPKMmDA==
`
const LEGACY = `untrusted comment: signature from minisign secret key
RWQXrAA1Un0fwFpI6/h8rZs3KklKrnMYQ7oqg76AgHNFLlRJuhMSNLufNSZvBExmT2NcPlwonf5zgjoGoBDrB+SzPqLcqnZ19wI=
trusted comment: trusted: legacy
v0tgke0y/5QkebJ6J2xJd9EJnYv4iOYM0+PO5pqQ5FI7hKFSGdmBuVmgminGg9xGIoP70MDgcrNoKrY2w1YeCA==
`
/** RFC 8032's first test vector under another number. */
const OTHER_KEY = 'RWQBAgMEBQYHCNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea'

void test('signatures that minisign made', (t) => {
  for (const text of [KEY, KEY_FILE, `${KEY}\n`]) {
    const key = parsePublicKey(text)
    t.is(formatKeyId(key.keyId), 'C01F7D523500AC17')
    t.is(verifyMinisign(MESSAGE, PREHASHED, key), 'trusted: prehashed')
    t.is(verifyMinisign(MESSAGE, LEGACY, key), 'trusted: legacy')
    t.is(verifyMinisign(MESSAGE, LEGACY.replaceAll('\n', '\r\n'), key), 'trusted: legacy')
  }
})

void test('what is refused', (t) => {
  const key = parsePublicKey(KEY)
  const refuses = (name: string, message: Uint8Array, signature: string, by = key): void => {
    try {
      verifyMinisign(message, signature, by)
      t.fail(name)
    } catch (error) {
      t.ok(isContainerError(error, 'BAD_SOURCE'), `${name}: ${String(error)}`)
    }
  }
  refuses('another message', Buffer.from('hello machine!\n'), PREHASHED)
  refuses('another message, legacy', Buffer.from('hello machine'), LEGACY)
  refuses('another key', MESSAGE, PREHASHED, parsePublicKey(OTHER_KEY))
  refuses('another comment', MESSAGE, PREHASHED.replace('trusted: pre', 'trusted: PRE'))
  refuses('legacy called prehashed', MESSAGE, LEGACY.replace('RWQX', 'RUQX'))
  refuses('prehashed called legacy', MESSAGE, PREHASHED.replace('RUQX', 'RWQX'))
  refuses('an unknown algorithm', MESSAGE, PREHASHED.replace('RUQX', 'RVQX'))
  refuses('no global signature', MESSAGE, PREHASHED.split('\n').slice(0, 3).join('\n'))
  refuses('a line too many', MESSAGE, `${PREHASHED}more\n`)
  refuses('nothing', MESSAGE, '')
  let refused = 0
  for (const signature of [PREHASHED, LEGACY]) {
    const lines = signature.split('\n')
    for (const line of [1, 2, 3]) {
      for (
        let at = line === 2 ? 'trusted comment: '.length : 0;
        at < (lines[line] ?? '').length;
        at += 5
      ) {
        const changed = lines.map((text, index) => (index === line ? flip(text, at) : text))
        try {
          verifyMinisign(MESSAGE, changed.join('\n'), key)
          t.fail(`line ${line}, character ${at}`)
        } catch (error) {
          if (!isContainerError(error, 'BAD_SOURCE')) throw error
          refused++
        }
      }
    }
  }
  t.ok(refused > 50, `a changed bit anywhere that counts: ${refused} places`)
})

void test('what is no public key', (t) => {
  for (const text of ['', 'RW', `${KEY}A`, KEY.replace('RWQ', 'RUQ'), `a\nb\n${KEY}`]) {
    try {
      parsePublicKey(text)
      t.fail(text)
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), JSON.stringify(text))
    }
  }
})

function flip(text: string, at: number): string {
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1)
}

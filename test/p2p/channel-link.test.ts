import test from 'brittle'
import { withoutSecrets } from '../../src/core/safe-text.ts'
import { isContainerError } from '../../src/core/errors.ts'
import { formatChannelLink, parseChannelLink } from '../../src/p2p/channel-link.ts'
import { formatLink, ImageReference, parseLink } from '../../src/p2p/link.ts'

const key = Buffer.alloc(32, 7)
const secret = Buffer.alloc(32, 200)
const peers = [{ host: '192.0.2.7', port: 7777 }]

function messageOf(read: () => unknown): string {
  try {
    read()
    return 'accepted'
  } catch (error) {
    return isContainerError(error, 'BAD_LINK') ? error.message : `threw ${String(error)}`
  }
}

test('the link of a channel survives being written and read', (t) => {
  for (const link of [
    { key, secret },
    { key, secret: undefined },
    { key, secret, peers }
  ]) {
    const read = parseChannelLink(formatChannelLink(link))
    t.alike({ ...read }, link)
  }
  const text = formatChannelLink({ key, secret })
  t.ok(text.startsWith('dat-channel://'))
  t.is(ImageReference.parse(` ${text}\n`).channel, text, 'it is told from the link of an image')
  t.is(ImageReference.parse(formatLink({ key, secret, version: 1 })).channel, undefined)
  t.is(
    withoutSecrets(text),
    formatChannelLink({ key, secret: undefined }),
    'it is shown without its secret'
  )
})

test('what is no link of a channel is refused', (t) => {
  const text = formatChannelLink({ key, secret })
  const image = formatLink({ key, secret, version: undefined })
  const [channel = '', part = ''] = text.split('#')
  t.is(
    messageOf(() => parseChannelLink(image)),
    'not the link of a channel'
  )
  t.is(
    messageOf(() => parseChannelLink(`${channel}@3#${part}`)),
    'the link of a channel has no @version'
  )
  t.ok(
    messageOf(() => parseChannelLink(text.slice(0, -1))).includes('its secret has 51 characters')
  )
  // This is what releases without channels say of it.
  t.ok(messageOf(() => parseLink(text)).includes('its key has 66 characters instead of 52'))
})

import test from 'brittle'
import Hyperdrive from 'hyperdrive'
import { contentKeyOf, isContentOfAnother, purgeDrive } from '../../../src/p2p/store/purge.ts'
import { temporaryStore } from '../temporary-store.ts'

test('the content of another drive is known as that, and what is freed as a drive is', async (t) => {
  const store = await temporaryStore(t)
  const drive = new Hyperdrive(store.namespace('one'), { encryptionKey: null })
  await drive.ready()
  await drive.put('/file', Buffer.from('content'))
  const content = await contentKeyOf(store, drive.key)
  t.ok(content, 'it has a log of content')
  if (content === undefined) return
  t.ok(await isContentOfAnother(store, content, [drive.key]), 'named as a drive, it is refused')
  t.absent(await isContentOfAnother(store, drive.key, [drive.key]), 'the drive itself is not')
  t.absent(await isContentOfAnother(store, content, []), 'nor a key of which nothing is known')

  const log = store.get({ key: content })
  await log.ready()
  t.ok(await log.has(0), 'the content is there')
  await purgeDrive(store, content)
  const after = store.get({ key: content })
  await after.ready()
  t.absent(await after.has(0), 'freed as a drive, it would be gone')
})

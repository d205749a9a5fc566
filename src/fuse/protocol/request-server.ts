import { constants } from 'node:os'
import { ContentAnswers } from './content-answers.ts'
import { InitAgreement } from './fuse-init.ts'
import { FuseReply } from './fuse-reply.ts'
import { parseRequest, type FuseRequest } from './fuse-request.ts'

const { EINVAL, ENOSYS } = constants.errno

export type Send = (answer: Buffer) => void
/** 0 for what was put into the reply, a negative errno, or that there is no answer (yet). */
export type Answer = number | 'none'
/** Those about what is mounted, and not about the channel. */
export type ContentRequest = Exclude<
  FuseRequest,
  { kind: 'init' | 'interrupt' | 'forget' | 'end' | 'malformed' | 'unknown' }
>

/**
 * Answers the kernel's requests of one mount. It remembers nothing of what the kernel knows or has open, so that
 * another process can go on where it ended: FORGET and RELEASE have nothing to do.
 */
export abstract class RequestServer {
  protected readonly reply = new FuseReply()
  protected readonly content = new ContentAnswers()
  protected readonly agreement = new InitAgreement()

  /** As {@link InitAgreement.made}. */
  get agreed(): Promise<void> {
    return this.agreement.made
  }

  /** Answers one request, now or later; malformed ones with EINVAL. */
  handle(bytes: Buffer, send: Send): void {
    const request = parseRequest(bytes)
    if (request === undefined) return
    this.reply.clear()
    const answer = this.#answer(request, send)
    if (answer !== 'none') send(this.reply.finish(request.unique, answer))
  }

  protected abstract answer(request: ContentRequest, send: Send): Answer

  #answer(request: FuseRequest, send: Send): Answer {
    switch (request.kind) {
      case 'init':
        return this.agreement.answer(request, this.reply)
      case 'interrupt':
        this.content.interrupt(request.target)
        return 'none'
      case 'forget':
        return 'none'
      case 'end':
        return 0
      case 'malformed':
        return -EINVAL
      case 'unknown':
        // The kernel does not ask again for what it gets this for.
        return -ENOSYS
      case 'statfs':
      case 'lookup':
      case 'getattr':
      case 'readlink':
      case 'open':
      case 'opendir':
      case 'read':
      case 'readdir':
      case 'readdirplus':
      case 'getxattr':
      case 'listxattr':
      case 'lseek':
        break
    }
    return this.answer(request, send)
  }
}

import { ContainerError } from '../../core/errors.ts'
import type { Tree } from '../../image/tree/tree.ts'
import { FileReader } from './file-reader.ts'
import type { MountImageOptions } from './mounted-image.ts'

/** A tree, and what reads its files. */
export interface TreeFiles {
  readonly tree: Tree
  readonly files: FileReader
}

/** What a mount serves, which may come after the mount is there. */
export class DeferredContent {
  /** Rejects with what asking threw, or with `CANCELLED` when closed first. */
  readonly here: Promise<TreeFiles>
  readonly #options: Pick<MountImageOptions, 'content' | 'observer'>
  #resolve!: (content: TreeFiles) => void
  #reject!: (error: unknown) => void
  #isAsked = false
  #files: FileReader | undefined

  constructor(options: Pick<MountImageOptions, 'content' | 'observer'>) {
    this.#options = options
    this.here = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Those who read are told.
    this.here.catch(() => {})
  }

  /** Asks for it, where nobody has. */
  ask(): Promise<TreeFiles> {
    if (!this.#isAsked) {
      this.#isAsked = true
      void this.#take()
    }
    return this.here
  }

  async #take(): Promise<void> {
    const { content, observer } = this.#options
    try {
      const { tree, chunks, foreseen } = await content()
      this.#files = new FileReader(tree, chunks, { observer, foreseen })
      this.#resolve({ tree, files: this.#files })
    } catch (error) {
      this.#reject(error)
    }
  }

  /** Fails every read in flight, those that wait for the content too, and every later one. */
  close(): void {
    this.#reject(new ContainerError('CANCELLED', 'the mount is being taken down'))
    this.#files?.close()
  }
}

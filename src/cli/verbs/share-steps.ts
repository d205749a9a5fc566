import type { ProfiledStep, PublishedWithProfile } from '../../session/publish/publish-profiled.ts'
import type { Published, PublishSourceOptions } from '../../session/publish/publish-source.ts'
import type { PublishProgress } from '../../image/publish/publish-options.ts'
import type { Globals } from '../parse/globals.ts'
import type { ProgressBar } from '../print/progress.ts'

type ToPublish = Published & Partial<Pick<PublishedWithProfile, 'profile'>>

/** Publishes as `share` does without more, with a progress bar. */
export async function publishPlain(
  options: PublishSourceOptions,
  { output }: Globals
): Promise<ToPublish> {
  const { progressBar } = await import('../print/progress.ts')
  const { publishSource } = await import('../../session/publish/publish-source.ts')
  const { default: prettyBytes } = await import('pretty-bytes')
  using bar = progressBar('sharing', output.json)
  return await publishSource({
    ...options,
    onProgress: (progress) => bar.update(...shown(progress, prettyBytes))
  })
}

const STEPS: Readonly<Record<ProfiledStep, string>> = {
  storing: 'storing',
  recording: 'starting it once to record what it reads',
  ordering: 'ordering'
}

/**
 * Publishes with a boot profile, and says which step of that is under way.
 *
 * @param command what is started; empty for what the image says itself
 */
export async function publishRecorded(
  options: PublishSourceOptions,
  command: readonly string[],
  durationMs: number | undefined,
  { home, output }: Globals
): Promise<ToPublish> {
  const { progressBar } = await import('../print/progress.ts')
  const { publishProfiled } = await import('../../session/publish/publish-profiled.ts')
  const { recordImage, requireRecording } = await import('../../boot/runner/record-image.ts')
  const { default: prettyBytes } = await import('pretty-bytes')
  await requireRecording()
  const { signal } = options
  using bars = new StepBars((step) => progressBar(STEPS[step], output.json))
  return await publishProfiled({
    ...options,
    record: (link) =>
      recordImage({
        home,
        link,
        signal,
        ...(command.length === 0 ? {} : { command }),
        ...(durationMs === undefined ? {} : { durationMs })
      }),
    onProgress: (step, progress) => {
      if (progress !== undefined) return bars.of(step).update(...shown(progress, prettyBytes))
      bars.end()
      output.note(STEPS[step])
    }
  })
}

/** One bar at a time: that of the step that is under way. */
class StepBars implements Disposable {
  readonly #make: (step: ProfiledStep) => ProgressBar
  #current: { readonly step: ProfiledStep; readonly bar: ProgressBar } | undefined

  constructor(make: (step: ProfiledStep) => ProgressBar) {
    this.#make = make
  }

  of(step: ProfiledStep): ProgressBar {
    if (this.#current?.step === step) return this.#current.bar
    this.end()
    const bar = this.#make(step)
    this.#current = { step, bar }
    return bar
  }

  end(): void {
    this.#current?.bar[Symbol.dispose]()
    this.#current = undefined
  }

  [Symbol.dispose](): void {
    this.end()
  }
}

function shown(
  { bytes, totalBytes, files, totalFiles, newBytes }: PublishProgress,
  prettyBytes: (bytes: number) => string
): [number, number, string] {
  const counted = totalFiles === 0 ? `${files}` : `${files}/${totalFiles}`
  return [bytes, totalBytes, `${counted} files, ${prettyBytes(newBytes)} stored`]
}

import type { PageImage } from '../rpc/page-protocol.ts'
import { bytesText } from './format.ts'

/** What this machine is to an image. */
export function roleText({ role, version }: PageImage): string {
  const of = version === null || role === 'mirror' ? '' : `, version ${version}`
  if (role === 'owner') return `published here${of}`
  return role === 'mirror' ? 'mirrored here, not readable' : `read here${of}`
}

/** What is kept of it, and whether it can be evicted. */
export function keptText({ kept, pinned, quota }: PageImage): string {
  const texts = {
    follows: 'all, and new versions',
    held: 'all that there was',
    share: quota === null ? 'a share' : `a share of ${bytesText(quota)}`,
    own: 'all, as its publisher'
  }
  const what =
    kept === null ? 'what was read' : typeof kept === 'number' ? `version ${kept}` : texts[kept]
  return pinned ? `${what}; pinned` : what
}

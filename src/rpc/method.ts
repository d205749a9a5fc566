import c, { type Encoding } from 'compact-encoding'
import { ImageReference } from '../p2p/link.ts'
import { MAX_IMAGE_TEXT, type RequestCheck } from './request-checks.ts'

/** A method of the daemon's socket: its name, how its two messages are encoded, and what a request must have. */
export interface Method<Request, Response> {
  readonly name: string
  readonly request: Encoding<Request>
  readonly response: Encoding<Response>
  /** @default any request that decodes is taken */
  readonly check?: RequestCheck
  /** Fields of its two messages that refer to an image. On the socket, they are text. */
  readonly references?: {
    readonly request: 'image' | 'update' | 'link'
    readonly response?: 'link'
  }
}

/** Makes a method whose messages are JSON. */
export function json<Request, Response>(
  name: string,
  check?: RequestCheck,
  references?: Method<Request, Response>['references']
): Method<Request, Response> {
  return {
    name,
    request: c.json as Encoding<Request>,
    response: c.json as Encoding<Response>,
    ...(check && { check }),
    ...(references && { references })
  }
}

/**
 * Reads the reference to an image in a message of the socket. Writing needs no counterpart, because the JSON of a reference
 * is its text.
 *
 * @param field where it is; undefined for a message without one
 * @throws ContainerError `BAD_LINK`
 */
export function readReference<Message>(message: Message, field: string | undefined): Message {
  if (field === undefined) return message
  const text: unknown = (message as Record<string, unknown> | null)?.[field]
  return typeof text === 'string' ? { ...message, [field]: ImageReference.parse(text) } : message
}

/** Checks the image of a request. */
export const withImage: RequestCheck = (fields) => void fields.text('image', MAX_IMAGE_TEXT)

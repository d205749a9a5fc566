import type { ImageReference } from '../p2p/link.ts'
import { json, withImage } from './method.ts'
import { badRequest, MAX_IMAGE_TEXT, type RequestCheck } from './request-checks.ts'

/** A channel that this home knows. */
export interface ChannelListing {
  /** z32. */
  readonly key: string
  readonly name: string
  /** Whether this home sets it. */
  readonly role: 'owner' | 'reader' | 'mirror'
  /** With the secret; null where this home does not have it. */
  readonly link: string | null
  /** Without the secret. */
  readonly mirrorLink: string
  /** Number of the newest record that was taken; 0 for none. */
  readonly record: number
  /** The image that this record names, with its version; with the secret where this home has it. Null for none. */
  readonly image: string | null
  /** When its owner set it, by the owner's clock; ISO 8601. Null where this home cannot read that. */
  readonly setAt: string | null
  /** How what it names is kept here. */
  readonly follows: 'seed' | 'mirror' | null
  readonly peers: number
  /** Two histories of it are signed; the one that is here is kept. */
  readonly forked: boolean
}

export interface ChannelCreateRequest {
  readonly name: string
}

export interface ChannelSetRequest {
  /** Name, key or link of a channel of this home. */
  readonly channel: string
  readonly image: ImageReference
  /** Also to an older version of the image that it names now. */
  readonly allowRollback: boolean
}

export interface ChannelResolveRequest {
  /** A channel's link, or the name or key that this home knows it by. */
  readonly channel: string
  readonly peerTimeoutMs: number
  readonly offline: boolean
  /** Takes also what is older than what this home has seen of the channel. */
  readonly acceptRollback: boolean
}

export interface ChannelResolveResponse extends ChannelListing {
  readonly image: string
  /** Nobody was there who could tell of a newer record. */
  readonly mayBeOld: boolean
}

export interface ChannelFollowRequest {
  /** A channel's link, or the name or key that this home knows it by. */
  readonly channel: string
  readonly how: 'seed' | 'mirror'
  /** Keep a share of this many stored bytes. @default all */
  readonly quota?: number
  readonly peerTimeoutMs: number
}

export interface ChannelFollowResponse extends ChannelListing {
  /** Key of the image that it names now, z32. */
  readonly imageKey: string
}

export interface ChannelWatchRequest {
  /** A channel's link, or the name or key that this home knows it by. */
  readonly channel: string
  /** Link of the image that it named last. */
  readonly image: string
}

export interface ChannelWatchResponse {
  /** Link of the image that it names now, another one. */
  readonly image: string
}

export interface ChannelForgetRequest {
  readonly channel: string
  /** Also one that this home sets. */
  readonly force: boolean
}

const withChannel: RequestCheck = (fields) => void fields.text('channel', MAX_IMAGE_TEXT)

/** Methods of the daemon's socket about channels. */
export const CHANNEL_METHODS = {
  channels: json<null, ChannelListing[]>('channels'),
  channelCreate: json<ChannelCreateRequest, ChannelListing>(
    'channel.create',
    (fields) => void fields.text('name', MAX_IMAGE_TEXT)
  ),
  channelSet: json<ChannelSetRequest, ChannelListing>(
    'channel.set',
    (fields) => {
      withChannel(fields)
      withImage(fields)
      fields.flag('allowRollback')
    },
    { request: 'image' }
  ),
  channelResolve: json<ChannelResolveRequest, ChannelResolveResponse>(
    'channel.resolve',
    (fields) => {
      withChannel(fields)
      fields.amount('peerTimeoutMs')
      fields.flag('offline')
      fields.flag('acceptRollback')
    }
  ),
  channelFollow: json<ChannelFollowRequest, ChannelFollowResponse>('channel.follow', (fields) => {
    withChannel(fields)
    if (!['seed', 'mirror'].includes(fields.text('how', MAX_IMAGE_TEXT))) {
      throw badRequest('channel.follow', 'how is neither seed nor mirror')
    }
    if (fields.has('quota')) fields.count('quota')
    fields.amount('peerTimeoutMs')
  }),
  channelUnfollow: json<{ readonly channel: string }, ChannelListing>(
    'channel.unfollow',
    withChannel
  ),
  /** Answers when the channel names something else, however long that takes. */
  channelWatch: json<ChannelWatchRequest, ChannelWatchResponse>('channel.watch', (fields) => {
    withChannel(fields)
    withImage(fields)
  }),
  channelForget: json<ChannelForgetRequest, ChannelListing>('channel.forget', (fields) => {
    withChannel(fields)
    fields.flag('force')
  })
} as const

/** The parts of the time until a container is ready, in the order in which they usually come. */
export const START_PARTS = [
  'programs',
  'discovery',
  'connect',
  'metadata',
  'mount',
  'setUp',
  'demand',
  'prefetch',
  'container'
] as const
export type StartPart = (typeof START_PARTS)[number]

/** What each is called where people read it. */
export const START_PART_TEXTS: Readonly<Record<StartPart, string>> = {
  programs: 'programs start',
  discovery: 'peers are found',
  connect: 'peers are connected',
  metadata: 'manifest, index, profile',
  mount: 'mount',
  setUp: 'overlay and nspawn',
  demand: 'waiting for content',
  prefetch: 'content on its way',
  container: 'the container itself'
}

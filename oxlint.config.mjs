/**
 * What the linter refuses, and the plan of the house: {@link ROOMS}. A room is a folder of src/, and
 * imports only from rooms before it.
 */
import { relative } from 'node:path'

/** From the ground up. */
export const ROOMS = [
  'program',
  'core',
  'core/host',
  'image/tree',
  'image/chunk',
  'image/format',
  'image/source',
  'image/tar',
  'image/oci',
  'image/export',
  'image/publish',
  'p2p',
  'p2p/store',
  'p2p/rate',
  'p2p/lan',
  'p2p/reach',
  'p2p/peers',
  'p2p/crowd',
  'p2p/drive',
  'p2p/channel',
  'p2p/transfer',
  'fuse/content',
  'fuse/linux',
  'fuse/protocol',
  'fuse/erofs',
  'fuse/plain',
  'fuse/device',
  'fuse',
  'home',
  'rpc',
  'page',
  'session/connection',
  'session/read',
  'session/open',
  'session/publish',
  'daemon/catalog',
  'daemon/publish',
  'daemon/keep',
  'daemon/metrics',
  'daemon/page',
  'daemon/serve',
  'daemon',
  'service',
  'doctor',
  'boot/ids',
  'boot/state',
  'boot/enter',
  'boot/root',
  'boot/console',
  'boot/nspawn',
  'boot/lease',
  'boot/mounter',
  'boot/containers',
  'boot/runner',
  'attest',
  'machine/state',
  'machine/qemu',
  'machine/os-image',
  'machine/guest',
  'machine/lifecycle',
  'machine/netboot',
  'cli/print',
  'cli/parse',
  'cli/verbs/machine',
  'cli/isolate',
  'cli/completion',
  'cli/verbs/containers',
  'cli/verbs/daemon',
  'cli/verbs/top',
  'cli/verbs',
  'cli'
]

/** Rooms that lie before others and still must not be imported by them: the two ends of the daemon's socket, and the page. Types may. */
const WALLS = [
  { from: /^(?!page$)/, to: /^page$/, why: 'the page runs in browsers' },
  { from: /^daemon/, to: /^session/, why: 'the daemon is the server, src/session the client' },
  {
    from: /^(fuse|home|rpc|session|service|boot|doctor|attest|machine)/,
    to: /^(daemon|p2p\/.)/,
    why: "a client loads nothing of the server's store and swarm"
  }
]

/** Modules that only Linux has a use for: a call loads them. */
const LINUX_ONLY = [
  { name: 'koffi', loader: 'systemCalls() of src/core/host/system-calls.ts' },
  { name: 'fuse-native', loader: 'loadFuse() of src/fuse/protocol/binding.ts' },
  { name: 'fuse-shared-library', loader: 'loadFuse() of src/fuse/protocol/binding.ts' }
].map(({ name, loader }) => ({
  name,
  message: `Linux only: ${loader} loads it when a call is made.`,
  allowTypeImports: true
}))

/** What one room may not import, by how the files in it would spell it. */
function rulesOf(room, place) {
  const above = ROOMS.slice(place + 1).map((other) => ({
    other,
    why: 'rooms import only from rooms before them (oxlint.config.mjs)'
  }))
  const behind = WALLS.filter(({ from }) => from.test(room)).flatMap(({ to, why }) =>
    ROOMS.slice(0, place)
      .filter((other) => to.test(other))
      .map((other) => ({ other, why, allowTypeImports: true }))
  )
  return {
    files: [`src/${room}/*.ts`],
    rules: {
      // `no-restricted-imports` does not see `import('…')` as a type.
      'typescript/consistent-type-imports': ['error', { disallowTypeAnnotations: true }],
      'no-restricted-imports': [
        'error',
        {
          paths: LINUX_ONLY,
          patterns: [
            ...[...above, ...behind].map(({ other, why, ...more }) => ({
              ...more,
              regex: specifierOf(room, other),
              message: `src/${room} must not know src/${other}: ${why}.`
            })),
            {
              regex: detoursOf(room),
              message: `src/${room} must name files by the shortest path: the rules of rooms know no other.`
            }
          ]
        }
      ]
    }
  }
}

/** @returns a pattern of how files of `room` name files of `other` */
function specifierOf(room, other) {
  const path = relative(`src/${room}`, `src/${other}`)
  const prefix = path.startsWith('.') ? path : `./${path}`
  return `^${prefix.replaceAll('.', '\\.')}/[^/]+$`
}

/** @returns a pattern of longer paths than needed from `room` to a file below src: they would pass by {@link specifierOf} */
function detoursOf(room) {
  const folders = ['src', ...room.split('/')].toReversed()
  const throughItself = folders.map((folder, up) => `${'\\.\\./'.repeat(up + 1)}${folder}/`)
  return `^\\./\\.|^\\..*[^./]/\\.|^\\..*//|^(${throughItself.join('|')})`
}

export default {
  plugins: ['typescript', 'import', 'unicorn', 'node', 'promise'],
  categories: {
    correctness: 'error',
    suspicious: 'warn'
  },
  rules: {
    'typescript/no-floating-promises': [
      'error',
      {
        allowForKnownSafeCalls: [
          {
            from: 'package',
            package: 'brittle',
            name: ['test', 'default', 'skip']
          }
        ]
      }
    ],
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/switch-exhaustiveness-check': 'error',
    'import/no-cycle': 'error',
    eqeqeq: 'error',
    'no-console': 'error',
    'prefer-const': 'error',
    'max-lines': [
      'warn',
      {
        max: 400,
        skipBlankLines: true,
        skipComments: true
      }
    ],
    'no-await-in-loop': 'off',
    'unicorn/no-array-sort': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'no-shadow': 'off',
    'import/no-unassigned-import': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/require-post-message-target-origin': 'off',
    'no-underscore-dangle': 'off',
    'unicorn/no-useless-spread': 'off'
  },
  ignorePatterns: ['build', 'build-*', 'node_modules', 'coverage', 'test/fixtures'],
  overrides: [
    ...ROOMS.map(rulesOf),
    // A folder that is no room has no rules of its own: nothing may lie there.
    { files: ['scripts/**', 'bench/**', 'os-image/**'], rules: { 'no-console': 'off' } },
    // Declarations of other modules name each other's types in no other way.
    { files: ['src/**/*.d.ts'], rules: { 'typescript/consistent-type-imports': 'off' } }
  ]
}

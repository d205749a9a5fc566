/** Modules of system calls and mounts that Linux alone has. */
export const LINUX_MODULES: readonly string[] = ['koffi', 'fuse-native', 'fuse-shared-library']

/** Native modules that bring builds for macOS and Windows in their packages. */
export const PREBUILT_ADDONS: readonly string[] = [
  'fs-native-extensions',
  'quickbit-native',
  'rabin-native',
  'rocksdb-native',
  'simdle-native',
  'sodium-native',
  'udx-native'
]

/** Native modules that all systems use; that of zstd comes with its installation. */
export const PORTABLE_ADDONS: readonly string[] = [...PREBUILT_ADDONS, 'zstd-napi/binding.js']

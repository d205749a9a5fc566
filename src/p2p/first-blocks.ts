/** Blocks of a log of entries that has only a first manifest's: what says that it is a Hyperbee, and that. */
export const FIRST_BLOCKS = 2

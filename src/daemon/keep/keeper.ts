/** What keeps all or a part of one image on this machine, from peers, for as long as it is not disposed of. */
export interface Keeper extends AsyncDisposable {
  /** Whether all that it is to keep is here. */
  readonly isComplete: boolean
}

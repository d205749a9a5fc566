/** How many peers are connected, and how many are left alone because they sent wrong blocks or none. */
export function peersText(connected: number, dropped: number): string {
  return dropped === 0 ? String(connected) : `${connected}, ${dropped} more dropped for a while`
}

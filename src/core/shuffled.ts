/**
 * In an order that differs from call to call (Fisher and Yates).
 *
 * @param random gives numbers of at least 0, below 1
 */
export function shuffled<T>(items: readonly T[], random: () => number = Math.random): T[] {
  const order = [...items]
  for (let n = order.length - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1))
    const [a, b] = [order[n], order[other]]
    order[n] = b as T
    order[other] = a as T
  }
  return order
}

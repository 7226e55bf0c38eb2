/**
 * The 32-bit hash by which Kafka's Java client chooses partitions, so that every client puts a key where ours does.
 * Source: `org.apache.kafka.common.utils.Utils.murmur2`.
 */
export const murmur2 = (data: Uint8Array): number => {
  const length = data.length
  let hash = 0x9747b28c ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let word = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  const rest = length - at
  if (rest >= 3) hash ^= data[at + 2]! << 16
  if (rest >= 2) hash ^= data[at + 1]! << 8
  if (rest >= 1) hash = Math.imul(hash ^ data[at]!, multiplier)
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

const multiplier = 0x5bd1e995

/** `Utils.toPositive`: drops the sign bit (not the absolute value). */
export const toPositive = (hash: number): number => hash & 0x7fffffff

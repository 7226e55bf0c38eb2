/** Which group: the name of its kind in the pipeline, and the key of its row. */
export interface GroupKey {
  readonly group: string
  readonly key: string
}

/** Values by group. Two maps, since one text for both would be joined and hashed anew at each of the many look-ups of a fold. */
export class ByGroup<Value> {
  readonly #ofKind = new Map<string, Map<string, Value>>()

  get({ group, key }: GroupKey): Value | undefined {
    return this.#ofKind.get(group)?.get(key)
  }

  set({ group, key }: GroupKey, value: Value): void {
    const ofKind = this.#ofKind.get(group)
    if (ofKind === undefined) this.#ofKind.set(group, new Map([[key, value]]))
    else ofKind.set(key, value)
  }

  /** Kind by kind, as they were set first. */
  values(): Array<Value> {
    const values: Array<Value> = []
    for (const ofKind of this.#ofKind.values()) for (const value of ofKind.values()) values.push(value)
    return values
  }
}

/** The one order in which every transaction locks groups, each once. */
export const inLockOrder = (groups: Iterable<GroupKey>): ReadonlyArray<GroupKey> => {
  const once = new ByGroup<GroupKey>()
  for (const group of groups) once.set(group, group)
  return once.values().sort((a, b) => order(a.group, b.group) || order(a.key, b.key))
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

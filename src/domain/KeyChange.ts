import type { OldRow, Relation, Tuple } from "./RowChange.ts"

/**
 * Does an update move its row to another key? Then it counts two: the delete of the old key, the create of the new one.
 * The old key also comes when it did not change but is stored out of line, so values decide, not its presence;
 * a key column that either row lacks has not changed.
 */
export const isKeyChange = (relation: Relation, before: OldRow | undefined, after: Tuple): boolean => {
  if (before === undefined) return false
  for (const index of relation.key) {
    const old = before.tuple.at(index)
    const now = after.at(index)
    if (old !== undefined && now !== undefined && old !== now) return true
  }
  return false
}

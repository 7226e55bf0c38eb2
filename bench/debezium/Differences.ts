import { isObject, type Json, type JsonObject, NumberText } from "./Json.ts"

/** One place where two events are not the same; undefined: there is nothing at that place. */
export interface Difference {
  /** Names of fields and indexes of elements; the last may be {@link fieldOrder} or {@link spelling}. */
  readonly path: ReadonlyArray<string>
  readonly theirs: Json | undefined
  readonly ours: Json | undefined
}

/** The fields that both have come in another order. */
export const fieldOrder = "(order of fields)"
/** The same number in another spelling. */
export const spelling = "(spelling)"

/** Every difference, the deepest place of each; of arrays of other depth or length, the arrays. */
export const between = (theirs: Json | undefined, ours: Json | undefined, path: ReadonlyArray<string> = []): ReadonlyArray<Difference> => {
  if (theirs === ours) return []
  if (theirs instanceof NumberText && ours instanceof NumberText && theirs.equals(ours)) {
    return theirs.text === ours.text ? [] : [{ path: [...path, spelling], theirs, ours }]
  }
  if (Array.isArray(theirs) && Array.isArray(ours) && theirs.length === ours.length && depthOf(theirs) === depthOf(ours)) {
    return theirs.flatMap((element: Json, index) => between(element, ours[index], [...path, String(index)]))
  }
  if (isObject(theirs) && isObject(ours)) return betweenObjects(theirs, ours, path)
  return [{ path, theirs, ours }]
}

const betweenObjects = (theirs: JsonObject, ours: JsonObject, path: ReadonlyArray<string>): ReadonlyArray<Difference> => {
  const names = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])]
  const inOrder = (one: JsonObject, other: JsonObject) => Object.keys(one).filter((name) => Object.hasOwn(other, name))
  const [theirOrder, ourOrder] = [inOrder(theirs, ours), inOrder(ours, theirs)]
  return [
    ...names.flatMap((name) => between(theirs[name], ours[name], [...path, name])),
    ...theirOrder.join("\n") === ourOrder.join("\n") ? [] : [{ path: [...path, fieldOrder], theirs: theirOrder, ours: ourOrder }]
  ]
}

/** Arrays of Postgres have one depth, so that any element that is an array tells; nulls and no elements tell nothing. */
const depthOf = (array: ReadonlyArray<Json>): number => array.some(Array.isArray) ? 1 + depthOf(array.find(Array.isArray) as ReadonlyArray<Json>) : 0

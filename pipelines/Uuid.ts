import { Schema } from "effect"

/** A uuid as Postgres prints it: what a key column of that type can be compared with. */
export const Uuid = Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))

/** The part of pg-copy-streams that is used; the package has no types of its own. */
declare module "pg-copy-streams" {
  import type { Readable } from "node:stream"
  import type { Submittable } from "pg"
  /** COPY … TO STDOUT as a stream of its bytes, cut anywhere. */
  export const to: (statement: string) => Readable & Submittable
}

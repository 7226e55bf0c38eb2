/** What the workload uses besides; src/capture has the rest. */
declare module "pg-copy-streams" {
  import type { Writable } from "node:stream"
  import type { Submittable } from "pg"
  /** COPY … FROM STDIN, fed by what is written. */
  export const from: (statement: string) => Writable & Submittable
}
